"""The values that a schema names in words: quoted, as a default, or as an example (`e.g., low, medium, high`).

Where a question uses one of the examples, it means the argument and this value: so it was for 120 of 121 arguments of
the tuning sets.
"""

import re
from collections.abc import Mapping
from typing import Any

_QUOTED = re.compile(r"['\"‘“「《]([^'\"’”」》\n]{1,40})['\"’”」》]")
_EXAMPLES = re.compile(r"\s*\((?:e\.g\.|i\.e\.|for example|such as|like),?\s*:?\s*([^)]*)\)|例如：?([^，。；）)]*)")
_BETWEEN = re.compile(r",(?!\d)|;|、|\bor\b")
_QUOTES = "'\"‘’“”「」 "
LONGEST = 40


def named_values(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The values that a description quotes (`'celsius' or 'fahrenheit'`) and the default, as strings."""
    values = _QUOTED.findall(str(schema.get("description", "")))
    default = schema.get("default")
    if isinstance(default, str) and default:
        values.append(default)
    return tuple(dict.fromkeys(value.strip() for value in values if value.strip() and "\\" not in value))


def examples(schema: Mapping[str, Any]) -> list[str]:
    """The examples that the description of a string gives, in their order; what is no value (`etc.`) left out."""
    if schema.get("type") != "string":
        return []
    match = _EXAMPLES.search(str(schema.get("description", "")))
    pieces = _BETWEEN.split(match[1] or match[2] or "") if match else []
    found = [piece.strip().strip(_QUOTES) for piece in pieces]
    return [value for value in found if 1 < len(value) <= LONGEST and value.rstrip(".") != "etc"]


def without_examples(description: str) -> str:
    """A description that gives no examples."""
    return _EXAMPLES.sub("", description)


def spoken_examples(schema: Mapping[str, Any], text: str) -> list[str]:
    """The examples that stand in a text, as they are written there; `city` does not stand in `New York City`."""
    found = []
    for value in examples(schema):
        places = re.finditer(rf"(?<!\w)({re.escape(value)})(e?s)?(?!\w)", text, re.IGNORECASE)
        spoken = [place for place in places if place[1][0] == value[0] or not place[1][0].isupper()]
        # Of `horses` the example stands there, in its own number.
        found += [place[1] for place in spoken[:1]]
    return list(dict.fromkeys(found))
