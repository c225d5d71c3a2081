"""From a question to calls for a small model: the encoder finds the functions, the model fills in their forms."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.types import ToolCall
from inference.call_schema import accepts, function_of
from inference.form_filling import FormFiller
from inference.grounding import Grounding
from inference.protocol import ChatEngine, JsonSchema
from retrieval.protocol import Embedder
from tools.likeness import Descriptions, likeness
from tools.parallel_calls import spread
from tools.question_parts import parts_of
from tools.repeated_calls import repeated

# Cosine of question and description below which no tool fits (MiniLM); evaluation/DECISIONS.md has the measurement.
FITTING = 0.42
# A part of a question names a function of its own where it is this near to it, and so much nearer than to the function
# that the whole question is about.
PART_FITTING, PART_MARGIN = 0.40, 0.10
MOST_CALLS = 8
_ASKS_DATE = re.compile(r"YYYY|日期|\ba date\b")
# What names a day in a question; whatever else could is better asked for in vain than never.
_NAMES_DATE = re.compile(
    r"\d|[今明昨前后当][天日年早晚]|[一二三四五六七八九十]+[月日号]|[上下本这]个?(?:周|月|星期)|节|国庆|元旦|圣诞|中秋|除夕|"
    r"\b(?:today|tonight|tomorrow|yesterday|now|next|last|this|coming|first|second|third|\w+day|\w+mas|easter|"
    r"jan\w*|feb\w*|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?\w*|oct\w*|nov\w*|dec\w*|new year\w*)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Proposals:
    """Calls that can be made, and calls whose form a person would have to complete."""

    calls: tuple[ToolCall, ...] = ()
    begun: tuple[ToolCall, ...] = ()


@dataclass(frozen=True)
class CallProposer:
    """Proposes calls by form, with a model too small to write them; `embedder` chooses among the functions.

    `adapter` names the one trained on the forms, asked for when a call is proposed; empty where there is none.
    """

    engine: ChatEngine
    embedder: Embedder | None = None
    adapter: Callable[[], str] = lambda: ""

    def propose(
        self, question: str, tools: Sequence[JsonSchema], is_cancelled: Callable[[], bool] = lambda: False
    ) -> tuple[ToolCall, ...]:
        """The calls for the question, each valid against its schema; none where no function fits."""
        return self.proposals(question, tools, is_cancelled).calls

    def proposals(
        self, question: str, tools: Sequence[JsonSchema], is_cancelled: Callable[[], bool] = lambda: False
    ) -> Proposals:
        """The valid calls, and the forms of fitting functions that could not be filled in as their schema wants."""
        filler = FormFiller(self.engine, self.adapter(), is_cancelled)
        calls: list[ToolCall] = []
        begun: list[ToolCall] = []
        for function, text in self.wanted(question, tools):
            filled = ToolCall(
                "", function["name"], filler.fill(text, function)[0] if _has_numbers(text, function) else {}
            )
            whole = [call for call in _several(filled, text, function) if is_valid_call(call, tools)]
            calls += whole
            begun += [] if whole else [filled]
        if is_cancelled():
            return Proposals()
        return Proposals(_numbered(calls[:MOST_CALLS]), _numbered(begun))

    def wanted(self, question: str, tools: Sequence[JsonSchema]) -> list[tuple[dict[str, Any], str]]:
        """The functions that fit, best one first, each with the words of the question that are about it."""
        functions = [function_of(tool) for tool in tools]
        if self._descriptions is None or not functions:
            return [(function, question) for function in functions[:1]]
        parts = parts_of(question)
        # float32 (1 + parts, functions): the whole question first.
        scores = likeness(self._descriptions, [question, *parts], functions)
        best = int(np.argmax(scores[0]))
        chosen = _by_parts(scores[1:], parts, best) if len(parts) > 1 else {}
        if len(chosen) < 2:
            # One function: what the whole question is about.
            chosen = {best: question} if scores[0, best] >= FITTING else {}
        return [(functions[at], text) for at, text in chosen.items() if _has_its_date(text, functions[at])]

    @cached_property
    def _descriptions(self) -> Descriptions | None:
        return Descriptions(self.embedder) if self.embedder else None


def is_valid_call(call: ToolCall, tools: Sequence[JsonSchema]) -> bool:
    """Whether a call names one of the tools, with arguments that its schema accepts."""
    functions = {function["name"]: function for function in map(function_of, tools)}
    return call.name in functions and accepts(functions[call.name]["parameters"], dict(call.arguments))


def _several(call: ToolCall, text: str, function: dict[str, Any]) -> list[ToolCall]:
    """The call for each of a list of values, else for each time that the text says it anew."""
    listed = spread(call, text, function)
    return listed if len(listed) > 1 else repeated(call, text, function)


def _by_parts(scores: NDArray[np.float32], parts: Sequence[str], main: int) -> dict[int, str]:
    """Each part goes to its nearest function where that is near enough, else to the one before it.

    `main` is the function that the whole question is about.
    """
    found: dict[int, str] = {}
    last = -1
    for row, part in zip(scores, parts, strict=True):
        best = int(np.argmax(row))
        is_own = best == main or row[best] - row[main] >= PART_MARGIN
        last = best if is_own and row[best] >= PART_FITTING else last
        if last >= 0:
            found[last] = f"{found[last]} {part}" if last in found else part
    return found


def _numbered(calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(f"call_{at}", call.name, call.arguments) for at, call in enumerate(calls))


def _has_its_date(question: str, function: dict[str, Any]) -> bool:
    """False where the function cannot do without a date and the question names none: "how many days of leave"."""
    parameters = function["parameters"]
    asked = (parameters.get("properties", {}).get(name, {}) for name in parameters.get("required", ()))
    needs_date = any(_ASKS_DATE.search(str(schema.get("description", ""))) for schema in asked)
    return not needs_date or bool(_NAMES_DATE.search(question))


def _has_numbers(question: str, function: dict[str, Any]) -> bool:
    """Whether the question holds a number where the function cannot do without one."""
    parameters = function["parameters"]
    required = [parameters.get("properties", {}).get(name, {}) for name in parameters.get("required", ())]
    needs_number = any(schema.get("type") in ("integer", "number") and "default" not in schema for schema in required)
    return not needs_number or bool(Grounding(question).numbers)
