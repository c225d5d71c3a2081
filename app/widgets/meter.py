"""The context meter: how full the model's window was at the last answer."""

import html

import streamlit as st

from app.answer_view import AnswerView
from app.wording import Wording

AMBER, RED = 0.65, 0.85


def draw(view: AnswerView, n_ctx: int, words: Wording) -> None:
    """A thin bar with its number; absent where the model was not asked."""
    used = tokens_of(view)
    if used and n_ctx:
        st.html(meter_html(used, n_ctx, words), width=96)


def tokens_of(view: AnswerView) -> int:
    """Tokens that the last answer took in the window: what it read and what it wrote."""
    if view.context is None:
        return 0
    written = view.completed.usage.completion_tokens if view.completed is not None else 0
    return sum(view.context.tokens_by_origin.values()) + written


def meter_html(used: int, n_ctx: int, words: Wording) -> str:
    """The bar; its colour says when the window gets full."""
    share = min(1.0, used / n_ctx)
    level = "red" if share >= RED else "amber" if share >= AMBER else "calm"
    label = html.escape(words("meter.label", used=f"{used:,}", n_ctx=f"{n_ctx:,}"))
    return (
        f'<div class="ff-meter" role="meter" title="{label}" aria-label="{label}" aria-valuemin="0" '
        f'aria-valuemax="{n_ctx}" aria-valuenow="{used}"><span class="ff-meter-{level}" style="width:{share:.0%}">'
        f"</span></div>"
    )
