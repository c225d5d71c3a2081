"""The form of a tool as widgets: on the Tools page, and on the card of a call that waits for a person."""

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from app.widgets.answer_text import plain_label
from tools.forms import FormField, form_fields


def draw(parameters: Mapping[str, Any], key: str, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Draw a field for each argument, filled with `values`; return what stands in them, empty ones left out."""
    known = values or {}
    fields = form_fields(parameters)
    written = {field.name: _field(field, f"{key}_{field.name}", known) for field in fields}
    # A switch that nobody touched says nothing.
    untouched = {field.name for field in fields if field.kind == "switch" and not (field.required or field.default)}
    untouched = {name for name in untouched - known.keys() if not written[name]}
    # What the schema does not name is kept: the check before the call says what is wrong with it.
    extra = {name: value for name, value in known.items() if name not in written}
    kept = {name: value for name, value in written.items() if value not in ("", None) and name not in untouched}
    return {**kept, **extra}


def _field(field: FormField, key: str, values: Mapping[str, Any]) -> Any:
    value = values.get(field.name, field.default)
    label = plain_label(field.name) + (" \\*" if field.required else "")
    hint = plain_label(field.hint, 200) or None
    if field.kind == "choice":
        place = field.choices.index(value) if value in field.choices else None
        return st.selectbox(label, field.choices, index=place, key=key, help=hint)
    if field.kind == "switch":
        return st.checkbox(label, bool(value), key=key, help=hint)
    if field.kind == "integer":
        whole = value if isinstance(value, int) else None
        return st.number_input(label, value=whole, step=1, key=key, help=hint)
    if field.kind == "number":
        return st.number_input(label, value=float(value) if _is_number(value) else None, key=key, help=hint)
    shown = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    text = st.text_input(label, shown, key=key, help=hint)
    return text if field.kind == "text" or not text else _parsed(text)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        # The executor checks every argument against the schema and says what is wrong with this one.
        return text
