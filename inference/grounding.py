"""What a question offers as arguments: its words, its numbers, and what a parameter's own description names.

A small model copies well and invents badly. So a string argument is a run of words of the question, or a value that
the schema names; a number is one of those written there. What one argument has taken the next does not take again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from inference.candidates import (
    bears_signs,
    fitting,
    has_own_look,
    number_beside,
    number_described,
    points_to,
    runs_of,
    spoken_values,
    words_of,
)
from inference.described_values import named_values, spoken_examples
from inference.number_kinds import numbers_in_unit, sums_of_money, without_other_kinds, years
from inference.spelled_codes import codes_for
from inference.spelled_dates import dates_for

Number = int | float

_NUMBER = re.compile(
    r"(?<![A-Za-z_\d.])(?:(?<![^\W_])[-−])?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][+-]?\d{1,2})?(?![\d,]*\d{3},)|(?<![A-Za-z_\d.])\d+(?:\.\d+)?"
    # `800x600`
    r"|(?<=\d[x×])\d+(?![A-Za-z_\d.])"
)
_QUOTATION = re.compile(
    r"\"([^\"]{1,300})\"|(?<!\w)'((?:[^']|(?<=\w)'(?=\w)){1,300})'(?!\w)|[‘“「《]([^’”」》]{1,300})[’”」》]"
)
# Commas inside "Las Vegas, Nevada" and "May 12, 2022" do not end a phrase; others do.
_WHOLE = re.compile(
    r"\b\d+ (?:[A-Z]\w+ )+(?:Street|St|Avenue|Road|Rd|Drive|Lane|Boulevard|Square)\b(?:, [A-Z]\w+(?: [A-Z]\w+)*)*"
    r"|\b\w+://[^\s'\"<>]+[\w/]|[\w.+-]+@[\w-]+\.[\w.]*\w|(?:\w:)?[\w.~-]*[/\\][\w./\\-]*\w|\b\d{1,3}(?:\.\d{1,3}){3}\b"
    r"|\b\d{4}-\d{2}-\d{2} \d{2}:\d{2}(?::\d{2})?\b"
    r"|\b\d{1,2}:\d{2}(?::\d{2})?(?:\s?[aApP]\.?[mM]\b)?|\b\d{1,2}\s?[aApP]\.?[mM]\b|(?:[A-Z]\.)+(?: [A-Z][\w.]+)+"
    r"|[A-Z][\w.]+(?: [A-Z][\w.]+)*, [A-Z][\w.]+(?: [A-Z][\w.]+)*"
    r"|\b[A-Z][a-z]{2,8} \d{1,2}(?:st|nd|rd|th)?,? \d{4}"
    r"|\b\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b"
    r"|(?<![\w.])[\w.]*[(\d][\w.()]*(?:\s?[-+*/^]\s?[\w.()]+)+"
)
_BORDER = re.compile(
    r"[,;:!?，。；：！？、\"“”‘’「」《》()\[\]{}\\\x00-\x1f]+|(?<!\w)'|'(?!\w)|(?<!\bDr)(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bProf)(?<!\bSt)\.(?=\s|$)"
)
_SIMPLE = re.compile(r"-?\d+(?:\.\d+)?")
_RUN = re.compile(r"-?\d+(?:\.\d+)?(?:\s*(?:,\s*and|,|;|、|，|\band\b|和)\s*-?\d+(?:\.\d+)?)+")
_UNITS = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty",
)
_NAMED: dict[str, float] = {word: float(number) for number, word in enumerate(_UNITS)}
_NAMED |= {"thirty": 30, "forty": 40, "fifty": 50, "hundred": 100, "thousand": 1000, "half": 0.5, "dozen": 12}
_NAMED |= {"first": 1, "second": 2, "third": 3, "single": 1, "couple": 2, "double": 2, "pair": 2}
_HAN_DIGITS: dict[str, float] = {sign: float(number) for number, sign in enumerate("零一二三四五六七八九十")}
_HAN_DIGITS["两"] = 2.0
_SCALES = {"million": 1e6, "m": 1e6, "billion": 1e9, "thousand": 1e3, "k": 1e3, "万": 1e4, "亿": 1e8}
_SCALED = re.compile(r"(\d[\d,]*(?:\.\d+)?)\s*(million|billion|thousand|[km]\b|万|亿)", re.IGNORECASE)
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*(?:%|percent|per cent)")


@dataclass(frozen=True)
class Grounding:
    """The text that arguments may be taken from, and the values that earlier arguments have taken.

    `strings` and `figures` are how many arguments must be strings and numbers, where that is known: as many quotations
    are the values of the former, as many numbers those of the latter, in their order.
    """

    text: str
    taken: tuple[Any, ...] = ()
    strings: int = 0
    figures: int = 0
    function: str = ""

    @classmethod
    def for_form(cls, text: str, function: Mapping[str, Any]) -> "Grounding":
        """What `text` offers to the form of one function, which has a name and parameters."""
        parameters = function["parameters"]
        properties = parameters.get("properties", {})
        required = [properties.get(name, {}) for name in parameters.get("required", ())]
        return cls(
            text,
            strings=sum(schema.get("type") == "string" and "enum" not in schema for schema in required),
            figures=sum(schema.get("type") in ("integer", "number") for schema in required),
            function=str(function["name"]),
        )

    def without(self, value: Any) -> "Grounding":
        """The same text after `value` (a string, a number, a list of them) went into an argument."""
        values = value if isinstance(value, list) else [value]
        plain = tuple(item for item in values if type(item) in (str, int, float) and item != "")
        return replace(self, taken=(*self.taken, *plain))

    @property
    def numbers(self) -> tuple[Number, ...]:
        """The numbers not yet taken, in the order of the text; all of them where none is left."""
        return tuple(dict.fromkeys(self._untaken or self._occurrences))

    @property
    def has_new_numbers(self) -> bool:
        """Whether a number stands there that no argument has taken; what stands there twice can be taken twice."""
        return bool(self._untaken)

    @cached_property
    def _untaken(self) -> list[Number]:
        rest = list(self._occurrences)
        for value in self.taken:
            if value in rest:
                rest.remove(value)
        return rest

    @cached_property
    def _occurrences(self) -> tuple[Number, ...]:
        """Every number written: digits, percentages (5 % also as 0.05), millions, number words."""
        found = [_plain(match[0]) for match in _NUMBER.finditer(self.text)]
        found += [round(_plain(match[1]) / 100, 12) for match in _PERCENT.finditer(self.text)]
        found += [round(_plain(match[1]) * _SCALES[match[2].lower()], 6) for match in _SCALED.finditer(self.text)]
        found += [_NAMED[word] for word in re.findall(r"[a-z]+", self.text.lower()) if word in _NAMED]
        found += [_HAN_DIGITS[sign] for sign in self.text if sign in _HAN_DIGITS]
        return tuple(_whole(number) for number in found)

    @cached_property
    def number_runs(self) -> tuple[tuple[Number, ...], ...]:
        """The lists of two or more numbers that stand together: `85, 90 and 88`, `[1, 2]`."""
        runs = [
            tuple(_whole(_plain(digits)) for digits in _SIMPLE.findall(match[0])) for match in _RUN.finditer(self.text)
        ]
        return tuple(dict.fromkeys(run for run in runs if any(value not in self.taken for value in run)))

    @cached_property
    def phrases(self) -> tuple[str, ...]:
        """The pieces between punctuation, from which a run of words may be copied; what was taken is cut out."""
        rest = self.text
        for value in self.taken:
            if isinstance(value, str):
                rest = _cut_out(value, rest)
        pieces = [" ".join(piece.split()) for piece in _BORDER.split(rest)]
        return tuple(dict.fromkeys(piece for piece in pieces if re.search(r"\w", piece)))

    @cached_property
    def quotations(self) -> tuple[str, ...]:
        """What stands in quotes, in its order."""
        return tuple(next(filter(None, match.groups())) for match in _QUOTATION.finditer(self.text))

    @cached_property
    def wholes(self) -> tuple[str, ...]:
        """What belongs together across punctuation: quotations, places, dates, times of day."""
        found = list(self.quotations)
        found += [match[0] for match in _WHOLE.finditer(self.text)]
        plain = (re.sub(r"[\"\\\x00-\x1f]", " ", value).strip() for value in found)
        return tuple(dict.fromkeys(value for value in plain if value and value not in self.taken))

    def numbers_for(self, name: str, schema: Mapping[str, Any]) -> tuple[Number, ...]:
        """The numbers for one argument: those beside its own word, else what is left; 5 % of a rate is 0.05."""
        free = self.numbers
        written = number_beside(name, self.text, _SIMPLE.pattern)
        written = written or number_described(str(schema.get("description", "")), self.text, _SIMPLE.pattern)
        written = written or sums_of_money(self.text, name) or years(self.text, name)
        written = written or numbers_in_unit(self.text, schema)
        beside = [_whole(_plain(digits)) for digits in written]
        free = tuple(number for number in free if number in beside) or free
        of_kind = Grounding(without_other_kinds(self.text, name, schema))._occurrences
        free = tuple(number for number in free if number in of_kind) or free
        shares = [_whole(round(_plain(match[1]) / 100, 12)) for match in _PERCENT.finditer(self.text)]
        whole = [_whole(_plain(match[1])) for match in _PERCENT.finditer(self.text)]
        unwanted = whole if _is_fraction(name, schema) else shares
        free = tuple(number for number in free if number not in unwanted) or free
        # Each number once and none too many: they stand in the order of the arguments.
        return free[:1] if 0 < self.figures == len(set(self._occurrences)) else free

    def strings_for(self, name: str, schema: Mapping[str, Any]) -> list[str]:
        """The runs of words that can be the value of one argument."""
        written = dates_for(name, schema, self.text) or codes_for(name, schema, self.text)
        if written:
            return [value for value in written if value not in self.taken] or written
        examples = self._spoken_examples(schema)
        if examples and not has_own_look(name):
            return examples
        quoted = [
            value for value in self.quotations if value not in self.taken and not re.search(r"[\\\x00-\x1f]", value)
        ]
        if quoted and 0 < self.strings <= len(self.quotations):
            return quoted
        runs = (run for phrase in self.phrases for run in runs_of(phrase, name))
        return fitting((*self.wholes, *runs), name, schema, self.text, self.function)

    def has_format(self, schema: Mapping[str, Any]) -> bool:
        """Whether the text holds what the format of a string asks for; True where it asks for none."""
        kind = str(schema.get("format", ""))
        return (
            not kind or bool(dates_for("", schema, self.text)) or any(bears_signs(value, kind) for value in self.wholes)
        )

    def wants(self, name: str, schema: Mapping[str, Any]) -> bool:
        """Whether an optional argument is asked for; a number only where one is left that nothing has taken."""
        is_number = schema.get("type") in ("integer", "number")
        return self.speaks_of(name, schema) and (self.has_new_numbers or not is_number)

    def speaks_of(self, name: str, schema: Mapping[str, Any]) -> bool:
        """Whether the text means an argument: its name, its unit, one of its values, its kind of place or time.

        Of 83 optional arguments of which the tuning sets' questions speak, 78 are given; of 125 others, 18.
        """
        if points_to(name, self.text, self.taken) or self._spoken_examples(schema):
            return True
        named = any(_is_word_in(value.lower(), self.text.lower()) for value in named_values(schema))
        if named or spoken_values(schema.get("enum", ()), self.text) or self._has_number_of(name, schema):
            return True
        stems = [part[: max(4, len(part) - 2)] for part in words_of(name) if len(part) > 2]
        return bool(stems) and all(
            re.search(rf"(?<![^\W_]){re.escape(stem)}", self.text, re.IGNORECASE) for stem in stems
        )

    def _has_number_of(self, name: str, schema: Mapping[str, Any]) -> bool:
        """Whether a number that nothing has taken stands beside a numeric argument's name or with its unit."""
        if schema.get("type") not in ("integer", "number"):
            return False
        named = number_beside(name, self.text, _SIMPLE.pattern) or numbers_in_unit(self.text, schema)
        return any(_whole(_plain(digits)) in self._untaken for digits in named)

    def _spoken_examples(self, schema: Mapping[str, Any]) -> list[str]:
        """The examples of a description that the text uses and no argument has taken."""
        return [value for value in spoken_examples(schema, self.text) if value not in self.taken]


def _cut_out(value: str, text: str) -> str:
    """The text in pieces where the value stood; `user1` does not stand in `user1pass`."""
    if not value.isascii():
        return text.replace(value, "\n")
    return re.sub(rf"(?<![^\W_]){re.escape(value)}(?![^\W_])", "\n", text)


def _is_fraction(name: str, schema: Mapping[str, Any]) -> bool:
    """Whether 5 % is wanted as 0.05: where the argument is a rate and nothing speaks of percent or of a discount."""
    told = f"{name} {schema.get('description', '')}".lower()
    return schema.get("type") == "number" and not re.search(r"percent|discount|%", told)


def _whole(number: float) -> Number:
    return int(number) if number == int(number) else number


def _plain(digits: str) -> float:
    return float(digits.replace(",", "").replace("−", "-"))


def _is_word_in(value: str, text: str) -> bool:
    if not value.isascii():
        return value in text
    return bool(value) and bool(re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text))
