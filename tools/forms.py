"""The form of a tool, made from its schema: for a person, where the model is too weak to fill it in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import ToolError
from core.language import Bilingual

Kind = Literal["text", "integer", "number", "switch", "choice", "json"]
_KINDS: dict[str, Kind] = {"string": "text", "integer": "integer", "number": "number", "boolean": "switch"}
_YES = frozenset({"true", "yes", "y", "1", "on", "是", "对", "开"})
_NO = frozenset({"false", "no", "n", "0", "off", "否", "不", "关"})


@dataclass(frozen=True)
class FormField:
    """One argument to be filled in. `default` None: there is none; `choices` are given where only they are allowed."""

    name: str
    kind: Kind
    hint: str = ""
    required: bool = False
    default: Any = None
    choices: tuple[Any, ...] = ()


def form_fields(parameters: Mapping[str, Any]) -> tuple[FormField, ...]:
    """The fields of a schema (an object), those that must be filled in first."""
    required = parameters.get("required", ())
    fields = [_field(name, schema, name in required) for name, schema in parameters.get("properties", {}).items()]
    return tuple(sorted(fields, key=lambda field: not field.required))


def read_field(field: FormField, text: str) -> Any:
    """The value that a person wrote into a field. Raises ToolError naming the field and what it wants."""
    written = text.strip()
    try:
        if field.kind == "text":
            return text
        if field.kind == "switch":
            return _switch(written)
        if field.kind == "choice":
            return next(choice for choice in field.choices if str(choice) == written)
        value = json.loads(written)
    except (ValueError, StopIteration) as error:
        raise _wrong(field, text) from error
    if (field.kind == "integer" and type(value) is not int) or (
        field.kind == "number" and type(value) not in (int, float)
    ):
        raise _wrong(field, text)
    return value


def _field(name: str, schema: Mapping[str, Any], required: bool) -> FormField:
    # `str | None` becomes `anyOf` of a type and null: leaving the field empty says the same.
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    inner = {**schema, **options[0]} if len(options) == 1 else schema
    choices = tuple(inner.get("enum", ()))
    kind: Kind = "choice" if choices else _KINDS.get(str(inner.get("type")), "json")
    return FormField(name, kind, str(schema.get("description", "")), required, schema.get("default"), choices)


def _switch(written: str) -> bool:
    if written.lower() in _YES:
        return True
    if written.lower() in _NO:
        return False
    raise ValueError(written)


def _wrong(field: FormField, text: str) -> ToolError:
    wanted = {
        "integer": Bilingual("a whole number", "整数"),
        "number": Bilingual("a number", "数字"),
        "switch": Bilingual("yes or no", "是或否"),
        "choice": Bilingual(
            "one of " + ", ".join(map(str, field.choices)), "、".join(map(str, field.choices)) + " 之一"
        ),
    }.get(field.kind, Bilingual("JSON text", "JSON 文本"))
    return ToolError(
        Bilingual(
            en=f"{field.name}: {text!r} is not {wanted.en}.",
            zh=f"{field.name}：{text!r} 不是{wanted.zh}。",
        )
    )
