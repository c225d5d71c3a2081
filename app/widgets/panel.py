"""The side panel: the passage behind a citation, or the exact prompt of an answer."""

import html
from collections.abc import Callable

import streamlit as st

from app import session
from app.answer_view import AnswerView, view_of_message
from app.widgets.answer_text import marked_passage_html, plain_label
from app.wording import Wording
from orchestrator.events import ContextAssembled, PromptSpan, Source

ORIGINS = ("template", "system", "history", "source", "tool", "question")


def draw_open_panel() -> None:
    """Open what the session says is open."""
    panel = session.panel()
    if panel is None:
        return
    try:
        view = view_of_message(session.container().history.message(panel.subject))
    except KeyError:
        session.close_panel()
        return
    words = session.words()
    source = view.source(panel.number)
    if panel.kind == "source" and source is not None:
        _dialog(words("sources.title", number=source.number), lambda: _source(source, view, words))
    elif panel.kind == "prompt" and view.context is not None:
        context = view.context
        _dialog(words("prompt.title"), lambda: _prompt(context, words))


def _dialog(title: str, draw: Callable[[], None]) -> None:
    st.dialog(title, width="medium", position="right", on_dismiss=session.close_panel)(draw)()


def _source(source: Source, view: AnswerView, words: Wording) -> None:
    chunk = source.chunk.chunk
    st.markdown(f"**{plain_label(chunk.title or chunk.uri, 120)}**")
    where = [plain_label(name, 60) for name in chunk.heading_path if name != chunk.title]
    if chunk.page is not None:
        where.append(words("sources.page", page=chunk.page))
    if where:
        st.caption(" › ".join(where))
    start, end = _marked_span(source, view)
    st.html(marked_passage_html(chunk.text, start, end))
    reason = source.reason.in_(words.language)
    status = words("sources.used" if source.used else "sources.not_used")
    st.caption(status + (f" {plain_label(reason, 200)}" if reason else ""))
    st.caption(plain_label(chunk.uri, 200))


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


def _prompt(context: ContextAssembled, words: Wording) -> None:
    total = sum(context.tokens_by_origin.values())
    st.caption(words("prompt.explained", total=total, budget=context.budget_tokens))
    counts = [
        f'<span class="ff-origin ff-{origin}">{html.escape(words(f"origin.{origin}"))} {tokens}</span>'
        for origin in ORIGINS
        if (tokens := context.tokens_by_origin.get(origin, 0))
    ]
    st.html(f'<div class="ff-legend">{"".join(counts)}</div>')
    st.html(f'<div class="ff-prompt">{"".join(_coloured(context.prompt, context.spans))}</div>')
    if context.left_out:
        st.markdown(f"**{words('prompt.left_out')}**")
    for left in context.left_out:
        st.caption(plain_label(left.in_(words.language), 200))


def _coloured(prompt: str, spans: tuple[PromptSpan, ...]) -> list[str]:
    pieces, at = [], 0
    for span in sorted(spans, key=lambda span: span.start):
        pieces.append(html.escape(prompt[at : span.start]))
        # The class is one of a closed set, never text from outside.
        origin = span.origin if span.origin in ORIGINS else "template"
        pieces.append(f'<span class="ff-{origin}">{html.escape(prompt[span.start : span.end])}</span>')
        at = span.end
    return [*pieces, html.escape(prompt[at:])]
