"""The documents: add files or a folder, watch the progress, read what came of each file, try the search."""

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit as st

from app import session
from app.ingest_jobs import IngestJob, Progress
from app.library import Summary, summaries
from app.views import document_preview, retrieval
from app.widgets import changes, jobs
from app.widgets.answer_text import message_label, plain_label
from app.widgets.paths import shown_path
from app.widgets.scope import collection_name
from app.wording import Wording
from core.types import DEFAULT_COLLECTION
from ingest.pipeline import IngestOptions
from retrieval.embedder import in_profile
from retrieval.library import Library
from retrieval.records import DocumentRecord, FailureRecord

POLL_SECONDS = 0.5
# The list says it, or only a machine asks for it.
_TOLD_ELSEWHERE = ("status", "yield")
PROFILES = ("accurate", "instant")


def draw() -> None:
    """Draw the page."""
    words, box = session.words(), session.container()
    st.title(words("nav.documents"), anchor=False)
    if box.problem is not None:
        st.error(plain_label(box.problem.in_(words.language), 600), icon=":material/error:")
        return
    if not box.is_built:
        jobs.wait_for_parts(words("documents.opening"))
        return
    library = box.parts().library
    name = _collection(library, words)
    listed, searched = st.tabs([words("documents.tab_files"), words("documents.tab_search")])
    with listed:
        _add(name, words)
        _progress(name)
        _ledger(library, name, words)
    with searched:
        retrieval.draw(library, name)


def _collection(library: Library, words: Wording) -> str:
    found = {summary.name: summary for summary in summaries(library)}
    names = sorted({*found, DEFAULT_COLLECTION})
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            words("documents.collection"),
            names,
            index=names.index(session.collection()) if session.collection() in names else 0,
            format_func=lambda name: collection_label(name, found.get(name), words),
        )
        session.choose_collection(name)
        with st.popover(words("documents.new"), icon=":material/add:"):
            _new_collection(library, words)
        if name in found:
            with st.popover(":material/delete:", help=words("documents.delete_collection")):
                st.write(words("documents.delete_sure", count=found[name].documents))
                if st.button(words("documents.delete_collection"), type="primary", key="delete_collection"):
                    changes.make(lambda: library.delete(name), words)
    return name


def _new_collection(library: Library, words: Wording) -> None:
    wanted = st.text_input(words("documents.new_name"), max_chars=80, key="new_collection").strip()
    profile = st.radio(
        words("documents.profile"),
        PROFILES,
        index=PROFILES.index(library.settings.encoder_profile),
        format_func=lambda name: words(f"documents.profile_{name}"),
        captions=[words(f"documents.profile_{name}_caption") for name in PROFILES],
        key="new_profile",
    )
    if st.button(words("documents.create"), disabled=not wanted):
        library.create(wanted, in_profile(library.embedder, profile, library.settings))
        session.choose_collection(wanted)
        st.rerun()


def collection_label(name: str, summary: Summary | None, words: Wording) -> str:
    """A collection's name with its number of documents."""
    return f"{collection_name(name, words)} · {words('documents.count', count=summary.documents if summary else 0)}"


def _add(name: str, words: Wording) -> None:
    running = session.container().ingest.job(name)
    with st.form("add_files", clear_on_submit=True, border=False):
        files = st.file_uploader(words("documents.drop"), accept_multiple_files=True, key="uploaded")
        folder, sync = _folder(words)
        busy = running is not None and not running.is_over
        if st.form_submit_button(words("documents.add"), icon=":material/library_add:", disabled=busy):
            _start(name, list(files or ()), folder.strip(), sync)


def _folder(words: Wording) -> tuple[str, bool]:
    """A folder of this machine, and whether what is gone from it goes; none where the machine is not the person's."""
    if session.container().ingest.uploads_only:
        st.caption(words("account.uploads_only"))
        return "", False
    folder = st.text_input(words("documents.folder"), placeholder=words("documents.folder_hint"))
    return folder, st.checkbox(words("documents.sync"), help=words("documents.sync_help"))


def _start(name: str, files: list[Any], folder: str, sync: bool) -> None:
    ingest = session.container().ingest
    paths = [ingest.keep_upload(name, file.name, file.getvalue()) for file in files]
    if folder:
        paths.append(Path(folder).expanduser())
    if paths:
        # A path that does not exist is told by the job, like everything else that goes wrong in it.
        ingest.start(name, paths, IngestOptions(sync=sync))
        st.rerun()


def _progress(name: str) -> None:
    job = session.container().ingest.job(name)
    if job is None:
        return
    if job.is_over:
        _outcome(job, session.words())
    else:
        _watch(name)


@st.fragment(run_every=POLL_SECONDS)
def _watch(name: str) -> None:
    """The running ingest, drawn anew twice a second."""
    job, words = session.container().ingest.job(name), session.words()
    if job is None or job.is_over:
        st.rerun()
        return
    state = job.progress
    st.progress(state.share, text=_progress_label(state, words))
    st.button(words("documents.cancel"), on_click=job.cancel, disabled=job.is_cancelled, key="cancel_ingest")
    _files(state, words)


def _files(state: Progress, words: Wording) -> None:
    """What became of each file so far, the newest first."""
    if not state.files:
        return
    rows = [
        {
            words("documents.column_document"): line.name,
            words("documents.column_state"): words.or_key("status", line.status),
            words("documents.column_passages"): line.passages or None,
            words("documents.column_remarks"): " ".join(remark.in_(words.language) for remark in line.remarks),
        }
        for line in state.files
    ]
    st.dataframe(rows, hide_index=True, height=min(38 * len(rows) + 40, 260), key="files_of_run")


