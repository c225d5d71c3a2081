"""A change that a person asked for: made, and the page drawn anew; refused, and the reason said."""

from collections.abc import Callable

import streamlit as st

from app.widgets.answer_text import plain_label
from app.wording import Wording
from core.errors import FourfoldError


def make(change: Callable[[], object], words: Wording) -> None:
    """Make a change and draw the page anew; where it cannot be made, say why (a collection is being written, ...)."""
    try:
        change()
    except FourfoldError as error:
        st.error(plain_label(error.message.in_(words.language), 400))
    else:
        st.rerun()
