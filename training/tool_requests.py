"""Requests made by rule from the descriptions of functions, where real ones with their calls are too few.

A function of Seal-Tools says what its arguments are and gives examples of their values (`the city (e.g., Paris)`). A
request is its description with a value for some of the arguments, in the many ways in which people attach one (`with a
length of 5`, `the length is 5`, `from Paris`), often beside a value that none of its arguments wants.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.types import ToolCall
from inference.candidates import words_of
from inference.described_values import examples, without_examples
from training.tool_cases import Function, ToolCase

_PLACEHOLDER = re.compile(r"[A-Z]{2,4}[-/][A-Z]{2}|[a-z]{2,4}-[a-z]{2}-|\bMM\b|[{}<>\[\]\\]")
_OPENINGS = (
    *("", "", "Please ", "Can you ", "Could you ", "I need to ", "I want to ", "I'd like to ", "Help me ", "Let's "),
    *("I need you to ", "Could you please ", "We have to "),
)
_INLINE = (
    " with {a} {words} of {value}",
    " with {words} {value}",
    " for the {words} {value}",
    " where the {words} is {value}",
    ", {words} {value}",
    " using {value} as the {words}",
    " given {a} {words} of {value}",
    " and the {words} {value}",
    " ({words}: {value})",
    " whose {words} is {value}",
)
_APART = (
    " The {words} is {value}.",
    " The {words} should be {value}.",
    " {Words}: {value}.",
    " Use {value} as {words}.",
)
# What joins a value without saying what it is, by a word of the argument's name.
_BARE = {
    "location": " in {value}", "country": " in {value}", "city": " in {value}", "region": " in {value}",
    "destination": " to {value}", "year": " in {value}", "date": " on {value}", "time": " at {value}",
    "author": " by {value}", "artist": " by {value}", "language": " in {value}", "duration": " for {value}",
    "topic": " about {value}", "name": " called {value}", "title": " called {value}", "platform": " on {value}",
    "period": " for {value}", "start": " from {value}", "end": " to {value}", "source": " from {value}",
    "from": " from {value}", "target": " to {value}", "unit": " in {value}", "material": " made of {value}",
}  # fmt: skip
_MOST_GIVEN = 4
_OFFERED = 0.4
_BESIDE = 0.3
_BARELY = 0.5
_QUOTED = 0.15


@dataclass(frozen=True)
class _Given:
    """One argument with its value, and how the two are said."""

    name: str
    value: Any

    @property
    def words(self) -> str:
        return " ".join(words_of(self.name))


class RequestMaker:
    """Makes requests to functions, whose examples of values stand in for one another where arguments share a name."""

    def __init__(self, functions: Sequence[Function], seed: int) -> None:
        self._draw = random.Random(seed)  # noqa: S311 - a reproducible recipe, no secret
        self._functions = functions
        self._pool: dict[str, list[str]] = defaultdict(list)
        for function in functions:
            for name, schema in function["parameters"].get("properties", {}).items():
                self._pool[name] += _examples(schema)

    def requests(self, count: int) -> Iterator[ToolCase]:
        """At most `count` requests, each to a function drawn anew, with its call."""
        for number in range(count):
            function = self._draw.choice(self._functions)
            made = self._request(function)
            if made is not None:
                question, shown, arguments = made
                call = ToolCall("", function["name"], arguments)
                yield ToolCase(f"made-{number}", "made", question, (shown,), (call,))

    def _request(self, function: Function) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
        """The question, the function as it is shown, the arguments; None where a required value cannot be made up."""
        parameters = function["parameters"]
        properties: Mapping[str, Any] = parameters.get("properties", {})
        wanted = [name for name in properties if name in parameters["required"] or self._draw.random() < _OFFERED]
        given = [_Given(name, self._value(name, properties[name])) for name in wanted[:_MOST_GIVEN]]
        arguments = {one.name: one.value for one in given if one.value is not None}
        if not arguments or any(name not in arguments for name in parameters["required"]):
            return None
        said = [one for one in given if one.value is not None]
        if self._draw.random() < _BESIDE:
            said += self._beside(properties)
        question = self._sentence(str(function["description"]), said)
        return question, {**function, "parameters": self._without_examples(parameters, arguments)}, arguments

    def _sentence(self, description: str, given: Sequence[_Given]) -> str:
        opening = self._draw.choice(_OPENINGS)
        words = description.strip().rstrip(".")
        start = words[:1].lower() + words[1:] if opening else words
        question, apart = opening + start, ""
        for one in self._draw.sample(given, len(given)):
            pattern = self._pattern(one)
            written = str(one.value)
            if isinstance(one.value, str) and self._draw.random() < _QUOTED:
                written = f'"{written}"'
            told = pattern.format(
                words=one.words, Words=one.words.capitalize(), a="an" if one.words[0] in "aeiou" else "a", value=written
            )
            if pattern in _APART:
                apart += told
            else:
                question += told
        return question + ("?" if opening.startswith("C") else ".") + apart

    def _pattern(self, one: _Given) -> str:
        bare = next((_BARE[word] for word in words_of(one.name) if word in _BARE), "")
        if bare and self._draw.random() < _BARELY:
            return bare
        return self._draw.choice(_APART if self._draw.random() < _BARELY / 2 else _INLINE)

    def _beside(self, properties: Mapping[str, Any]) -> list[_Given]:
        """A value that no argument of the function is called after."""
        others = [name for name, found in self._pool.items() if found and name not in properties]
        name = self._draw.choice(others) if others else ""
        return [_Given(name, self._draw.choice(self._pool[name]))] if name else []

    def _value(self, name: str, schema: Mapping[str, Any]) -> Any:
        kind = schema.get("type")
        if kind == "integer":
            return self._draw.choice(
                (self._draw.randint(1950, 2026),) if "year" in name else _whole_numbers(self._draw)
            )
        if kind == "number":
            return self._draw.choice((*_whole_numbers(self._draw), round(self._draw.uniform(0.1, 100), 1)))
        if kind != "string":
            return None
        if name.endswith("id"):
            return "".join(self._draw.choices("ABCDEFGHKLMNPQRSTUVWXYZ23456789", k=self._draw.randint(4, 9)))
        known = _examples(schema) + self._draw.sample(self._pool[name], min(3, len(self._pool[name])))
        return self._draw.choice(known) if known else None

    def _without_examples(self, parameters: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A description that gives away the very value would teach to copy from there."""
        shown = {
            name: {**schema, "description": without_examples(str(schema.get("description", "")))}
            if arguments.get(name) in _examples(schema)
            else schema
            for name, schema in parameters["properties"].items()
        }
        return {**parameters, "properties": shown}


def _examples(schema: Mapping[str, Any]) -> list[str]:
    """The examples that a description of a string gives; formats and what is not a value left out."""
    return [value for value in examples(schema) if not _PLACEHOLDER.search(value)]


def _whole_numbers(draw: random.Random) -> tuple[int, ...]:
    return draw.randint(1, 12), draw.randint(10, 99), draw.randint(100, 900), draw.randint(1, 90) * 100
