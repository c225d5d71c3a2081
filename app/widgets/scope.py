"""Where the next question is searched: a collection, and in it some documents, folders or tags."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import streamlit as st

from app import session
from app.library import Choices, choices_of
from app.widgets.answer_text import plain_label
from app.wording import Wording
from core.types import Scope


def draw(words: Wording) -> None:
    """The picker: one button that says what is searched, and opens the panel beside the chat."""
    if not _is_ready():
        return
    st.button(
        _label(session.scope(), words),
        icon=":material/filter_alt:",
        type="tertiary",
        help=words("scope.help"),
        key="scope_picker",
        on_click=session.open_panel,
        args=("scope",),
    )


def draw_choices(words: Wording) -> None:
    """What the panel holds."""
    if _is_ready():
        st.caption(words("scope.explained"))
        _choose(session.scope(), words)


def _is_ready() -> bool:
    box = session.container()
    return box.is_built and box.problem is None


def _label(scope: Scope, words: Wording) -> str:
    narrowed = len(scope.document_ids) + len(scope.folders) + len(scope.tags)
    name = collection_name(scope.collection, words)
    return f"{name} · {words('scope.narrowed', count=narrowed)}" if narrowed else name


def collection_name(name: str, words: Wording) -> str:
    """A collection as a person sees it: the first one has a name in the language of the page."""
    return words("scope.first_collection") if name == Scope().collection else plain_label(name, 24)


def _choose(scope: Scope, words: Wording) -> None:
    library = session.container().parts().library
    names = sorted({*library.names(), scope.collection})
    chosen = st.selectbox(
        words("documents.collection"),
        names,
        index=names.index(scope.collection),
        format_func=lambda name: collection_name(name, words),
    )
    if chosen != scope.collection:
        session.choose_scope(Scope(collection=chosen))
        st.rerun()
    if not library.exists(chosen):
        return
    with closing(library.reader(chosen)) as store:
        found = choices_of(store.documents(), session.container().settings.paths.home)
    wanted = _filters(scope, found, words)
    if wanted != scope:
        session.choose_scope(wanted)
        st.rerun()


def _filters(scope: Scope, found: Choices, words: Wording) -> Scope:
    """The filters as they are chosen; one that has nothing to choose from is not shown."""
    documents = st.multiselect(
        words("scope.documents"),
        list(found.documents),
        default=[one for one in scope.document_ids if one in found.documents],
        format_func=lambda one: found.documents[one][:60],
        placeholder=words("scope.all"),
        key=f"scope_documents_{scope.collection}",
    )
    folders = _some(words("scope.folders"), found.folders, scope.folders, words)
    tags = _some(words("scope.tags"), found.tags, scope.tags, words)
    return replace(scope, document_ids=tuple(documents), folders=folders, tags=tags)


def _some(label: str, there: tuple[str, ...], chosen: tuple[str, ...], words: Wording) -> tuple[str, ...]:
    if not there:
        return ()
    kept = [one for one in chosen if one in there]
    return tuple(
        st.multiselect(
            label, there, default=kept, placeholder=words("scope.all"), format_func=lambda one: Path(one).name
        )
    )
