"""The card of a call that waits: a form from the schema, and the three decisions."""

import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "description": "where to"},
        "copies": {"type": "integer", "default": 1},
        "mode": {"type": "string", "enum": ["new", "append"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "force": {"type": "boolean"},
    },
    "required": ["path"],
}


def page(schema: dict[str, object]) -> None:
    import streamlit as st

    from app.widgets import approval
    from app.wording import Wording
    from core.types import ToolCall
    from orchestrator.events import ToolProposed

    def decide(decisions) -> None:  # noqa: ANN001 the page runs as a text of its own
        for one in decisions:
            st.json({"allowed": one.allowed, "always": one.always, "arguments": dict(one.call.arguments)})

    call = ToolCall("1", "keep_note", {"path": "a.txt", "copies": 2, "tags": ["x"], "mode": "new"})
    approval.draw([ToolProposed(call, "write", True)], "m", decide, Wording("en"), {"keep_note": schema}.get)


def decided(at: AppTest) -> dict[str, Any]:
    (shown,) = at.json
    value: dict[str, Any] = json.loads(shown.value)
    return value


@pytest.fixture
def card() -> AppTest:
    return AppTest.from_function(page, args=(SCHEMA,)).run()


def test_the_form_holds_the_proposed_arguments_and_runs_what_was_edited(card: AppTest) -> None:
    assert [field.value for field in card.text_input] == ["a.txt", '["x"]']
    assert card.number_input[0].value == 2
    card.text_input[0].set_value("b.txt")
    card.number_input[0].set_value(3)
    card.button[0].click().run()
    assert decided(card) == {
        "allowed": True,
        "always": False,
        "arguments": {"path": "b.txt", "copies": 3, "mode": "new", "tags": ["x"]},
    }


@pytest.mark.parametrize(("place", "allowed", "always"), [(1, True, True), (2, False, False)])
def test_always_here_and_deny(card: AppTest, place: int, allowed: bool, always: bool) -> None:
    card.button[place].click().run()
    decision = decided(card)
    assert (decision["allowed"], decision["always"]) == (allowed, always)
