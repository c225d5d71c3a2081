"""An adapter tried by hand: one question, the base's answer beside the adapter's, and the way into the chat."""

import streamlit as st

from app import session
from app.widgets.answer_text import plain_label
from app.wording import Wording
from core.errors import FourfoldError
from core.types import Message
from training.adapters import Adapter
from training.contestants import ask

LONGEST_ANSWER = 160
LONGEST_SHOWN = 2000


def draw(adapter: Adapter, words: Wording) -> None:
    """The trial and the button that chooses this adapter for the chat."""
    with st.expander(words("finetune.try")), st.form(f"try_{adapter.name}", border=False):
        question = st.text_area(words("finetune.question"), max_chars=4000, height=80)
        if st.form_submit_button(words("finetune.answer_both"), icon=":material/compare:") and question.strip():
            _side_by_side(adapter, question.strip(), words)
    page = session.page("chat")
    if page is not None and st.button(words("finetune.use"), key=f"use_{adapter.name}", icon=":material/chat:"):
        session.choose_adapter(adapter.name)
        st.switch_page(page)


def _side_by_side(adapter: Adapter, question: str, words: Wording) -> None:
    titles = (words("finetune.base"), adapter.name)
    for column, title, name in zip(st.columns(2), titles, ("", adapter.name), strict=True):
        with column, st.container(border=True):
            st.markdown(f"**{plain_label(title)}**")
            try:
                with st.spinner(words("finetune.answering")):
                    engine = session.container().parts().engine
                    said = ask(engine, (Message("user", question),), LONGEST_ANSWER, name)
            except FourfoldError as error:
                said = error.message.in_(words.language)
            st.text(said[:LONGEST_SHOWN])
