"""The form that a person fills in: fields from the schema, values from what is written, and the command."""

import io
from pathlib import Path
from typing import Any

import pytest

from core.errors import ToolError
from tools.__main__ import main
from tools.forms import FormField, form_fields, read_field

SCHEMA = {
    "type": "object",
    "properties": {
        "unit": {"type": "string", "enum": ["celsius", "kelvin"], "description": "the unit"},
        "days": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        "city": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["city"],
}


def test_what_must_be_filled_in_comes_first_and_has_its_kind() -> None:
    fields = form_fields(SCHEMA)
    assert [(field.name, field.kind, field.required) for field in fields] == [
        ("city", "text", True),
        ("unit", "choice", False),
        ("days", "integer", False),
        ("tags", "json", False),
    ]
    assert (fields[1].choices, fields[1].hint) == (("celsius", "kelvin"), "the unit")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("text", " as it is ", " as it is "),
        ("integer", "12", 12),
        ("number", "1.5", 1.5),
        ("switch", "Yes", True),
        ("switch", "否", False),
        ("choice", "b", "b"),
        ("json", '["a"]', ["a"]),
    ],
)
def test_what_is_written_becomes_the_value(kind: Any, text: str, value: Any) -> None:
    assert read_field(FormField("x", kind, choices=("a", "b")), text) == value


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("integer", "1.5", "a whole number"),
        ("integer", "true", "a whole number"),
        ("number", "many", "a number"),
        ("switch", "perhaps", "yes or no"),
        ("choice", "c", "one of a, b"),
        ("json", "{", "JSON text"),
    ],
)
def test_what_does_not_fit_is_named(kind: Any, text: str, said: str) -> None:
    with pytest.raises(ToolError, match=f"x: .* is not {said}"):
        read_field(FormField("x", kind, choices=("a", "b")), text)


def test_the_command_lists_calls_and_asks_for_a_form(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FOURFOLD_HOME", str(tmp_path))
    assert main(["list"]) == 0
    assert "calculator" in capsys.readouterr().out
    assert main(["call", "calculator", '{"expression": "15% of 240"}']) == 0
    assert capsys.readouterr().out.strip() == "36"
    assert main(["form", "add_to_date"], io.StringIO("2024-01-01\nsoon\n3\nweeks\n")) == 0
    said = capsys.readouterr()
    assert "2024-01-22" in said.out
    assert "'soon' is not a whole number" in said.err
    assert main(["call", "nothing"]) == 1
    assert "no tool 'nothing'" in capsys.readouterr().err
    assert main(["call", "calculator", "[]"]) == 1
