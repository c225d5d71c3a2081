"""What became of a document: its passages over the picture of a page, or marked in its text."""

import hashlib
import html
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import streamlit as st

from app.pdf_page import page_picture
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
    if not chunks:
        return
    shown = _chosen(chunks, record.id, words)
    picture = None
    if record.media_type == _PDF and shown[0].page is not None:
        passages = tuple(chunk.text for chunk in shown)
        picture = _picture(record.uri, record.content_hash, shown[0].page, passages)
    if picture is not None:
        st.image(picture, width="stretch")
    else:
        st.html(marked_html(text, shown))


def marked_html(text: str, chunks: Sequence[Chunk]) -> str:
    """The text around `chunks` with each of them on a colour of its own; what two share belongs to the first."""
    start, pieces = min(chunk.start for chunk in chunks), []
    at = start
    for place, chunk in enumerate(sorted(chunks, key=lambda chunk: chunk.start)):
        pieces.append(html.escape(text[at : max(at, chunk.start)]))
        inside = html.escape(text[max(at, chunk.start) : max(at, chunk.end)])
        label = html.escape(" › ".join(chunk.heading_path), quote=True)
        colour = _COLOURS[place % len(_COLOURS)]
        pieces.append(f'<span title="{chunk.position + 1}: {label}" style="background:{colour}">{inside}</span>')
        at = max(at, chunk.end)
    return f'<div style="white-space:pre-wrap;overflow-wrap:anywhere">{"".join(pieces)}</div>'


def _chosen(chunks: Sequence[Chunk], document_id: str, words: Wording) -> list[Chunk]:
    """The passages of the page that is chosen, or a window of them where there are no pages."""
    pages = sorted({chunk.page for chunk in chunks if chunk.page is not None})
    if len(pages) > 1:
        page = st.selectbox(words("documents.page"), pages, key=f"page_{document_id}")
        return [chunk for chunk in chunks if chunk.page == page]
    if len(chunks) <= AT_ONCE:
        return list(chunks)
    starts = list(range(0, len(chunks), AT_ONCE))
    first = st.selectbox(
        words("documents.passages"),
        starts,
        format_func=lambda start: f"{start + 1} - {min(start + AT_ONCE, len(chunks))}",
        key=f"window_{document_id}",
    )
    return list(chunks[first : first + AT_ONCE])


@st.cache_data(show_spinner=False, max_entries=64)
def _picture(uri: str, content_hash: str, page: int, passages: tuple[str, ...]) -> bytes | None:
    path = Path(uri)
    # The page is drawn only from the very file that was ingested.
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != content_hash:
        return None
    return page_picture(path, page, *passages)
