"""Does an answer stand on its sources? Each is left out and the finished answer is scored again by the same model.

A source's weight is how many nats of log-probability the answer loses without it; the meter is what it loses, per
token, without any. Attention is a picture; leaving out is the verdict. It costs one pass over the prompt per source,
so it runs after the answer, within a budget, and is remembered.
"""

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from inference.protocol import ChatEngine
from orchestrator.events import AnswerCompleted, ContextAssembled, PromptSpan

_CITATION = re.compile(r"\s*\[\d{1,3}\]")
NATS_OF_HALF = 0.35
REMEMBERED = 256


@dataclass(frozen=True)
class Grounding:
    """The verdict on one answer.

    `nats_per_token` is the gain through all sources together, `meter` the same as 0..1 (half at `NATS_OF_HALF`);
    `weights` are nats by source number; `disagreements` are sources cited that weigh less than one that is not;
    `complete` is false where the budget ended first.
    """

    nats_per_token: float
    meter: float
    weights: dict[int, float]
    disagreements: tuple[int, ...]
    complete: bool


class GroundingScorer:
    """Scores answers with `engine`; the same prompt and answer are scored once."""

    def __init__(self, engine: ChatEngine) -> None:
        self._engine = engine
        self._known: dict[tuple[str, str, str], Grounding] = {}

    def score(
        self,
        context: ContextAssembled,
        answer: AnswerCompleted,
        budget_seconds: float = 30.0,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Grounding:
        """Leave out each source in the context in turn, cited ones first. May raise ModelError."""
        key = (context.prompt, answer.text, answer.adapter)
        if key not in self._known:
            verdict = self._score(context, answer, time.monotonic() + budget_seconds, is_cancelled)
            if not verdict.complete:
                return verdict
            if len(self._known) >= REMEMBERED:
                self._known.pop(next(iter(self._known)))
            self._known[key] = verdict
        return self._known[key]

    def _score(
        self, context: ContextAssembled, answer: AnswerCompleted, deadline: float, is_cancelled: Callable[[], bool]
    ) -> Grounding:
        text = _CITATION.sub("", answer.text).strip()
        numbers = sorted({span.source for span in context.spans if span.source is not None})
        cited = list(dict.fromkeys(citation.number for citation in answer.citations))
        order = [*cited, *(number for number in numbers if number not in cited)]
        whole = self._log_probability(context, text, (), answer.adapter)
        without_any = self._log_probability(context, text, numbers, answer.adapter)
        weights: dict[int, float] = {}
        for number in order:
            if time.monotonic() > deadline or is_cancelled():
                break
            weights[number] = round(sum(whole) - sum(self._log_probability(context, text, [number], answer.adapter)), 4)
        gain = (sum(whole) - sum(without_any)) / max(len(whole), 1)
        complete = len(weights) == len(order)
        return Grounding(round(gain, 4), meter(gain), weights, _disagreements(weights, cited, complete), complete)

    def _log_probability(
        self, context: ContextAssembled, answer: str, left_out: Sequence[int], adapter: str
    ) -> list[float]:
        return self._engine.log_probabilities(prompt_without(context.prompt, context.spans, left_out), answer, adapter)


def with_weights(answer: AnswerCompleted, found: Grounding) -> AnswerCompleted:
    """Return the answer with the weight of its source at each citation, where it was weighed."""
    cited = tuple(replace(one, weight=found.weights.get(one.number)) for one in answer.citations)
    return replace(answer, citations=cited)


def prompt_without(prompt: str, spans: Sequence[PromptSpan], left_out: Sequence[int]) -> str:
    """Return `prompt` without the text of the sources numbered `left_out`."""
    return "".join(
        prompt[span.start : span.end] for span in spans if span.source is None or span.source not in left_out
    )


def meter(nats_per_token: float) -> float:
    """Map a gain in nats per token to 0..1: nothing gained is 0, `NATS_OF_HALF` is a half."""
    return round(1.0 - math.exp(-max(nats_per_token, 0.0) * math.log(2) / NATS_OF_HALF), 4)


def _disagreements(weights: dict[int, float], cited: Sequence[int], complete: bool) -> tuple[int, ...]:
    """Cited sources that the answer loses less by than by the heaviest one, where that one is not cited."""
    if not complete or not weights or not cited:
        return ()
    heaviest = max(weights, key=lambda number: weights[number])
    return () if heaviest in cited else tuple(cited)
