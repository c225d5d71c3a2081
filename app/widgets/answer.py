"""An answer on the page: how it was routed, the steps, the text with its chips, the sources, what it cost."""

import html
from typing import Any

import streamlit as st

from app import session
from app.answer_view import AnswerView, ToolStep
from app.widgets.answer_text import answer_html, message_label, plain_label, quoted_html
from app.widgets.listener import listen
from app.wording import Wording
from core.types import EMBEDDED_SHARE, ConcreteMode
from orchestrator.events import AnswerCompleted, Route, Source
from orchestrator.prompts import texts

MODE_ICONS: dict[str, str] = {
    "auto": ":material/auto_awesome:",
    "prompt": ":material/edit_note:",
    "tools": ":material/build:",
    "rag": ":material/library_books:",
    "finetuned": ":material/tune:",
}
# Nothing is broken: the question only has to take another way.
_ANOTHER_WAY = (texts.ADAPTER_MISSING, texts.LANGUAGE_UNKNOWN, texts.NO_TOOL_FITS, texts.TOOLS_MISSING)
_EVIDENCE_COLOURS: dict[str, str] = {"strong": "green", "weak": "orange", "none": "gray"}


def draw_running(view: AnswerView, answer_id: str) -> None:
    """An answer that is being written: steps and text so far."""
    words = session.words()
    with st.container(gap="small"):
        _steps(view, words)
        _thinking(view, words)
        if view.text:
            st.html(answer_html(view.text, answer_id))
        else:
            st.caption(_waiting_for(view, words))


