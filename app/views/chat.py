"""The chat: questions, streamed answers with their receipts, and the welcome of an empty conversation."""

import html
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from app import connections, export, prompt_library, session
from app.answer_view import events_of_message, view_of_message
from app.ingest_jobs import safe_name
from app.runs import AnswerRun
from app.widgets import answer, approval, bill, meter, panel, scope
from app.widgets.answer_text import plain_label
from app.wording import Wording
from core.types import AnswerOptions, DecidedCall, Mode, Question
from ingest.samples import SuggestedQuestion, sample_collection, suggested_questions
from orchestrator.approval import always_allowed, resume
from orchestrator.events import Route
from orchestrator.history import TITLE_LENGTH, Overrule, StoredMessage

MODES: tuple[Mode, ...] = ("auto", "prompt", "tools", "rag", "finetuned")
# The modes that the welcome shows with a question each.
OFFERED: tuple[Mode, ...] = ("rag", "tools", "prompt")
POLL_SECONDS = 0.2
_WHERE_ICONS = (":material/computer:", ":material/lock:")


def draw() -> None:
    """Draw the page of the conversation that is open."""
    words = session.words()
    thread = _thread()
    run = session.container().runs.get(thread[-1].id) if thread else None
    # Drawn first: an answer can be stopped, and the next question asked, before a long conversation stands there.
    with st.bottom:
        # It stands still here; below the growing text it would run away from the pointer.
        if run is not None:
            _stop_button(run)
        _controls(words)
        text = st.chat_input(words("chat.placeholder"), key="question", max_chars=20_000)
    if text:
        ask(text)
    if thread:
        st.query_params[session.CONVERSATION_PARAMETER] = thread[0].conversation_id
        _heading(thread, words)
    else:
        st.query_params.pop(session.CONVERSATION_PARAMETER, None)
        _welcome(words)
    for place, message in enumerate(thread):
        _turn(message, is_last=place == len(thread) - 1)
    panel.draw_open_panel()


def _first_questions(words: Wording) -> list[SuggestedQuestion]:
    """One question for each mode, in the language of the page; no writing in a language that the model cannot write."""
    mine = [question for question in suggested_questions() if question.language == words.language]
    model = session.container().model
    writes = model.languages if model is not None else ("en",)
    offered = [mode for mode in OFFERED if mode != "prompt" or words.language in writes]
    first = {mode: next(question for question in mine if question.mode == mode) for mode in offered}
    others = [question for question in mine if question.mode == "rag" and question not in first.values()]
    return [*first.values(), *others][: len(OFFERED)]


def ask(text: str, mode: Mode | None = None) -> None:
    """Store a question and begin its answer; the conversation is made where none is open."""
    history = session.container().history
    if not session.conversation_id() or not _exists(session.conversation_id()):
        session.open_conversation(history.create().id)
    question = history.add_question(session.conversation_id(), text)
    _begin(question, mode or session.mode())


def _begin(question: StoredMessage, mode: Mode) -> None:
    _answer(question, _asked(question, mode))


def _asked(question: StoredMessage, mode: Mode) -> Question:
    box = session.container()
    plain = Question(
        text=question.text,
        history=box.history.chat_before(question.id),
        mode=mode,
        scope=session.scope(),
        conversation_id=question.conversation_id,
        options=AnswerOptions(allowed_tools=_allowed_tools()),
        adapter=session.adapter() if mode == "finetuned" else "",
    )
    return prompt_library.shaped(box.settings.paths.home, plain)


def _allowed_tools() -> tuple[str, ...]:
    """What a person allowed for the whole of this conversation."""
    return always_allowed(event for message in _thread() for event in events_of_message(message))


def _answer(question: StoredMessage, asked: Question) -> None:
    box = session.container()
    message = box.history.begin_answer(question.id)
    box.runs.start(message.id, box.answering(asked))
    st.rerun()


def _decided(message: StoredMessage, decisions: Sequence[DecidedCall]) -> None:
    """Go on with an answer whose calls were decided; it stands beside the one that waited."""
    question = session.container().history.message(message.parent_id)
    _answer(question, resume(_asked(question, "tools"), events_of_message(message), decisions))


def _ask_again(question_id: str, route: Route | None, mode: Mode) -> None:
    """Answer the same question anew; a route that was overruled is kept as a case for the router."""
    history = session.container().history
    question = history.message(question_id)
    if route is not None and route.chosen_by != "user" and mode != "auto" and mode != route.mode:
        earlier = tuple(turn.content for turn in history.chat_before(question_id))
        history.add_overrule(Overrule(question.text, earlier, session.collection(), route.mode, mode))
    _begin(question, mode)


def _thread() -> list[StoredMessage]:
    identifier = session.conversation_id()
    try:
        return session.container().history.thread(identifier) if identifier else []
    except KeyError:
        # An address of a conversation that was deleted.
        session.open_conversation("")
        return []