def _progress_label(state: Progress, words: Wording) -> str:
    if not state.total:
        return words("documents.planning")
    if not state.embedding:
        return words("documents.reading", done=state.done, total=state.total, name=plain_label(state.current, 60))
    said = words("documents.embedding", done=f"{state.done:,}", total=f"{state.total:,}")
    if state.seconds_left is None:
        return said
    return f"{said} · {words('jobs.left', time=jobs.time_left(state.seconds_left, words))}"


def _outcome(job: IngestJob, words: Wording) -> None:
    state = job.progress
    if state.problem is not None:
        st.error(message_label(state.problem.in_(words.language), 600), icon=":material/error:")
    elif state.finished is not None:
        # Their names and reasons stand below, file by file.
        line = plain_label(state.finished.line(words.language, named=False), 600)
        if state.finished.failed:
            st.warning(line, icon=":material/warning:")
        else:
            st.success(line, icon=":material/check:")


def _ledger(library: Library, name: str, words: Wording) -> None:
    if not library.exists(name):
        st.caption(words("documents.empty"))
        return
    with closing(library.reader(name)) as store:
        records, failures = store.documents(), store.failures()
    _failures(name, failures, words)
    if not records:
        st.caption(words("documents.empty"))
        return
    chosen = st.dataframe(
        [_row(record, words) for record in records],
        hide_index=True,
        selection_mode="single-row",
        on_select="rerun",
        key=f"ledger_{name}",
        column_config={words("documents.column_passages"): st.column_config.NumberColumn(width="small")},
    )
    rows = chosen["selection"]["rows"]
    if rows and rows[0] < len(records):
        _card(library, name, records[rows[0]], words)
    else:
        st.caption(words("documents.choose"))


def _row(record: DocumentRecord, words: Wording) -> dict[str, Any]:
    return {
        words("documents.column_document"): record.title or Path(record.uri).name,
        words("documents.column_kind"): Path(record.uri).suffix.lstrip(".").lower() or record.media_type,
        words("documents.column_language"): words.or_key("language", record.language),
        words("documents.column_passages"): record.chunks,
        words("documents.column_state"): words.or_key("status", record.status),
        words("documents.column_added"): datetime.fromtimestamp(record.added_at).strftime("%Y-%m-%d %H:%M"),
    }


def _failures(name: str, failures: list[FailureRecord], words: Wording) -> None:
    if not failures:
        return
    with st.expander(words("documents.failed_files", count=len(failures)), icon=":material/warning:"):
        for failure in failures:
            st.caption(message_label(failure.message.in_(words.language), 300))
        if st.button(words("documents.retry"), icon=":material/refresh:"):
            session.container().ingest.start(name, [Path(row.uri) for row in failures], IngestOptions(retry=True))
            st.rerun()


def _card(library: Library, name: str, record: DocumentRecord, words: Wording) -> None:
    with st.container(border=True):
        st.markdown(f"**{plain_label(record.title or record.uri, 120)}**")
        st.caption(shown_path(record.uri))
        _facts(record, words)
        with st.expander(words("documents.preview", count=record.chunks)):
            document_preview.draw(library, name, record, words)
        _edit(library, name, record, words)


def _fact(key: str, value: str | int | float, words: Wording) -> str:
    """A fact of a document's card as a person reads it."""
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    if isinstance(value, int):
        return f"{value:,}"
    return words.or_key("language", value) if key == "language" else value


def _facts(record: DocumentRecord, words: Wording) -> None:
    facts = [
        (words.or_key("card", key), _fact(key, value, words))
        for key, value in record.card.items()
        if isinstance(value, str | int | float) and value not in ("", 0) and key not in _TOLD_ELSEWHERE
    ]
    with st.container(horizontal=True, gap="medium"):
        for label, value in facts:
            with st.container(width="content", gap=None):
                st.caption(label)
                st.text(value)
    for key in ("garbled_pages", "ocr_pages"):
        if record.card.get(key):
            st.caption(f"{words(f'card.{key}')}: {', '.join(str(page) for page in record.card[key])}")
    for warning in record.card.get("warnings", ()):
        st.caption(":material/warning: " + plain_label(warning["zh" if words.language == "zh" else "en"], 300))


def _edit(library: Library, name: str, record: DocumentRecord, words: Wording) -> None:
    tags = st.text_input(words("documents.tags"), ", ".join(record.tags), key=f"tags_{record.id}")
    # As the collection keeps them: in another order, or named twice, they would be changed again at every drawing.
    wanted = tuple(sorted({tag.strip() for tag in tags.replace("，", ",").split(",") if tag.strip()}))
    if wanted != record.tags:
        changes.make(lambda: _write(library, name, lambda store: store.set_tags(record.id, wanted)), words)
    with st.container(horizontal=True):
        if st.button(words("documents.reingest"), icon=":material/refresh:", key=f"reingest_{record.id}"):
            session.container().ingest.start(name, [Path(record.uri)], IngestOptions(again=True))
            st.rerun()
        if st.button(words("documents.delete"), icon=":material/delete:", key=f"delete_{record.id}"):
            changes.make(lambda: _write(library, name, lambda store: store.remove_document(record.id)), words)


def _write(library: Library, name: str, change: Any) -> None:
    with library.writer(name, wait_seconds=5.0) as store:
        change(store)
