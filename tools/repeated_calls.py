"""One call made several where a question says a thing more than once in the same words, with other values.

`the area of a circle of radius 5 and of one of radius 7`, `Paris on Monday and Rome on Tuesday`, `... in Oslo? And in
Bergen?`. Rules of language over the first call: another value of an argument looks like the one it has, and the word
before it or the word after it is the same, or `and` joins the two. What is said once holds for every call; arguments
with as many values as one another go side by side; any other mixture is left as it was.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.types import ToolCall

MOST = 8
LONGEST_GAP = 24
_NUMBER = r"(?<![A-Za-z_\d.])[-−]?\d+(?:,\d{3})*(?:\.\d+)?(?![A-Za-z_\d]*\d)"
_LOOKS = {
    "quotation": r"\"[^\"\n]{1,80}\"|(?<!\w)'[^'\n]{1,80}'(?!\w)|“[^”\n]{1,80}”|《[^》\n]{1,80}》",
    "date": r"\d{4}-\d{1,2}-\d{1,2}|[A-Z][a-z]{2,8} \d{1,2}(?:st|nd|rd|th)?,? \d{4}",
    "place": r"[A-Z][\w.'-]*(?: [A-Z][\w.'-]*)*, [A-Z][\w.'-]*(?: [A-Z][\w.'-]*)*",
    "number": _NUMBER,
    "name": r"[A-Z][\w'&-]*(?: (?:(?:of|de|the|la) )?[A-Z][\w'&-]*)*",
    "word": r"[a-z][\w'-]*(?: [a-z][\w'-]*){0,2}",
}
_ARTICLE = re.compile(r"(?:\b(?:the|a|an|another|one|also|its|their)\s+)+$", re.IGNORECASE)
_OPENING = re.compile(r"^(?:(?:In|For|Of|At|On|About|With|To|From|By|And|Or|The|Is|Are)\s+)+")
_BEFORE = re.compile(r"([A-Za-z]+|[\u4e00-\u9fff]{1,2}|[=:$€£¥])\s*[\"'“《]?$")
_AFTER = re.compile(r"^[\"'”》]?[\s-]*([A-Za-z]+|[\u4e00-\u9fff%°]{1,2}|%)")
# `What about Rome?`, `and the same for 2018`: the value of a request that leans on the one before.
_LEANING = re.compile(
    r"(?:(?:what|how) about|\band (?:also |then )?(?:for|in|of)|\bsame (?:thing )?(?:for|with|in|of|at|on)"
    r"|那么?|换成)\s*$",
    re.IGNORECASE,
)
_NEW = re.compile(
    r"(?:^|[.?!;,。？！；，]|\b(?:and|then|also|or)|[和与及])\s*(?:and|then|also|finally)?\s*$", re.IGNORECASE
)
# These stand before values of every kind.
_PLACES = frozenset(
    ("in", "for", "of", "at", "on", "about", "with", "to", "from", "by", "as", "between", "called", "named")
)
# And these before anything, so they tell nothing.
_ANYWHERE = frozenset(re.findall(r"\w*", "and or is are be that me my please i the a not"))


@dataclass(frozen=True)
class _Item:
    """A value where it stands: characters `start` to `end` of the question."""

    start: int
    end: int
    value: Any


@dataclass(frozen=True)
class _Series:
    """The values of one argument in the order of the text; `is_plain`: they alone show that more calls are wanted."""

    items: tuple[_Item, ...]
    is_plain: bool


def repeated(call: ToolCall, question: str, function: Mapping[str, Any]) -> list[ToolCall]:
    """The call, or the calls that take its place, in the order of the question; at most MOST."""
    properties: Mapping[str, Any] = function["parameters"].get("properties", {})
    values = {
        name: value
        for name, value in call.arguments.items()
        if isinstance(value, str | int | float)
        and not isinstance(value, bool)
        and "enum" not in properties.get(name, {})
    }
    series = {name: _series(value, question) for name, value in values.items()}
    many = {
        name: found
        for name, found in series.items()
        if len(found.items) > 1 and not any(item.value in _others(values, name) for item in found.items)
    }
    strong = [found for name, found in many.items() if _look_in(values[name], question) != "word"]
    length = _agreed(strong, list(many.values()))
    if length < 2:
        return [call]
    varied = {name: found.items for name, found in many.items() if len(found.items) == length}
    varied |= _followers(values, varied, question)
    places = [item.start for items in varied.values() for item in items]
    # A value that went to two arguments belongs to neither for certain.
    if len(places) != len(set(places)):
        return [call]
    return [
        ToolCall(call.id, call.name, {**call.arguments, **{name: items[at].value for name, items in varied.items()}})
        for at in range(min(length, MOST))
    ]


def _agreed(strong: list[_Series], every: list[_Series]) -> int:
    """How many calls the arguments speak of; 1 where they do not agree or none says it plainly."""
    votes = Counter(len(found.items) for found in every)
    likely = {len(found.items) for found in strong}
    ranked = sorted(likely, key=lambda length: -votes[length])
    if not ranked or (len(ranked) > 1 and votes[ranked[0]] == votes[ranked[1]]):
        return 1
    is_plain = any(found.is_plain for found in strong if len(found.items) == ranked[0])
    return ranked[0] if votes[ranked[0]] > 1 or is_plain else 1


def _others(values: Mapping[str, Any], name: str) -> list[Any]:
    return [value for other, value in values.items() if other != name]


def _series(value: Any, text: str) -> _Series:
    """The value and its like: said in the same words, else joined by the same unit, else in requests that lean."""
    items = list(_items(value, text))
    own = next((item for item in items if item.value == value), None)
    if own is None:
        return _Series((), False)
    before, after = _word_before(own, text), _word_after(own, text)
    ways = (
        ([item for item in items if _word_before(item, text) == before], before not in _ANYWHERE),
        ([item for item in items if _word_after(item, text) == after], after not in _ANYWHERE | _PLACES),
        ([item for item in items if item is own or _leans(item, text)], True),
    )
    for number, (found, tells) in enumerate(ways):
        kept = _without_repeats(found)
        if tells and len(kept) > 1:
            others = [item for item in kept if item is not own]
            plain = number == 2 or before not in _PLACES or _name_said_again(own, others, text)
            return _Series(tuple(kept), plain and number != 1)
    return _Series((own,), False)


def _followers(
    values: Mapping[str, Any], varied: Mapping[str, tuple[_Item, ...]], text: str
) -> dict[str, tuple[_Item, ...]]:
    """Arguments whose value follows a varied one in the same way each time: `3 and 4, then 5 and 12`."""
    found = {}
    for name, value in values.items():
        if name in varied:
            continue
        items = list(_items(value, text))
        for leaders in varied.values():
            gap = next((text[leaders[0].end : item.start] for item in items if item.start > leaders[0].end), None)
            mine = [next((i for i in items if text[leader.end : i.start] == gap), None) for leader in leaders]
            if gap and len(gap) <= LONGEST_GAP and all(mine) and any(item and item.value == value for item in mine):
                found[name] = tuple(item for item in mine if item)
    return found


def _items(value: Any, text: str) -> Iterator[_Item]:
    """The places of the text that look like the value."""
    look = _look_in(value, text)
    if look == "word":
        yield from _word_items(str(value), text)
        return
    for match in re.finditer(_LOOKS[look], text) if look else ():
        # `For Rome` at the beginning of a sentence.
        plain = _OPENING.sub("", match[0]) if look in ("name", "place") else match[0]
        start = match.end() - len(plain)
        plain = plain.strip("\"'“”《》") if look == "quotation" else plain
        yield _Item(start, match.end(), plain if isinstance(value, str) else _number(plain))


def _look_in(value: Any, text: str) -> str:
    """What kind of thing a value is; empty for none that is known."""
    if not isinstance(value, str):
        return "number"
    if any(f"{mark}{value}" in text for mark in "\"'“《"):
        return "quotation"
    return next((name for name, look in _LOOKS.items() if name != "quotation" and re.fullmatch(look, value)), "")


def _number(digits: str) -> int | float:
    number = float(digits.replace(",", "").replace("−", "-"))
    return int(number) if number.is_integer() else number


def _word_items(value: str, text: str) -> Iterator[_Item]:
    """Runs of as many small words as the value has."""
    size = len(value.split())
    words = [(match.start(), match.end()) for match in re.finditer(r"(?<![\w-])[\w'-]+", text)]
    for first in range(len(words) - size + 1):
        start, end = words[first][0], words[first + size - 1][1]
        if re.fullmatch(_LOOKS["word"], text[start:end]) and text[start:end].split()[0] not in _ANYWHERE | _PLACES:
            yield _Item(start, end, text[start:end])


def _word_before(item: _Item, text: str) -> str:
    match = _BEFORE.search(_ARTICLE.sub("", text[: item.start]))
    return match[1].lower() if match else ""


def _word_after(item: _Item, text: str) -> str:
    match = _AFTER.search(text[item.end :])
    return match[1].lower() if match else ""


def _leans(item: _Item, text: str) -> bool:
    return bool(_LEANING.search(_ARTICLE.sub("", text[: item.start])))


def _name_said_again(own: _Item, others: list[_Item], text: str) -> bool:
    """Whether the other values follow `and` and the word that stands before them all, or have its noun before it.

    `in Oslo and in Rome`; `a radius of 3 and a radius of 8`.
    """
    noun = _noun_before(own, text)
    return all(_begins(item, text) or (noun not in _ANYWHERE and _noun_before(item, text) == noun) for item in others)


def _begins(item: _Item, text: str) -> bool:
    """Whether the word before a value follows `and`, a comma or the end of a sentence."""
    match = _BEFORE.search(_ARTICLE.sub("", text[: item.start]))
    return match is not None and bool(_NEW.search(text[: match.start()]))


def _noun_before(item: _Item, text: str) -> str:
    """The second word before a value."""
    match = _BEFORE.search(_ARTICLE.sub("", text[: item.start]))
    return _word_before(_Item(match.start(), match.start(), None), text) if match else ""


def _without_repeats(items: list[_Item]) -> list[_Item]:
    return list({item.value: item for item in reversed(items)}.values())[::-1]
