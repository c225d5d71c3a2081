"""One question through several architectures, side by side."""

from collections.abc import Mapping

import streamlit as st

from app import session
from app.answer_view import AnswerView, view_of_message
from app.widgets import answer, comparison, panel
from app.widgets.answer_text import plain_label
from app.wording import Wording
from core.types import CONCRETE_MODES, ConcreteMode, Question, Scope
from orchestrator.history import StoredMessage

POLL_SECONDS = 0.4
_COMPARED = "compared"
# In the address, so that a refresh finds the answers again: one `mode:answer` for each column.
_ANSWER_PARAMETER = "a"


def draw() -> None:
    """Draw the page."""
    words = session.words()
    st.title(words("compare.title"), anchor=False)
    st.write(words("compare.text"))
    compared = _compared()
    with st.form("compare", border=False):
        text = st.text_input(words("compare.question"), _question_of(compared), max_chars=4000)
        modes = st.pills(
            words("mode.label"),
            CONCRETE_MODES,
            selection_mode="multi",
            default=list(CONCRETE_MODES),
            format_func=lambda mode: f"{answer.MODE_ICONS[mode]} {words(f'mode.{mode}')}",
        )
        if st.form_submit_button(words("compare.run"), type="primary", icon=":material/compare:") and text.strip():
            _start(text.strip(), modes)
    if compared:
        st.query_params[_ANSWER_PARAMETER] = [f"{mode}:{answer_id}" for mode, answer_id in compared.items()]
        if any(session.container().runs.get(answer_id) for answer_id in compared.values()):
            _watch(compared)
        else:
            _columns(compared, words)
            comparison.draw_export(_question_of(compared), compared)
            _to_chat(compared, words)
    panel.draw_open_panel()


def _compared() -> dict[ConcreteMode, str]:
    """The answers that stand on the page, by mode: those of this tab, else those that the address names."""
    if _COMPARED not in st.session_state:
        named = (each.partition(":") for each in st.query_params.get_all(_ANSWER_PARAMETER))
        found = {mode: answer_id for mode, _, answer_id in named}
        st.session_state[_COMPARED] = {mode: found[mode] for mode in CONCRETE_MODES if mode in found}
    compared: dict[ConcreteMode, str] = st.session_state[_COMPARED]
    return compared


def _question_of(compared: Mapping[ConcreteMode, str]) -> str:
    """The question behind the answers, which a refresh would take out of its field."""
    question = _first_question(compared)
    return question.text if question is not None else ""


def _first_question(compared: Mapping[ConcreteMode, str]) -> StoredMessage | None:
    history = session.container().history
    for answer_id in compared.values():
        try:
            return history.message(history.message(answer_id).parent_id)
        except KeyError:
            continue
    return None


def _to_chat(compared: Mapping[ConcreteMode, str], words: Wording) -> None:
    """The way to where the answers are gone on with, kept and exported."""
    question, page = _first_question(compared), session.page("chat")
    if question is None or page is None:
        return
    if st.button(words("compare.to_chat"), icon=":material/chat:", type="tertiary"):
        session.open_conversation(question.conversation_id)
        st.switch_page(page)


def _start(text: str, modes: list[ConcreteMode]) -> None:
    """Every mode answers the same question; the answers are siblings in one conversation of the history."""
    box = session.container()
    question = box.history.add_question(box.history.create().id, text)
    compared = {}
    for mode in modes:
        message = box.history.begin_answer(question.id)
        asked = Question(text, mode=mode, scope=Scope(collection=session.collection()))
        box.runs.start(message.id, box.answering(asked))
        compared[mode] = message.id
    st.session_state[_COMPARED] = compared
    st.rerun()


@st.fragment(run_every=POLL_SECONDS)
def _watch(compared: dict[ConcreteMode, str]) -> None:
    """The columns while they fill."""
    _columns(compared, session.words())
    if not any(session.container().runs.get(answer_id) for answer_id in compared.values()):
        st.rerun()


def _columns(compared: dict[ConcreteMode, str], words: Wording) -> None:
    pairs = list(compared.items())
    for first in range(0, len(pairs), 2):
        for column, (mode, answer_id) in zip(st.columns(2), pairs[first : first + 2], strict=False):
            with column, st.container(border=True, gap="small"):
                st.markdown(f"{answer.MODE_ICONS[mode]} **{words(f'mode.{mode}')}**")
                _cell(answer_id, words)


def _cell(answer_id: str, words: Wording) -> None:
    box = session.container()
    run = box.runs.get(answer_id)
    if run is not None:
        answer.draw_running(run.view, answer_id)
        return
    try:
        view = view_of_message(box.history.message(answer_id))
    except KeyError:
        st.caption(words("compare.gone"))
        return
    answer.draw_plain(view, answer_id)
    st.caption(_what_it_took(view, words))


def _what_it_took(view: AnswerView, words: Wording) -> str:
    if view.completed is None:
        return ""
    read = f"{words('compare.read', tokens=view.completed.usage.prompt_tokens)} · "
    return plain_label(read + answer.cost_line(view.completed, words), 300)
