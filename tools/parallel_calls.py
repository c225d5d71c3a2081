"""One call made several: `the weather in Paris, London and Rome` wants the same function three times.

Rules of language over the first call: a value that stands in a list of its kind is replaced by each of the others; two
lists of one length go side by side (`the lengths 3 and 4, the widths 5 and 6`).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from core.types import ToolCall

MOST = 8
_NUMBER = r"[-−]?\d+(?:\.\d+)?"
_MEASURE = rf"[$€£¥]?{_NUMBER}(?:\s?%|\s(?!(?:and|or)\b)[a-z]+)?"
_NAME = r"(?!I['’])[A-Z][\w.'&-]*(?: (?:of |de |the )?[A-Z][\w.'&-]*){0,3}(?: \d{1,4}\b)?"
_THING = r"\ban? [a-z][\w-]*"
_WORD = r"(?<![\w'-])(?!(?:and|or|the|an?|my|is|in|to|please|then|also)\b)[a-z][\w-]*(?![\w'])"
_ITEMS = (_NUMBER, _MEASURE, r"\"[^\"]{1,60}\"", r"'[^']{1,60}'", _NAME, _THING, _WORD)
_ARTICLE = re.compile(r"^an? ")
_LAST = re.compile(r"\b(?:and|or)\b|[、&和与及]")
_JOIN = r"(?:\s*(?:,\s*(?:and|or|&)?|、|，|;|\band\b|\bor\b|&|和|与|及|以及)\s*)"


def spread(call: ToolCall, question: str, function: Mapping[str, Any]) -> list[ToolCall]:
    """The call, or the calls that take its place, in the order of the question; at most MOST."""
    properties: Mapping[str, Any] = function["parameters"].get("properties", {})
    lists = {
        name: found
        for name, value in call.arguments.items()
        if properties.get(name, {}).get("type") in ("string", "integer", "number") and not isinstance(value, bool)
        if (found := list_around(value, question, properties[name].get("enum", ())))
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


def list_around(value: Any, text: str, named: Sequence[Any] = ()) -> list[Any]:
    """The list of two or more things of one kind in which the value stands, empty where it stands alone.

    `named` are the only values that there are, if there are such: `large-sized` is then the `large` among them.
    """
    written = str(value)
    # Chinese does not space its words: the others are as long as the one that is known.
    han = (rf"(?:(?![和与及])[\u4e00-\u9fff]){{{len(written)}}}",) if re.fullmatch(r"[\u4e00-\u9fff]+", written) else ()
    for item in (*han, *_ITEMS):
        for match in re.finditer(rf"{item}(?:{_JOIN}{item})+", text):
            pieces = re.findall(item, match[0])
            found = [_like(value, piece, named) for piece in pieces]
            # `Boston, MA` is one place, and two small words that `and` joins are seldom a list.
            is_list = len(found) > 2 or (item != _WORD and _LAST.search(match[0]))
            is_list = is_list and (item != _MEASURE or len({re.sub(_NUMBER, "", piece) for piece in pieces}) == 1)
            if is_list and value in found and len(found) == len(set(found)) and None not in found:
                return found
    return []


def _like(value: Any, piece: str, named: Sequence[Any]) -> Any:
    """A piece of a list as a value of the same kind; None where it is none."""
    if isinstance(value, str):
        plain = _ARTICLE.sub("", piece.strip("\"'"))
        ones = [one for one in named if isinstance(one, str) and plain.lower().startswith(one.lower())]
        return next(iter(ones), None) if named else plain
    match = re.search(_NUMBER, piece)
    number = float(match[0].replace("−", "-")) if match else None
    return int(number) if number is not None and number.is_integer() else number
