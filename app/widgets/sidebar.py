"""The sidebar: new chat, the conversations, the model's state, the language."""

from typing import Any

import streamlit as st

from app import session
from app.container import Container
from app.widgets import account, jobs
from app.widgets.answer_text import plain_label
from app.widgets.listener import listen_for_search
from core.language import Language
from inference.protocol import ModelInfo
from orchestrator.history import Conversation

SHOWN = 8
_SHOWN = "conversations_shown"
_NAMES: dict[Language, str] = {"en": "English", "zh": "中文"}


def draw(chat_page: Any) -> None:
    """Draw the sidebar; choosing a conversation leads to `chat_page`."""
    words = session.words()
    with st.sidebar:
        if st.button(
            words("sidebar.new_chat"),
            icon=":material/edit_square:",
            width="stretch",
            shortcut="Ctrl+Shift+O",
            key="new_chat",
        ):
            _show("", chat_page)
        _conversations(chat_page)
        st.space("small")
        jobs.draw_line()
        model_state()
        account.draw(words)
        st.segmented_control(
            words("sidebar.language"),
            list(_NAMES),
            default=session.language(),
            required=True,
            format_func=lambda name: _NAMES[name],
            key="language_switch",
            on_change=lambda: session.choose_language(st.session_state["language_switch"]),
            label_visibility="collapsed",
        )


def _conversations(chat_page: Any) -> None:
    words = session.words()
    history = session.container().history
    wanted = st.text_input(
        words("sidebar.search"),
        placeholder=words("sidebar.search_key"),
        label_visibility="collapsed",
        icon=":material/search:",
        key="conversation_search",
    ).strip()
    listen_for_search()
    # One more than is shown tells whether there are more.
    shown = int(st.session_state.get(_SHOWN, SHOWN))
    found = history.search(wanted, shown + 1) if wanted else history.conversations(shown + 1)
    if not found:
        st.caption(words("sidebar.nothing_found" if wanted else "sidebar.no_conversations"))
    with st.container(gap=None, key="conversations"):
        for conversation in found[:shown]:
            _row(conversation, chat_page)
        if len(found) > shown and st.button(words("sidebar.more"), key="more_conversations", type="tertiary"):
            st.session_state[_SHOWN] = shown * 4
            st.rerun()


def _row(conversation: Conversation, chat_page: Any) -> None:
    words = session.words()
    is_shown = conversation.id == session.conversation_id()
    title = plain_label(conversation.title or words("sidebar.untitled"), 34)
    if st.button(
        f"**{title}**" if is_shown else title,
        key=f"open_{conversation.id}",
        type="tertiary",
        width="stretch",
    ):
        _show(conversation.id, chat_page)


def _show(identifier: str, chat_page: Any) -> None:
    session.open_conversation(identifier)
    st.switch_page(chat_page)


@st.fragment(run_every=2.0)
def _watch_loading() -> None:
    """While the model loads, look every two seconds; the whole page is drawn anew when it is there."""
    st.caption(":material/hourglass_top: " + session.words()("model.loading"))
    if session.container().state != "loading":
        st.rerun()


def model_state() -> None:
    """One line: which model answers and where, or why none does."""
    words, box = session.words(), session.container()
    if box.state == "loading":
        _watch_loading()
    elif box.state == "failed":
        st.error(box.problem.in_(words.language) if box.problem else words("model.failed"))
    else:
        st.caption(f":material/memory: {_model_line(box)}  \n:material/lock: {_where(words, box.settings.remote_url)}")


def _model_line(box: Container) -> str:
    model = box.model
    if model is None:
        return ""
    # A device may come with the reason why it is used; the Models page tells it.
    return plain_label(f"{model_name(model)} · {model.device.split(',')[0]}", 80)


def model_name(model: ModelInfo) -> str:
    """The file's name is what a person chose and knows; names inside GGUF files are often leftovers of training."""
    stem = model.path.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".gguf")
    return stem or model.name


def _where(words: Any, remote_url: str) -> str:
    return str(words("model.remote", address=plain_label(remote_url)) if remote_url else words("model.local"))
