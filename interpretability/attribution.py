"""Which passage did the answer use? Leaving a passage out and scoring the answer again is the verdict.

The weight of a passage is how much less likely the very same answer becomes without it, in nats. Attention to the
passage is given beside it as a picture: it tells where the model looked, not what it used.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from interpretability.model_file import Floats

Score = Callable[[Sequence[str], str], Sequence[Sequence[float]]]
"""(prompts, continuation) -> for each prompt the natural-log probability of every token of the continuation."""


@dataclass(frozen=True)
class Attribution:
    """`weights` (passages,) in nats, higher is more used; `per_token` (passages, answer tokens) adds up to them.

    `grounding`: log-probability of the answer with all passages less that with none, in nats. Near or below zero the
    answer does not come from the passages. `log_probability` is that of the answer with all of them.
    """

    weights: Floats
    per_token: Floats
    grounding: float
    log_probability: float

    @classmethod
    def from_plain(cls, kept: Mapping[str, Any]) -> "Attribution":
        """The same from what `plain.to_plain` made of it. Raises KeyError, TypeError or ValueError otherwise."""
        weights, per_token = (np.asarray(kept[name], dtype=np.float32) for name in ("weights", "per_token"))
        if per_token.ndim != 2 or weights.shape != per_token.shape[:1]:
            raise ValueError("weights and per_token do not belong together")
        return cls(weights, per_token, float(kept["grounding"]), float(kept["log_probability"]))

    @property
    def used(self) -> int | None:
        """Number of the passage that weighs most, from 0; None where leaving out none of them costs anything."""
        return int(self.weights.argmax()) if len(self.weights) and self.weights.max() > 0 else None


def passage_spans(prompt: str, passages: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Where the passages stand in the rendered prompt, each behind the one before: (start, end) in characters.

    Raises ValueError for a passage that is not there as it is given.
    """
    spans: list[tuple[int, int]] = []
    for passage in passages:
        start = prompt.index(passage, spans[-1][1] if spans else 0)
        spans.append((start, start + len(passage)))
    return tuple(spans)


def without(prompt: str, spans: Sequence[tuple[int, int]], left_out: Sequence[int]) -> str:
    """The prompt with the passages numbered in `left_out` cut out. `spans` are character offsets, in order."""
    for number in sorted(left_out, reverse=True):
        start, end = spans[number]
        prompt = prompt[:start] + prompt[end:]
    return prompt


def leave_one_out(prompt: str, spans: Sequence[tuple[int, int]], answer: str, score: Score) -> Attribution:
    """Score `answer` after `prompt` with all passages, without each one in turn, and without any.

    `spans` (start, end) are the character offsets of the passages in the rendered prompt, in order, not overlapping.
    """
    numbers = range(len(spans))
    # Late passages first: prompts that begin alike follow one another, and what they share is computed once.
    order = sorted(numbers, reverse=True)
    prompts = [prompt, *(without(prompt, spans, [number]) for number in order), without(prompt, spans, numbers)]
    scores = np.asarray(score(prompts, answer), dtype=np.float64)
    full, alone, empty = scores[0], scores[1:-1][::-1], scores[-1]
    per_token = (full - alone).reshape(len(spans), len(full))
    return Attribution(
        weights=per_token.sum(axis=1).astype(np.float32),
        per_token=per_token.astype(np.float32),
        grounding=float((full - empty).sum()),
        log_probability=float(full.sum()),
    )
