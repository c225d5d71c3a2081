"""Which adapter answers in mode `finetuned`."""

import streamlit as st

from app import session
from app.widgets.answer_text import plain_label
from app.wording import Wording
from orchestrator.build import OWN
from training.adapters import AdapterLibrary


def draw(words: Wording) -> None:
    """The adapters made for the loaded model, those aside that a mode takes by itself; or the way to the first one."""
    box, page = session.container(), session.page("finetune")
    if box.model is None:
        return
    fitting = [one.name for one in AdapterLibrary(box.settings).list() if one.fits(box.model.sha256)]
    names = [name for name in fitting if name not in OWN or name == session.adapter()]
    if not names:
        if page is not None and st.button(
            words("finetune.new"), icon=":material/add:", type="tertiary", key="no_adapter"
        ):
            st.switch_page(page)
        return
    chosen = st.selectbox(
        words("finetune.adapters"),
        names,
        index=names.index(session.adapter()) if session.adapter() in names else 0,
        format_func=lambda name: plain_label(name, 24),
        label_visibility="collapsed",
        width=180,
    )
    session.remember_adapter(chosen)