def draw_finished(view: AnswerView, answer_id: str, ask_again: Any) -> None:
    """A whole answer. `ask_again(mode)` asks the same question in another mode."""
    words = session.words()
    with st.container(gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            if view.route is not None:
                _receipt(view.route, words, answer_id, ask_again)
            _steps(view, words)
        _thinking(view, words)
        _text(view, answer_id, words)
        _sources(view, answer_id, words)


def draw_plain(view: AnswerView, answer_id: str) -> None:
    """A whole answer without what leads on from it: steps, text, sources."""
    words = session.words()
    _steps(view, words)
    _text(view, answer_id, words)
    _sources(view, answer_id, words)


def _text(view: AnswerView, answer_id: str, words: Wording) -> None:
    completed = view.completed
    if completed is not None and completed.kind != "model" and not completed.pending:
        kind = "tool_failed" if completed.kind == "tool_result" and _last_tool_failed(view) else completed.kind
        st.badge(words(f"kind.{kind}"), color="gray", help=words(f"kind.{kind}_help"))
    if view.text:
        numbers = [source.number for source in view.found.sources] if view.found else []
        if completed is not None and completed.kind == "extractive":
            st.html(quoted_html(view.text, answer_id, numbers))
        else:
            doubted = [(doubt.start, doubt.end) for doubt in completed.unsupported] if completed else []
            st.html(answer_html(view.text, answer_id, numbers, doubted))
        listen(answer_id, view.text)
    for notice in completed.notices if completed else ():
        st.caption(message_label(notice.in_(words.language), 400))
    if view.failed is not None:
        said = message_label(view.failed.in_(words.language), 600)
        if view.failed in _ANOTHER_WAY:
            st.info(said, icon=":material/alt_route:")
        else:
            st.error(said, icon=":material/error:")
    elif view.interrupted:
        st.caption(":material/pause_circle: " + words("answer.interrupted"))
    elif completed is not None and completed.stopped:
        st.caption(":material/stop_circle: " + words("answer.stopped"))


def _last_tool_failed(view: AnswerView) -> bool:
    return bool(view.tools) and view.tools[-1].finished is not None and view.tools[-1].finished.failed


def copy_button(answer_id: str, words: Wording) -> None:
    """Copies the text of an answer; the listener beside the text makes it work."""
    label = html.escape(words("answer.copy"))
    named = f'title="{label}" aria-label="{label}"'
    st.html(f'<button class="ff-copy" data-copy="{answer_id}" {named}>content_copy</button>', width=32)


def _waiting_for(view: AnswerView, words: Wording) -> str:
    if session.container().state == "loading":
        return ":material/hourglass_top: " + words("answer.waits_for_model")
    if view.queue_position:
        return ":material/hourglass_top: " + words("answer.queued", position=view.queue_position)
    if view.context is not None:
        return ":material/menu_book: " + words("answer.reading", tokens=sum(view.context.tokens_by_origin.values()))
    return ":material/search: " + words("answer.starting")


def _receipt(route: Route, words: Wording, answer_id: str, ask_again: Any) -> None:
    icon, name = MODE_ICONS[route.mode], words(f"mode.{route.mode}")
    by_user = route.chosen_by == "user"
    label = name if by_user else f"{name} · {words('receipt.auto')}"
    with st.popover(label, icon=icon, type="tertiary", key=f"receipt_{answer_id}", help=words("receipt.help")):
        if by_user:
            st.write(words("receipt.by_you", mode=name))
        else:
            st.write(words("receipt.chosen", mode=name, confidence=f"{route.confidence:.0%}"))
        st.caption("  \n".join(f"• {plain_label(signal.text.in_(words.language), 160)}" for signal in route.signals))
        others = _other_modes(route)
        if others:
            st.caption(words("receipt.try_other"))
        for mode in others:
            if st.button(words(f"mode.{mode}"), key=f"again_{mode}_{answer_id}", icon=MODE_ICONS[mode]):
                ask_again(mode)


def _other_modes(route: Route) -> list[ConcreteMode]:
    if route.runner_up is not None:
        return [route.runner_up]
    return ["prompt"] if route.mode == "rag" else ["rag"]


def _steps(view: AnswerView, words: Wording) -> None:
    if view.rewritten:
        st.caption(":material/edit: " + words("steps.rewritten", query=plain_label(view.rewritten, 120)))
    if view.found is not None:
        considered, used = len(view.found.sources), len(view.used_sources)
        level = view.found.evidence.level
        st.caption(
            words(
                "steps.searched",
                searched=f"{view.found.searched:,}",
                considered=considered,
                used=used,
                colour=_EVIDENCE_COLOURS[level],
                evidence=words(f"evidence.{level}"),
            )
        )
        share = view.found.evidence.signals.get(EMBEDDED_SHARE)
        if share is not None:
            st.caption(":material/hourglass_top: " + words("steps.embedded", share=f"{share:.0%}"))
    waiting = {item.call.id for item in view.completed.pending} if view.completed is not None else set()
    for step in view.tools:
        # What waits for a decision stands on its card.
        if step.proposed is None or step.proposed.call.id not in waiting:
            _tool(step, words)


def _tool(step: ToolStep, words: Wording) -> None:
    call = step.finished.call if step.finished else step.proposed.call if step.proposed else None
    if call is None:
        return
    arguments = ", ".join(f"{name}={value}" for name, value in call.arguments.items())
    outcome = words("steps.running") if step.finished is None else step.finished.result
    state: Any = "running" if step.finished is None else "error" if step.finished.failed else "complete"
    with st.status(f"{plain_label(call.name)}({plain_label(arguments, 80)})", state=state, type="step"):
        st.text(outcome)


def _thinking(view: AnswerView, words: Wording) -> None:
    if view.thinking:
        with st.expander(words("answer.thinking"), icon=":material/psychology:"):
            st.text(view.thinking)


def _sources(view: AnswerView, answer_id: str, words: Wording) -> None:
    shown = _shown_sources(view)
    if not shown:
        return
    with st.container(horizontal=True, gap="small", key=f"sources_{answer_id}"):
        for source in shown:
            st.button(
                f"{source.number} · {source_label(source, words)}",
                key=f"source_{answer_id}_{source.number}",
                on_click=session.open_panel,
                args=("source", answer_id, source.number),
                help=words("sources.open"),
            )


def _shown_sources(view: AnswerView) -> list[Source]:
    """The cited sources; after a refusal the closest passages; else nothing cited, those that were read."""
    completed = view.completed
    cited = {citation.number for citation in completed.citations} if completed else set()
    sources = list(view.found.sources) if view.found else []
    if cited:
        return [source for source in sources if source.number in cited]
    return sources[:3] if completed is not None else []


def source_label(source: Source, words: Wording) -> str:
    """Title and page, or heading where there is no page, of a source, for a chip."""
    chunk = source.chunk.chunk
    title = plain_label(chunk.title or chunk.uri.rsplit("/", 1)[-1], 36)
    if chunk.page is not None:
        return f"{title}, {words('sources.page', page=chunk.page)}"
    heading = next((name for name in reversed(chunk.heading_path) if name != chunk.title), "")
    return f"{title} › {plain_label(heading, 24)}" if heading else title


def cost_line(completed: AnswerCompleted, words: Wording) -> str:
    """Tokens, speed, time to the first token and seed of an answer, in one line."""
    parts = []
    if completed.usage.completion_tokens:
        parts.append(words("cost.tokens", tokens=completed.usage.completion_tokens))
        if completed.timings.generate > 0:
            speed = completed.usage.completion_tokens / completed.timings.generate
            parts.append(words("cost.speed", speed=f"{speed:.0f}"))
        parts.append(words("cost.first_token", seconds=f"{completed.timings.first_token:.1f}"))
    parts.append(words("cost.total", seconds=f"{completed.timings.total:.1f}"))
    if completed.adapter:
        parts.append(plain_label(completed.adapter))
    if completed.seed is not None and completed.usage.completion_tokens:
        parts.append(words("cost.seed", seed=completed.seed))
    return " · ".join(parts)
