"""One call made several: `the weather in Paris, London and Rome` wants the same function three times.

Rules of language over the first call: a value that stands in a list of its kind is replaced by each of the others; two
lists of one length go side by side (`the lengths 3 and 4, the widths 5 and 6`).
"""

import re
from collections.abc import Mapping
from typing import Any

from core.types import ToolCall

MOST = 8
_NUMBER = r"[-−]?\d+(?:\.\d+)?"
_NAME = r"[A-Z][\w.'&-]*(?: (?:of |de |the )?[A-Z][\w.'&-]*){0,3}"
_ITEMS = (_NUMBER, r"\"[^\"]{1,60}\"", r"'[^']{1,60}'", _NAME)
_LAST = re.compile(r"\b(?:and|or)\b|[、&和与及]")
_JOIN = r"(?:\s*(?:,\s*(?:and|or|&)?|、|，|;|\band\b|\bor\b|&|和|与|及|以及)\s*)"


def spread(call: ToolCall, question: str, function: Mapping[str, Any]) -> list[ToolCall]:
    """The call, or the calls that take its place, in the order of the question; at most MOST."""
    properties: Mapping[str, Any] = function["parameters"].get("properties", {})
    lists = {
        name: found
        for name, value in call.arguments.items()
        if properties.get(name, {}).get("type") in ("string", "integer", "number") and not isinstance(value, bool)
        if (found := list_around(value, question))
    }
    # Values of one and the same list (`from Paris to Rome and Oslo`) already stand in different arguments.
    held = [value for value in call.arguments.values() if isinstance(value, str | int | float)]
    lists = {name: found for name, found in lists.items() if sum(value in found for value in held) == 1}
    if not lists:
        return [call]
    length = max(map(len, lists.values()))
    varied = {name: found for name, found in lists.items() if len(found) == length}
    return [
        ToolCall(call.id, call.name, {**call.arguments, **{name: found[at] for name, found in varied.items()}})
        for at in range(min(length, MOST))
    ]


def list_around(value: Any, text: str) -> list[Any]:
    """The list of two or more things of one kind in which the value stands, empty where it stands alone."""
    written = str(value)
    # Chinese does not space its words: the others are as long as the one that is known.
    han = (rf"(?:(?![和与及])[\u4e00-\u9fff]){{{len(written)}}}",) if re.fullmatch(r"[\u4e00-\u9fff]+", written) else ()
    for item in (*han, *_ITEMS):
        for match in re.finditer(rf"{item}(?:{_JOIN}{item})+", text):
            plain = [piece.strip("\"'") for piece in re.findall(item, match[0])]
            # `Boston, MA` is one place.
            is_list = len(plain) > 2 or _LAST.search(match[0])
            if is_list and written in plain and len(plain) == len(set(plain)):
                return [_like(value, piece) for piece in plain]
    return []


def _like(value: Any, piece: str) -> Any:
    if isinstance(value, str):
        return piece
    number = float(piece.replace("−", "-"))
    return int(number) if number.is_integer() else number
