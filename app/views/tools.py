"""The tools: what a model may call, what each may do, and a form to call it by hand."""

import json
from typing import Any

import streamlit as st

from app import session
from app.widgets.answer_text import plain_label
from app.widgets.approval import RISK_COLOURS
from app.wording import Wording
from core.types import Scope, ToolCall
from tools.base import ToolEntry
from tools.registry import ToolRegistry


def draw() -> None:
    """Draw the page."""
    words, box = session.words(), session.container()
    st.title(words("tools.title"), anchor=False)
    st.write(words("tools.text"))
    if not box.is_built or box.problem is not None:
        st.caption(":material/hourglass_top: " + words("model.loading"))
        return
    registry = box.parts().registry
    scope = Scope(collection=session.collection())
    for entry in registry.all(scope):
        _tool(entry, registry, words)
    st.subheader(words("tools.yours"))
    st.caption(words("tools.folder", path=plain_label(str(box.settings.paths.user_tools), 200)))
    if st.button(words("tools.reload"), icon=":material/refresh:"):
        registry.reload()
    for problem in registry.problems:
        st.warning(plain_label(f"{problem.origin}: {problem.message.in_(words.language)}", 400))


def _tool(entry: ToolEntry, registry: ToolRegistry, words: Wording) -> None:
    with st.expander(f"**{plain_label(entry.title.in_(words.language))}** · {plain_label(entry.name)}"):
        st.badge(words(f"risk.{entry.risk}"), color=RISK_COLOURS[entry.risk])  # type: ignore[arg-type]
        st.write(plain_label(entry.description.in_(words.language), 500))
        if entry.origin != "built-in":
            st.caption(plain_label(entry.origin, 200))
        with st.form(f"try_{entry.name}", border=False):
            arguments = {
                name: _field(entry.name, name, schema) for name, schema in entry.parameters["properties"].items()
            }
            label = words("tools.run_approved" if entry.needs_approval else "tools.run")
            if st.form_submit_button(label, icon=":material/play_arrow:"):
                _run(entry, registry, {name: value for name, value in arguments.items() if value not in ("", None)})


def _field(tool: str, name: str, schema: dict[str, Any]) -> Any:
    """A widget for one argument, by its type in the JSON schema; what has no widget of its own is written as JSON."""
    key, kind = f"argument_{tool}_{name}", schema.get("type")
    label, hint = plain_label(name), plain_label(str(schema.get("description", "")), 200) or None
    if "enum" in schema:
        return st.selectbox(label, schema["enum"], key=key, help=hint)
    if kind == "boolean":
        return st.checkbox(label, bool(schema.get("default")), key=key, help=hint)
    if kind == "integer":
        return st.number_input(label, value=schema.get("default"), step=1, key=key, help=hint)
    if kind == "number":
        return st.number_input(label, value=schema.get("default"), key=key, help=hint)
    text = st.text_input(label, str(schema.get("default") or ""), key=key, help=hint)
    return text if kind in ("string", None) or not text else _parsed(text)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        # The executor checks every argument against the schema and says what is wrong with this one.
        return text


def _run(entry: ToolEntry, registry: ToolRegistry, arguments: dict[str, Any]) -> None:
    outcome = registry.executor((entry,)).run(ToolCall("by-hand", entry.name, arguments), approved=True)
    (st.error if outcome.failure else st.code)(plain_label(outcome.text, 2000) if outcome.failure else outcome.text)
