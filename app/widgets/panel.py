"""The side panel: the passage behind a citation, or the exact prompt of an answer."""

import hashlib
import html
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from app import session
from app.answer_view import AnswerView, view_of_message
from app.library import Surroundings, parts_on_pages, surroundings
from app.pdf_page import page_picture
from app.widgets import bill, scope
from app.widgets.answer_text import marked_passage_html, passage_html, plain_label
from app.widgets.paths import shown_path
from app.wording import Wording
from core.types import Chunk
from orchestrator.events import ContextAssembled, PromptSpan, Source

CONTEXT_CHARACTERS = 700
# Beside the chat, not over it, on a screen of 1400 pixels.
PANEL_PIXELS = 560
ORIGINS = ("template", "system", "history", "source", "tool", "question")


def draw_open_panel() -> None:
    """Open what the session says is open of an answer."""
    panel, words = session.panel(), session.words()
    if panel is not None and panel.kind == "scope":
        _dialog(words("scope.help"), lambda: scope.draw_choices(words))
    if panel is None or not panel.subject:
        return
    try:
        view = view_of_message(session.container().history.message(panel.subject))
    except KeyError:
        session.close_panel()
        return
    source = view.source(panel.number)
    if panel.kind == "source" and source is not None:
        _dialog(words("sources.title", number=source.number), lambda: _source(source, view, words))
    elif panel.kind == "prompt" and view.context is not None:
        context = view.context
        _dialog(words("prompt.title"), lambda: _prompt(context, panel.subject, words))
    elif panel.kind == "bill" and view.completed is not None and session.container().is_built:
        _dialog(bill.title(words.language), lambda: bill.draw(view, panel.subject))


def _dialog(title: str, draw: Callable[[], None]) -> None:
    st.dialog(title, width=PANEL_PIXELS, position="right", on_dismiss=session.close_panel)(draw)()


def _source(source: Source, view: AnswerView, words: Wording) -> None:
    chunk, box = source.chunk.chunk, session.container()
    start, end = _marked_span(source, view)
    document = surroundings(box.parts().library, chunk) if box.state == "ready" else None
    page = page_of(chunk, start, document)
    st.markdown(f"**{plain_label(chunk.title or chunk.uri, 120)}**")
    where = [plain_label(name, 60) for name in chunk.heading_path if name != chunk.title]
    if page is not None:
        where.append(words("sources.page", page=page))
    if where:
        st.caption(" › ".join(where))
    if document is not None:
        _passage(chunk, (start, end), document, page)
    else:
        st.html(marked_passage_html(chunk.text, start, end))
        if box.state == "ready":
            st.caption(words("sources.removed"))
    if source.used:
        st.caption(words("sources.used"))
    else:
        st.caption(f"{words('sources.not_used')} {plain_label(source.reason.in_(words.language), 200)}")
    st.caption(shown_path(chunk.uri))


def page_of(chunk: Chunk, start: int, document: Surroundings | None) -> int | None:
    """The page of the marked sentence: a passage may begin on the page before."""
    at = chunk.start + start
    found = parts_on_pages(document.pages, at, at + 1) if document is not None else {}
    return next(iter(found), chunk.page)


def _passage(chunk: Chunk, span: tuple[int, int], document: Surroundings, page: int | None) -> None:
    """The passage in its document: on the picture of a page where there is one, else in the text around it."""
    (start, end), picture = span, None
    if page is not None and document.record.media_type == "application/pdf":
        marked = chunk.text[start:end] or chunk.text
        picture = _picture(document.record.uri, document.record.content_hash, page, marked)
    if picture is not None:
        st.image(picture, width="stretch")
    else:
        st.html(in_context_html(document.text, chunk, start, end))


@st.cache_data(show_spinner=False, max_entries=64)
def _picture(uri: str, content_hash: str, page: int, passage: str) -> bytes | None:
    path = Path(uri)
    # The page is drawn only from the very file that was ingested.
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != content_hash:
        return None
    return page_picture(path, page, passage)


def in_context_html(text: str, chunk: Chunk, start: int, end: int) -> str:
    """The passage with its sentence marked, between some of the text before and after it, paler."""
    before = text[max(0, chunk.start - CONTEXT_CHARACTERS) : chunk.start]
    after = text[chunk.end : chunk.end + CONTEXT_CHARACTERS]
    passage = marked_passage_html(chunk.text, start, end)
    opening = "…" if chunk.start > CONTEXT_CHARACTERS else ""
    closing = "…" if chunk.end + CONTEXT_CHARACTERS < len(text) else ""
    return f"{_pale(before, opening, '')}{passage}{_pale(after, '', closing)}"


def _pale(text: str, opening: str, closing: str) -> str:
    return f'<div class="ff-pale">{opening}{passage_html(text.strip())}{closing}</div>' if text.strip() else ""


def _marked_span(source: Source, view: AnswerView) -> tuple[int, int]:
    citations = view.completed.citations if view.completed else ()
    return next(
        (
            (citation.passage_start, citation.passage_end)
            for citation in citations
            if citation.number == source.number and citation.passage_end > citation.passage_start
        ),
        (0, 0),
    )


def _prompt(context: ContextAssembled, answer_id: str, words: Wording) -> None:
    if session.page("xray") is not None and st.button(words("prompt.xray"), icon=":material/radiology:"):
        session.close_panel()
        st.switch_page(session.page("xray"), query_params={"answer": answer_id})
    total = sum(context.tokens_by_origin.values())
    st.caption(words("prompt.explained", total=f"{total:,}", budget=f"{context.budget_tokens:,}"))
    counts = [
        f'<span class="ff-origin ff-{origin}">{html.escape(words(f"origin.{origin}"))} {tokens}</span>'
        for origin in ORIGINS
        if (tokens := context.tokens_by_origin.get(origin, 0))
    ]
    st.html(f'<div class="ff-legend">{"".join(counts)}</div>')
    st.html(f'<div class="ff-prompt">{"".join(_coloured(context.prompt, context.spans))}</div>')
    if context.left_out:
        st.markdown(f"**{words('prompt.left_out')}**")
        st.caption("  \n".join(plain_label(left.in_(words.language), 200) for left in context.left_out))


def _coloured(prompt: str, spans: tuple[PromptSpan, ...]) -> list[str]:
    pieces, at = [], 0
    for span in sorted(spans, key=lambda span: span.start):
        pieces.append(html.escape(prompt[at : span.start]))
        # The class is one of a closed set, never text from outside.
        origin = span.origin if span.origin in ORIGINS else "template"
        pieces.append(f'<span class="ff-{origin}">{html.escape(prompt[span.start : span.end])}</span>')
        at = span.end
    return [*pieces, html.escape(prompt[at:])]
