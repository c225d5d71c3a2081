"""From a question to calls for a small model: the encoder finds the function, the model fills in its form."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.types import ToolCall
from inference.call_schema import function_of
from inference.form_filling import fill_arguments
from inference.grounding import Grounding
from inference.protocol import ChatEngine, JsonSchema
from retrieval.protocol import Embedder

# Cosine of question and description below which no tool fits (MiniLM); evaluation/DECISIONS.md has the measurement.
FITTING = 0.40


@dataclass(frozen=True)
class CallProposer:
    """Proposes a call by form, with a model too small to write one; `embedder` chooses among the functions."""

    engine: ChatEngine
    embedder: Embedder | None = None
    adapter: str = ""

    def propose(
        self, question: str, tools: Sequence[JsonSchema], is_cancelled: Callable[[], bool] = lambda: False
    ) -> tuple[ToolCall, ...]:
        """The calls for the question, each valid against its schema; none where no function fits."""
        function = self.best_function(question, tools) if tools else None
        return () if function is None else self._fill(question, function, is_cancelled)

    def best_function(self, question: str, tools: Sequence[JsonSchema]) -> dict[str, Any] | None:
        """The function whose description is nearest to the question, None where none is near enough."""
        functions = [function_of(tool) for tool in tools]
        if self.embedder is None:
            return functions[0]
        scores = self.embedder.embed_documents([_spoken(item) for item in functions]) @ self.embedder.embed_query(
            question
        )
        best = int(np.argmax(scores))
        fits = scores[best] >= FITTING and _can_be_filled(question, functions[best])
        return functions[best] if fits else None

    def _fill(self, question: str, function: dict[str, Any], is_cancelled: Callable[[], bool]) -> tuple[ToolCall, ...]:
        arguments, _ = fill_arguments(self.engine, question, function, adapter=self.adapter, is_cancelled=is_cancelled)
        # What was stopped half-way is no call.
        is_whole = all(name in arguments for name in function["parameters"].get("required", ()))
        return (ToolCall("call_0", function["name"], arguments),) if is_whole else ()


def _can_be_filled(question: str, function: dict[str, Any]) -> bool:
    """Whether the question holds a number where the function cannot do without one."""
    parameters = function["parameters"]
    required = [parameters.get("properties", {}).get(name, {}) for name in parameters.get("required", ())]
    needs_number = any(schema.get("type") in ("integer", "number") and "default" not in schema for schema in required)
    return not needs_number or bool(Grounding(question).numbers)


def _spoken(function: dict[str, Any]) -> str:
    name = re.sub(r"[_.]", " ", re.sub(r"([a-z])([A-Z])", r"\1 \2", function["name"]))
    return f"{name}: {function['description']}"