def _exists(identifier: str) -> bool:
    try:
        session.container().history.thread(identifier)
    except KeyError:
        return False
    return True


def _turn(message: StoredMessage, is_last: bool) -> None:
    if message.role == "user":
        _question(message)
        return
    run = session.container().runs.get(message.id)
    if run is not None:
        _running(message.id)
        return
    if message.status == "streaming":
        # It ended after the thread was read; what was read is not yet the whole of it.
        message = session.container().history.message(message.id)
    view = view_of_message(message)
    answer.draw_finished(view, message.id, partial(_ask_again, message.parent_id, view.route))
    if is_last and view.completed is not None and view.completed.kind == "refusal":
        _without_documents(message)
    if is_last and view.completed is not None and view.completed.pending:
        decide = partial(_decided, message)
        approval.draw(view.completed.pending, message.id, decide, session.words(), _parameters_of)
    _actions(message, is_last)


def _without_documents(refusal: StoredMessage) -> None:
    """The documents do not say: the model may, from what it learnt."""
    label, icon = session.words()("answer.without_documents"), answer.MODE_ICONS["prompt"]
    if st.button(label, key=f"without_{refusal.id}", icon=icon):
        _ask_again(refusal.parent_id, None, "prompt")


def _parameters_of(tool: str) -> Mapping[str, Any] | None:
    """The schema of a tool's arguments; None where it is not known any more."""
    box = session.container()
    entries = box.parts().registry.all(session.scope()) if box.is_built and box.problem is None else ()
    return next((entry.parameters for entry in entries if entry.name == tool), None)


def _question(message: StoredMessage) -> None:
    st.html(f'<div class="ff-question">{html.escape(message.text)}</div>')
    words = session.words()
    key = f"question_tools_{message.id}"
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", key=key):
        _siblings(message)
        with st.popover(":material/edit:", type="tertiary", help=words("chat.edit"), key=f"edit_{message.id}"):
            text = st.text_area(words("chat.edit"), message.text, key=f"text_{message.id}")
            if st.button(words("chat.ask_edited"), type="primary", key=f"ask_{message.id}") and text.strip():
                history = session.container().history
                edited = history.add_question(message.conversation_id, text.strip(), message.parent_id)
                _begin(edited, session.mode())


@st.fragment(run_every=POLL_SECONDS)
def _running(answer_id: str) -> None:
    """The running answer, drawn anew a few times a second without the rest of the page."""
    run = session.container().runs.get(answer_id)
    if run is None:
        st.rerun()
    else:
        answer.draw_running(run.view, answer_id)


def _stop_button(run: AnswerRun) -> None:
    words = session.words()
    label = words("answer.stopping" if run.is_cancelled else "answer.stop")
    st.button(
        label,
        icon=":material/stop_circle:",
        key=f"stop_{run.answer_id}",
        on_click=run.cancel,
        disabled=run.is_cancelled,
        shortcut="Escape",
    )


def _actions(message: StoredMessage, is_last: bool) -> None:
    words, view = session.words(), view_of_message(message)
    if view.completed is not None:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"cost_{message.id}"):
            st.caption(answer.cost_line(view.completed, words), width="content")
            bill.draw_button(view, message.id)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"actions_{message.id}"):
        if view.context is not None:
            st.button(
                words("prompt.open"),
                key=f"prompt_{message.id}",
                type="tertiary",
                icon=":material/visibility:",
                on_click=session.open_panel,
                args=("prompt", message.id),
            )
            _xray(message.id, words)
        if is_last and st.button(
            words("answer.again"), key=f"regenerate_{message.id}", type="tertiary", icon=":material/refresh:"
        ):
            _ask_again(message.parent_id, None, session.mode())
        if view.text:
            answer.copy_button(message.id, words)
        _siblings(message)
        if view.completed is not None:
            _feedback(message)


def _xray(answer_id: str, words: Wording) -> None:
    """One click from an answer to what its passages weighed."""
    page = session.page("xray")
    if page is not None and st.button(
        ":material/radiology:", key=f"xray_{answer_id}", type="tertiary", help=words("prompt.xray")
    ):
        st.switch_page(page, query_params={"answer": answer_id})


def _feedback(message: StoredMessage) -> None:
    """Thumbs and a correction: they become training data and cases for the exam."""
    words, history = session.words(), session.container().history
    key = f"thumbs_{message.id}"

    def keep() -> None:
        verdict = st.session_state[key]
        if verdict is not None:
            history.add_feedback(message.id, "good" if verdict else "bad")

    st.feedback("thumbs", key=key, on_change=keep)
    with st.popover(":material/rate_review:", type="tertiary", help=words("feedback.correct"), key=f"fix_{message.id}"):
        text = st.text_area(words("feedback.better"), message.text, key=f"better_{message.id}")
        if st.button(words("feedback.keep"), key=f"keep_{message.id}") and text.strip():
            history.add_feedback(message.id, "correction", text.strip())
            st.toast(words("feedback.thanks"))


