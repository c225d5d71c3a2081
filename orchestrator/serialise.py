"""Events as plain JSON and back: `{"event": "TextDelta", "text": "..."}`.

The shape is that of the dataclasses, so the API, the history and the browser see one vocabulary. Reading back checks
names and types as far as the annotations tell; an unknown event or field is a ValueError.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from orchestrator import events
from orchestrator.events import AnswerEvent
from orchestrator.grounding import Grounding

EVENT_KEY = "event"
_EVENTS: dict[str, type] = {kind.__name__: kind for kind in get_args(events.AnswerEvent)}


def to_json(event: AnswerEvent) -> dict[str, Any]:
    """Return the event as a dict of plain JSON values, its name under `event`."""
    return {EVENT_KEY: type(event).__name__, **_plain_fields(event)}


def from_json(data: Mapping[str, Any]) -> AnswerEvent:
    """Return the event that `to_json` wrote. Raises ValueError for what is not one."""
    fields = dict(data)
    kind = _EVENTS.get(str(fields.pop(EVENT_KEY, "")))
    if kind is None:
        raise ValueError(f"not an answer event: {data.get(EVENT_KEY)!r}")
    return typing.cast(AnswerEvent, _build(kind, fields))


def grounding_from_json(data: Mapping[str, Any]) -> Grounding:
    """Return the verdict that `plain` wrote, whose weights have numbers for keys. Raises ValueError for another."""
    try:
        weights = {int(number): float(weight) for number, weight in data["weights"].items()}
        built = _build(Grounding, {**data, "weights": {}})
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"not the weights of an answer: {data!r}") from error
    return dataclasses.replace(typing.cast(Grounding, built), weights=weights)


def plain(value: Any) -> Any:
    """Return `value` (dataclass, tuple, mapping, number, text) as plain JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain_fields(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _plain_fields(value: Any) -> dict[str, Any]:
    return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _build(kind: type, data: Any) -> Any:
    if not isinstance(data, Mapping):
        raise ValueError(f"{kind.__name__}: expected an object, found {type(data).__name__}")
    hints = get_type_hints(kind)
    unknown = set(data) - set(hints)
    if unknown:
        raise ValueError(f"{kind.__name__}: unknown fields {sorted(unknown)}")
    try:
        return kind(**{name: _read(hints[name], value) for name, value in data.items()})
    except TypeError as error:
        raise ValueError(f"{kind.__name__}: {error}") from error


def _read(hint: Any, value: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = next(argument for argument in arguments if argument is not type(None))
        return None if value is None else _read(inner, value)
    if origin is Literal and value not in arguments:
        raise ValueError(f"expected one of {arguments}, found {value!r}")
    if origin is tuple:
        return tuple(_read(arguments[0], item) for item in value)
    return _build(hint, value) if dataclasses.is_dataclass(hint) and isinstance(hint, type) else value
