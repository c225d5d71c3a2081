"""The one layout in which a form reaches a small model: for filling it in, and for training the adapter that does.

Read the request and fill in the form.

Request: What is the weather in Paris, in celsius?

Form: get_weather: The weather of a city.
city (string, the city): "Paris"
unit (string, celsius or fahrenheit): "celsius"
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

# Longer descriptions cost more than they tell.
LONGEST_DESCRIPTION = 200
LONGEST_HINT = 100


def form_opening(question: str, function: Mapping[str, Any]) -> str:
    """The form up to its first line to fill in; `function` has a name and a description."""
    return (
        f"Read the request and fill in the form.\n\nRequest: {question}\n\n"
        f"Form: {function['name']}: {_cut(str(function['description']), LONGEST_DESCRIPTION)}\n"
    )


def argument_line(name: str, schema: Mapping[str, Any]) -> str:
    """What stands before the value of one argument; the value follows with a space before it."""
    told = [str(schema.get("type", "")), _cut(str(schema.get("description", "")), LONGEST_HINT)]
    if "enum" in schema:
        told.append("one of " + ", ".join(str(value) for value in schema["enum"]))
    hint = ", ".join(part for part in told if part)
    return f"{name} ({hint}):" if hint else f"{name}:"


def form_lines(parameters: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Name, schema and whether it is required of each argument, in the order of the form: required ones first."""
    properties: Mapping[str, Mapping[str, Any]] = parameters.get("properties", {})
    required = [name for name in parameters.get("required", ()) if name in properties]
    for name in required:
        yield name, properties[name], True
    for name, schema in properties.items():
        if name not in required:
            yield name, schema, False


def _cut(text: str, most: int) -> str:
    plain = re.sub(r"\s+", " ", text).strip()
    return plain if len(plain) <= most else plain[:most].rsplit(" ", 1)[0]