def _siblings(message: StoredMessage) -> None:
    if message.siblings < 2:
        return
    history = session.container().history
    family = history.siblings(message.id)
    place = message.sibling - 1
    for step, icon in ((-1, ":material/chevron_left:"), (1, ":material/chevron_right:")):
        if step == 1:
            st.caption(f"{message.sibling}/{message.siblings}", width="content")
        st.button(
            icon,
            key=f"sibling_{step}_{message.id}",
            type="tertiary",
            help=session.words()("answer.other_version"),
            disabled=not 0 <= place + step < len(family),
            on_click=history.select,
            args=(family[max(0, min(place + step, len(family) - 1))],),
        )


def _controls(words: Wording) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="controls"):
        chosen = st.segmented_control(
            words("mode.label"),
            MODES,
            default=session.mode(),
            required=True,
            format_func=lambda mode: f"{answer.MODE_ICONS[mode]} {words(f'mode.{mode}')}",
            key=session.MODE_WIDGET,
            label_visibility="collapsed",
        )
        session.remember_mode(chosen)
        if session.mode() != "tools":
            scope.draw(words)
        if session.mode() == "prompt":
            _template(words)
        if session.mode() == "finetuned":
            # It looks at adapter files with the libraries of the model: only who fine-tunes waits for their import.
            from app.widgets import adapter_picker

            adapter_picker.draw(words)


def _template(words: Wording) -> None:
    """The prompt template in use, with the way to where it is changed."""
    shelf, page = prompt_library.load(session.container().settings.paths.home), session.page("prompts")
    if shelf.current is None or page is None:
        return
    label = plain_label(shelf.current.name, 24)
    if st.button(label, icon=":material/bookmark:", type="tertiary", key="template", help=words("lab.in_use_help")):
        st.switch_page(page)


def _heading(thread: list[StoredMessage], words: Wording) -> None:
    identifier, history = thread[0].conversation_id, session.container().history
    title = next((row.title for row in history.conversations(1000) if row.id == identifier), "")
    shown = title + "…" if len(title) >= TITLE_LENGTH else title
    model = session.container().model
    with st.container(horizontal=True, vertical_alignment="center", wrap=False):
        st.markdown(f"**{plain_label(shown, 70)}**", width="stretch")
        if model is not None:
            meter.draw(view_of_message(thread[-1]), model.n_ctx, words)
        with st.popover(
            ":material/more_horiz:", type="tertiary", help=words("conversation.options"), key="conversation_menu"
        ):
            renamed = st.text_input(words("conversation.rename"), value=title, key=f"rename_{identifier}")
            if renamed and renamed != title:
                history.rename(identifier, renamed)
                st.rerun()
            _export(title, thread, words)
            if st.button(words("conversation.delete"), icon=":material/delete:", key=f"delete_{identifier}"):
                history.delete(identifier)
                session.open_conversation("")
                st.rerun()


def _export(title: str, thread: list[StoredMessage], words: Wording) -> None:
    name = safe_name(title)[:40] or "conversation"
    with st.container(horizontal=True):
        icon = ":material/download:"
        st.download_button("Markdown", export.as_markdown(title, thread, words), f"{name}.md", icon=icon)
        st.download_button("JSON", lambda: export.as_json(title, thread), f"{name}.json", icon=icon)


def _welcome(words: Wording) -> None:
    with st.container(key="welcome"):
        st.title(words("welcome.title"), anchor=False)
        st.write(words("welcome.text"))
        with st.container(key="welcome_questions"):
            for number, question in enumerate(_first_questions(words)):
                _offer(number, question, words)
        _where(words)


def _offer(number: int, question: SuggestedQuestion, words: Wording) -> None:
    """A question to click, with the way that it is answered."""
    label = f"**{words(f'mode.{question.mode}')}** · {plain_label(question.text, 90)}"
    icon = answer.MODE_ICONS[question.mode]
    if st.button(label, key=f"welcome_{number}", icon=icon, width="stretch"):
        session.choose_collection(sample_collection(session.container().settings))
        ask(question.text, question.mode)


def _where(words: Wording) -> None:
    """What runs where, and what leads out of this machine: counted at this moment."""
    box = session.container()
    if box.settings.remote_url:
        st.caption(":material/cloud: " + words("model.remote", address=plain_label(box.settings.remote_url)))
        return
    lines = [words("welcome.where"), words("welcome.connections", count=connections.outbound())]
    st.caption("  \n".join(f"{icon} {line}" for icon, line in zip(_WHERE_ICONS, lines, strict=True)))
