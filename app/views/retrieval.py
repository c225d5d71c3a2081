"""The search by itself: a question, what each leg finds, the passages in order and why, and one click to the exam."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date, datetime, time
from typing import Any

import streamlit as st

from app import session
from app.library import Choices, choices_of
from app.widgets.answer_text import plain_label
from app.wording import Wording
from core.errors import FourfoldError
from core.types import Retrieval, Scope, ScoredChunk
from evaluation.exam_questions import question_from_retrieval
from evaluation.exam_store import open_store
from retrieval.analysis import terms
from retrieval.library import Library
from retrieval.records import DocumentRecord

SHOWN = 10
# Characters beyond which a passage gets a window of so many pixels.
LONG, TALLEST = 300, 190
# Words of the question that a passage is said to hold, at most.
_WORDS_SHOWN = 8


def draw(library: Library, collection: str) -> None:
    """Draw the tab for one collection."""
    words = session.words()
    query = st.text_input(words("retrieval.query"), key="retrieval_query", icon=":material/search:").strip()
    scope = _scope(library, collection, words)
    if not query:
        st.caption(words("retrieval.explained"))
        return
    try:
        searcher = library.searcher()
        found = searcher.retrieve(query, scope, SHOWN)
        legs = searcher.search_legs(query, scope, SHOWN)
    except FourfoldError as error:
        st.error(plain_label(error.message.in_(words.language), 400))
        return
    _summary(found, words)
    with st.expander(words("retrieval.side_by_side"), icon=":material/view_column:"):
        _side_by_side({**legs, "together": found.chunks}, words)
    for rank, scored in enumerate(found.chunks, 1):
        _hit(collection, found, rank, scored, words)


def _scope(library: Library, collection: str, words: Wording) -> Scope:
    if not library.exists(collection):
        return Scope(collection=collection)
    with closing(library.reader(collection)) as store:
        records = store.documents()
    choices = choices_of(records, library.settings.paths.home)
    with st.popover(words("retrieval.filters"), icon=":material/filter_alt:"):
        return _filters(collection, choices, records, words)


def _filters(collection: str, choices: Choices, records: Sequence[DocumentRecord], words: Wording) -> Scope:
    def chosen(name: str, options: Sequence[str], label: Mapping[str, str] | None = None) -> tuple[str, ...]:
        shown = (label or {}).get
        values: list[str] = st.multiselect(
            words(f"retrieval.by_{name}"),
            options,
            format_func=lambda value: plain_label(shown(value, value), 60),
            key=f"retrieval_{name}",
        )
        return tuple(values)

    tongues = sorted({record.language for record in records})
    return Scope(
        collection=collection,
        document_ids=chosen("document", list(choices.documents), choices.documents),
        folders=chosen("folder", choices.folders),
        tags=chosen("tag", choices.tags),
        media_types=chosen("type", sorted({record.media_type for record in records})),
        languages=chosen("language", tongues, {tongue: words.or_key("language", tongue) for tongue in tongues}),
        modified_after=_seconds(st.date_input(words("retrieval.after"), None, key="retrieval_after")),
        modified_before=_seconds(st.date_input(words("retrieval.before"), None, key="retrieval_before")),
    )


def _seconds(day: Any) -> float | None:
    """The beginning of a day on this machine's clock, in seconds since the epoch."""
    return datetime.combine(day, time()).timestamp() if isinstance(day, date) else None


def _summary(found: Retrieval, words: Wording) -> None:
    total = found.milliseconds.get("total", sum(found.milliseconds.values()))
    level = words(f"evidence.{found.evidence.level}")
    steps = [
        f"{words.or_key('step', name)} {took:.1f} ms" for name, took in found.milliseconds.items() if name != "total"
    ]
    said = words("retrieval.summary", searched=f"{found.searched:,}", milliseconds=f"{total:.0f}", evidence=level)
    st.caption(said, help=" · ".join(steps))
    for note in found.notes:
        st.caption(plain_label(note, 200))


def _side_by_side(legs: Mapping[str, Sequence[ScoredChunk]], words: Wording) -> None:
    for (name, hits), column in zip(legs.items(), st.columns(len(legs)), strict=True):
        with column:
            st.markdown(f"**{words(f'leg.{name}')}**")
            lines = [f"{rank} · {plain_label(_place(hit), 44)} · {hit.score:.3f}" for rank, hit in enumerate(hits, 1)]
            st.caption("  \n".join(lines) or words("retrieval.nothing"))


def _hit(collection: str, found: Retrieval, rank: int, scored: ScoredChunk, words: Wording) -> None:
    chunk = scored.chunk
    with st.container(border=True, gap="small"):
        place = f", {words('sources.page', page=chunk.page)}" if chunk.page else ""
        st.markdown(f"**{rank} · {plain_label(_place(scored), 80)}**{place}")
        # A long passage is read in its place, so that the next one is seen too.
        with st.container(height=TALLEST if len(chunk.text) > LONG else "content", border=False):
            st.text(chunk.text)
        st.caption(" · ".join(reasons(found.query, scored, words)))
        with st.popover(words("retrieval.save"), icon=":material/school:"):
            _save(collection, found.query, scored, words)


def _save(collection: str, query: str, scored: ScoredChunk, words: Wording) -> None:
    """Keep the question as one of the exam, with this passage as what should be found."""
    key = scored.chunk.id
    answer = st.text_input(
        words("retrieval.answer"), key=f"retrieval_answer_{key}", help=words("retrieval.answer_help")
    )
    if st.button(words("retrieval.keep"), key=f"retrieval_keep_{key}"):
        item = question_from_retrieval(collection, query, scored.chunk, answer)
        new = open_store(session.container().settings).add([item])
        st.caption(words("retrieval.kept" if new else "retrieval.known"))


def reasons(query: str, scored: ScoredChunk, words: Wording) -> list[str]:
    """Why a passage stands where it stands: its score, what each leg put into it, the words it shares, its joining."""
    parts = [words("retrieval.score", score=f"{scored.score:.3f}")]
    for leg, share in scored.shares.items():
        if leg not in scored.ranks:
            parts.append(words("retrieval.not_found_by", leg=words(f"leg.{leg}")))
            continue
        values = {"rank": scored.ranks[leg], "own": f"{scored.legs[leg]:.3f}", "share": f"{share:.3f}"}
        parts.append(words("retrieval.by_leg", leg=words(f"leg.{leg}"), **values))
    held = set(terms(scored.chunk.embedded_text))
    shared = [plain_label(term, 30) for term in dict.fromkeys(terms(query)) if term in held]
    if shared:
        comma = "、" if words.language == "zh" else ", "
        parts.append(words("retrieval.words", words=comma.join(shared[:_WORDS_SHOWN])))
    if "joined" in scored.chunk.metadata:
        parts.append(words("retrieval.joined"))
    return parts


def _place(scored: ScoredChunk) -> str:
    chunk = scored.chunk
    return " › ".join(dict.fromkeys([chunk.title or chunk.uri, *chunk.heading_path[-1:]]))
