"""The search by itself: a question, the passages in order, and what each leg thought of them."""

import streamlit as st

from app import session
from app.widgets.answer_text import plain_label
from app.wording import Wording
from core.errors import FourfoldError
from core.types import Retrieval, Scope, ScoredChunk
from retrieval.library import Library

SHOWN = 10


def draw(library: Library, collection: str) -> None:
    """Draw the tab for one collection."""
    words = session.words()
    query = st.text_input(words("retrieval.query"), key="retrieval_query", icon=":material/search:").strip()
    if not query:
        st.caption(words("retrieval.explained"))
        return
    try:
        found = library.searcher().retrieve(query, Scope(collection=collection), SHOWN)
    except FourfoldError as error:
        st.error(plain_label(error.message.in_(words.language), 400))
        return
    _summary(found, words)
    for rank, scored in enumerate(found.chunks, 1):
        _hit(rank, scored, words)


def _summary(found: Retrieval, words: Wording) -> None:
    total = found.milliseconds.get("total", sum(found.milliseconds.values()))
    st.caption(
        words(
            "retrieval.summary",
            searched=f"{found.searched:,}",
            milliseconds=f"{total:.0f}",
            evidence=words(f"evidence.{found.evidence.level}"),
        )
    )
    for note in found.notes:
        st.caption(plain_label(note, 200))


def _hit(rank: int, scored: ScoredChunk, words: Wording) -> None:
    chunk = scored.chunk
    with st.container(border=True, gap="small"):
        place = f", {words('sources.page', page=chunk.page)}" if chunk.page else ""
        st.markdown(f"**{rank} · {plain_label(chunk.title or chunk.uri, 80)}**{place}")
        st.text(chunk.text)
        st.caption(" · ".join(_legs(scored, words)))


def _legs(scored: ScoredChunk, words: Wording) -> list[str]:
    parts = [words("retrieval.score", score=f"{scored.score:.3f}")]
    for leg, score in scored.legs.items():
        rank = scored.ranks.get(leg)
        place = f" (#{rank})" if rank is not None else ""
        parts.append(f"{words.or_key('leg', leg)} {score:.3f}{place}")
    return parts
