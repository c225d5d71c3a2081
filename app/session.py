"""Typed access to what belongs to one browser tab, and to what the whole process shares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import streamlit as st

from app import identity, people
from app.container import Container, shared
from app.wording import Wording
from core.config import Settings
from core.language import Language
from core.types import Mode, Scope

_LANGUAGE = "language"
_CONVERSATION = "conversation"
_OPEN = "open_panel"
_PAGES = "pages"
_ADAPTER = "chosen_adapter"
_SCOPE = "scope"
_MODE = "kept_mode"
_PERSON = "person"
MODE_WIDGET = "mode"
# In the address, so that a refresh finds its conversation again, and where it is searched.
CONVERSATION_PARAMETER = "c"
_COLLECTION_PARAMETER = "in"


@dataclass(frozen=True)
class OpenPanel:
    """The side panel that is open: a source of an answer, its prompt, or the jobs."""

    kind: str
    subject: str = ""
    number: int = 0


def container() -> Container:
    """The parts of whoever sits before this tab: one for all where nobody logs in, else the person's own.

    Raises LoginError where it is nobody's.
    """
    served = people.served()
    if served is None:
        return shared()
    person = who(served.settings)
    if st.session_state.setdefault(_PERSON, person.key) != person.key:
        # Another one signed in through the same tab: nothing that the first one did here is theirs.
        st.session_state.clear()
        st.session_state[_PERSON] = person.key
    return served.of(person)


def is_shared() -> bool:
    """Whether this is a server of several people, whose models and files are not theirs to change."""
    return bool(container().settings.owner)


def who(settings: Settings) -> identity.Person:
    """The person before this tab, as our gate or Streamlit's login vouches for. Raises LoginError."""
    if settings.login == "oidc":
        return identity.signed_in(st.user.items())
    return identity.unsealed(st.context.headers.get(identity.PERSON_HEADER) or "")


def language() -> Language:
    """The language of this tab: chosen in the sidebar, else set, else the browser's."""
    chosen = st.session_state.get(_LANGUAGE)
    if chosen is None:
        setting = container().settings.language
        chosen = _of_browser() if setting == "auto" else setting
    return cast(Language, chosen)


def choose_language(chosen: Language) -> None:
    """Switch the language of this tab."""
    st.session_state[_LANGUAGE] = chosen


def browser_words() -> Wording:
    """The strings in the language of the browser, for whom nothing is known yet."""
    return Wording(_of_browser())


def words() -> Wording:
    """The strings in the language of this tab."""
    return Wording(language())


def conversation_id() -> str:
    """The conversation that is shown, or "" for a new one."""
    if _CONVERSATION not in st.session_state:
        st.session_state[_CONVERSATION] = st.query_params.get(CONVERSATION_PARAMETER, "")
    return str(st.session_state[_CONVERSATION])


def open_conversation(identifier: str) -> None:
    """Show a conversation; "" shows the welcome."""
    st.session_state[_CONVERSATION] = identifier
    close_panel()


def mode() -> Mode:
    """The mode that the next question is asked in."""
    return cast(Mode, st.session_state.get(MODE_WIDGET) or st.session_state.get(_MODE) or "auto")


def remember_mode(chosen: Mode) -> None:
    """Ask in this mode from now on, in this tab: what a widget holds is gone with the page that drew it."""
    st.session_state[_MODE] = chosen


def adapter() -> str:
    """The adapter that mode `finetuned` answers with; empty: the first one there is."""
    return str(st.session_state.get(_ADAPTER, ""))


def remember_adapter(name: str) -> None:
    """Mode `finetuned` answers with this adapter from now on, in this tab."""
    st.session_state[_ADAPTER] = name


def choose_adapter(name: str) -> None:
    """Ask through this adapter from now on: the mode follows. For a page that does not show the modes itself."""
    remember_adapter(name)
    remember_mode("finetuned")


def scope() -> Scope:
    """Where the next question is searched."""
    if _SCOPE not in st.session_state:
        named = st.query_params.get(_COLLECTION_PARAMETER, "")
        st.session_state[_SCOPE] = Scope(collection=named) if named else Scope()
    return cast(Scope, st.session_state[_SCOPE])


def choose_scope(chosen: Scope) -> None:
    """Search there from now on, in this tab."""
    st.session_state[_SCOPE] = chosen


def collection() -> str:
    """The collection that the next question searches."""
    return scope().collection


def choose_collection(name: str) -> None:
    """Search this collection from now on, in this tab; what narrowed another one is forgotten."""
    if name != scope().collection:
        choose_scope(Scope(collection=name))


def keep_in_address() -> None:
    """Write the collection into the address, where it is not the first one."""
    name = collection()
    if name != Scope().collection:
        st.query_params[_COLLECTION_PARAMETER] = name
    else:
        st.query_params.pop(_COLLECTION_PARAMETER, None)


def remember_pages(pages: Mapping[str, Any]) -> None:
    """Keep the pages of this run, by name, for `page`."""
    st.session_state[_PAGES] = dict(pages)


def page(name: str) -> Any:
    """The page of that name, for `st.switch_page`; None where the view is drawn without the others."""
    return st.session_state.get(_PAGES, {}).get(name)


def panel() -> OpenPanel | None:
    """The side panel that is open, if any."""
    return cast("OpenPanel | None", st.session_state.get(_OPEN))


def open_panel(kind: str, subject: str = "", number: int = 0) -> None:
    """Open the side panel."""
    st.session_state[_OPEN] = OpenPanel(kind, subject, number)


def close_panel() -> None:
    """Close the side panel."""
    st.session_state[_OPEN] = None


def _of_browser() -> Language:
    return "zh" if (st.context.locale or "").lower().startswith("zh") else "en"
