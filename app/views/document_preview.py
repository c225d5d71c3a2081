"""What became of a document: its passages over the picture of a page, or marked in its text."""

import hashlib
import html
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import streamlit as st

from app.library import parts_on_pages
from app.pdf_page import page_picture
from app.widgets.answer_text import passage_html
from app.wording import Wording
from core.types import Chunk
from retrieval.library import Library
from retrieval.records import DocumentRecord

# A text without pages is shown in windows of so many passages.
AT_ONCE = 20
_PDF = "application/pdf"
_COLOURS = ("rgba(240,190,60,.28)", "rgba(90,150,240,.24)")


def draw(library: Library, collection: str, record: DocumentRecord, words: Wording) -> None:
    """The passages of one document, page by page."""
    with closing(library.reader(collection)) as store:
        chunks, text = store.chunks_of_document(record.id), store.document_text(record.id)
        pages = store.document_pages(record.id)
    if not chunks:
        return
    parts = {chunk.id: parts_on_pages(pages, chunk.start, chunk.end) for chunk in chunks}
    shown, page = _chosen(chunks, parts, record.id, words)
    picture = None
    if record.media_type == _PDF and page is not None:
        passages = tuple(text[slice(*parts[chunk.id][page])] for chunk in shown)
        picture = _picture(record.uri, record.content_hash, page, passages)
    if picture is not None:
        st.image(picture, width="stretch")
    else:
        st.html(marked_html(text, shown))


def marked_html(text: str, chunks: Sequence[Chunk]) -> str:
    """The text around `chunks` with each of them on a colour of its own; what two share belongs to the first."""
    start, pieces = min(chunk.start for chunk in chunks), []
    at = start
    for place, chunk in enumerate(sorted(chunks, key=lambda chunk: chunk.start)):
        pieces.append(passage_html(text[at : max(at, chunk.start)]))
        inside = passage_html(text[max(at, chunk.start) : max(at, chunk.end)])
        label = html.escape(" › ".join(chunk.heading_path), quote=True)
        colour = _COLOURS[place % len(_COLOURS)]
        pieces.append(f'<span title="{chunk.position + 1}: {label}" style="background:{colour}">{inside}</span>')
        at = max(at, chunk.end)
    return f'<div style="white-space:pre-wrap;overflow-wrap:anywhere">{"".join(pieces)}</div>'


def _chosen(
    chunks: Sequence[Chunk], parts: Mapping[str, Mapping[int, object]], document_id: str, words: Wording
) -> tuple[list[Chunk], int | None]:
    """The passages of the page that is chosen, and its number; a window of them where there are no pages.

    `parts` tells of each passage, by its id, the pages that it stands on.
    """
    numbers = sorted({number for found in parts.values() for number in found})
    if len(numbers) > 1:
        page = st.selectbox(words("documents.page"), numbers, key=f"page_{document_id}")
        return [chunk for chunk in chunks if page in parts[chunk.id]], page
    only = numbers[0] if numbers else None
    if len(chunks) <= AT_ONCE:
        return list(chunks), only
    starts = list(range(0, len(chunks), AT_ONCE))
    first = st.selectbox(
        words("documents.passages"),
        starts,
        format_func=lambda start: f"{start + 1} - {min(start + AT_ONCE, len(chunks))}",
        key=f"window_{document_id}",
    )
    return list(chunks[first : first + AT_ONCE]), only


@st.cache_data(show_spinner=False, max_entries=64)
def _picture(uri: str, content_hash: str, page: int, passages: tuple[str, ...]) -> bytes | None:
    path = Path(uri)
    # The page is drawn only from the very file that was ingested.
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != content_hash:
        return None
    return page_picture(path, page, *passages)
