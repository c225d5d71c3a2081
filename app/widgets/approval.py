"""Calls that wait for a person: what they would do, their arguments to be edited, and the decision."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from app.widgets import tool_form
from app.widgets.answer_text import plain_label
from app.wording import Wording
from core.types import DecidedCall, ToolCall
from orchestrator.events import ToolProposed

ParametersOf = Callable[[str], Mapping[str, Any] | None]
RISK_COLOURS = {"read": "green", "write": "orange", "network": "red"}


def draw(
    pending: Sequence[ToolProposed],
    answer_id: str,
    decide: Callable[[Sequence[DecidedCall]], None],
    words: Wording,
    parameters_of: ParametersOf = lambda _name: None,
) -> None:
    """Draw the cards. `decide` is called with one decision for each call, once all arguments can be read.

    `parameters_of` gives the schema of a tool's arguments, from which a form is made; else they are edited as JSON.
    """
    edited = [_card(item, f"{answer_id}_{number}", words, parameters_of) for number, item in enumerate(pending)]
    calls = [call for call in edited if call is not None]
    whole = len(calls) == len(edited)
    with st.container(horizontal=True):
        if st.button(words("approval.allow"), type="primary", key=f"allow_{answer_id}", disabled=not whole):
            decide([DecidedCall(call) for call in calls])
        if st.button(words("approval.always"), key=f"always_{answer_id}", disabled=not whole):
            decide([DecidedCall(call, always=True) for call in calls])
        if st.button(words("approval.refuse"), key=f"refuse_{answer_id}"):
            decide([DecidedCall(proposed.call, allowed=False) for proposed in pending])


def _card(proposed: ToolProposed, key: str, words: Wording, parameters_of: ParametersOf) -> ToolCall | None:
    call = proposed.call
    parameters = parameters_of(call.name)
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{plain_label(call.name)}**", width="content")
            st.badge(words(f"risk.{proposed.risk}"), color=RISK_COLOURS[proposed.risk])  # type: ignore[arg-type]
        if parameters is not None:
            return ToolCall(call.id, call.name, tool_form.draw(parameters, f"arguments_{key}", call.arguments))
        written = json.dumps(dict(call.arguments), ensure_ascii=False, indent=1)
        text = st.text_area(words("approval.arguments"), written, key=f"arguments_{key}")
        arguments = read_arguments(text)
        if arguments is None:
            st.error(words("approval.not_json"))
            return None
        return ToolCall(call.id, call.name, arguments)


def read_arguments(text: str) -> dict[str, object] | None:
    """The arguments as a person left them; None where they are no JSON object."""
    try:
        read = json.loads(text)
    except json.JSONDecodeError:
        return None
    return read if isinstance(read, dict) else None
