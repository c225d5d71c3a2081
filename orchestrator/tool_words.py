"""Tells whether the words of a question sound like a request for a sum, a conversion, the time or the date.

Patterns know only the turns of phrase that somebody thought of. This is a linear model over whole words and pairs of
neighbouring words, every number and every unit counted as one word each; it is fitted by
`python -m evaluation routing --refit` on requests that people typed, and stands in a JSON file that a person can read.
It knows English; a question in Chinese is left to the patterns.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.routing_patterns import NUMBER_WORD, UNIT

BUNDLED = Path(__file__).parent / "tool_words.json"
# A word has to stand in so many of the requests to be learnt.
LEAST_SEEN = 2
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|\d[\d.,]*|°[cf]")
_START, _END, _FIGURE, _MEASURE = "^", "$", "#", "@unit"


@dataclass(frozen=True)
class ToolWords:
    """`weights` by word or pair of words, and the `bias`."""

    weights: Mapping[str, float]
    bias: float

    def likeness(self, text: str) -> float:
        """How much `text` sounds like such a request, 0 to 1; 0 where it holds no word that is known."""
        held = word_features(text)
        known = [self.weights[name] for name in held if name in self.weights]
        if not known:
            return 0.0
        score = self.bias + sum(known) / _norm(len(known))
        return 1.0 / (1.0 + math.exp(-score))

    def sounds(self, text: str) -> float:
        """The same where it is likelier than not, 0 to 1; else 0: a faint likeness decides nothing."""
        return max(0.0, 2.0 * self.likeness(text) - 1.0)

    def as_json(self) -> dict[str, Any]:
        """The weights, heaviest first."""
        ordered = sorted(self.weights.items(), key=lambda item: (-item[1], item[0]))
        return {"bias": round(self.bias, 3), "weights": {name: round(weight, 3) for name, weight in ordered}}


@cache
def load_tool_words(path: Path = BUNDLED) -> ToolWords:
    """Read what `ToolWords.as_json` wrote."""
    table = json.loads(path.read_text(encoding="utf-8"))
    return ToolWords(table["weights"], table["bias"])


def word_features(text: str) -> set[str]:
    """The words of `text` and its pairs of neighbours, with its beginning and its end."""
    words = [_START, *(_class_of(word) for word in _WORD.findall(text.lower())), _END]
    return {*words[1:-1], *(" ".join(pair) for pair in pairwise(words))}


def fit_tool_words(
    requests: Sequence[str], others: Sequence[str], strength: float = 3e-4, steps: int = 150, lean: float = 8.0
) -> ToolWords:
    """Fit by logistic regression with an L2 penalty; a request weighs `lean` times as much as another text."""
    held = [word_features(text) for text in (*requests, *others)]
    counts = Counter(name for names in held[: len(requests)] for name in names)
    names = sorted(name for name, count in counts.items() if count >= LEAST_SEEN)
    places = {name: place for place, name in enumerate(names)}
    inputs: NDArray[np.float32] = np.zeros((len(held), len(names)), dtype=np.float32)
    for row, features in enumerate(held):
        known = [places[name] for name in features if name in places]
        inputs[row, known] = 1.0 / _norm(len(known)) if known else 0.0
    wanted = np.array([1.0] * len(requests) + [0.0] * len(others), dtype=np.float32)
    weights, bias = _descended(inputs, wanted, np.where(wanted > 0, lean, 1.0).astype(np.float32), strength, steps)
    return ToolWords(dict(zip(names, weights.tolist(), strict=True)), bias)


def _descended(
    inputs: NDArray[np.float32], wanted: NDArray[np.float32], shares: NDArray[np.float32], strength: float, steps: int
) -> tuple[NDArray[np.float64], float]:
    """Gradient descent with momentum; the problem is convex. `inputs` float32 (n, features), the others (n,)."""
    weights, pace, bias = np.zeros(inputs.shape[1]), np.zeros(inputs.shape[1]), -3.0
    shares = shares / shares.sum()
    for _ in range(steps):
        off = shares * (1.0 / (1.0 + np.exp(-(inputs @ weights + bias))) - wanted)
        pace = 0.9 * pace + inputs.T @ off + strength * weights
        weights = weights - 2.0 * pace
        bias -= 2.0 * float(off.sum())
    return weights, bias


def _class_of(word: str) -> str:
    if word[0].isdigit() or NUMBER_WORD.fullmatch(word):
        return _FIGURE
    return _MEASURE if UNIT.fullmatch(word) else word


def _norm(count: int) -> float:
    """Long texts hold many words: their weights are shared out, half as much as a mean would."""
    return math.sqrt(max(count, 1)) / 2
