"""Chooses one of the four architectures and says why: the user's choice > rules > a probe of what is there > a vote.

Rules and probe are signals (`orchestrator.routing_signals`) weighed by a linear model; its weights are learnt from
labelled cases (`python -m evaluation routing --refit`) and stand in a JSON file that a person can read.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import SettingError
from core.language import Bilingual
from core.types import CONCRETE_MODES, ConcreteMode, Question
from orchestrator.events import Route, Signal
from orchestrator.routing_signals import PROBE_SIGNALS, SIGNAL_NAMES, Probe, describe, signals_of
from orchestrator.tool_words import load_tool_words

BUNDLED_WEIGHTS = Path(__file__).parent / "router_weights.json"
SHOWN_SIGNALS = 3
LEAST_SHOWN = 0.1
VOTE_BELOW = 0.15

Vote = Callable[[Question, Sequence[ConcreteMode]], ConcreteMode | None]


@dataclass(frozen=True)
class RouterWeights:
    """`matrix` is float64 (len(CONCRETE_MODES), len(SIGNAL_NAMES)), `bias` (len(CONCRETE_MODES),), in their orders."""

    matrix: NDArray[np.float64]
    bias: NDArray[np.float64]

    def as_json(self) -> dict[str, Any]:
        """Weights by mode and signal."""
        rows = zip(CONCRETE_MODES, self.matrix.tolist(), self.bias.tolist(), strict=True)
        return {
            mode: {"bias": round(bias, 4)}
            | {name: round(weight, 4) for name, weight in zip(SIGNAL_NAMES, row, strict=True)}
            for mode, row, bias in rows
        }


def load_weights(path: Path = BUNDLED_WEIGHTS) -> RouterWeights:
    """Read weights written by `RouterWeights.as_json`; a signal that the file does not know weighs nothing.

    Raises SettingError where the file is not such a table.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        matrix = [[float(table[mode].get(name, 0.0)) for name in SIGNAL_NAMES] for mode in CONCRETE_MODES]
        bias = [float(table[mode]["bias"]) for mode in CONCRETE_MODES]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingError(
            Bilingual(
                en=f"{path} holds no router weights ({error}). Delete it to use the ones that come with the program.",
                zh=f"{path} 不是有效的路由权重（{error}）。删除该文件即可使用自带的权重。",
            )
        ) from error
    return RouterWeights(np.array(matrix), np.array(bias))


class Router:
    """Weighs the signals for each mode; the heaviest answers, the next is the runner-up.

    `vote` is asked to decide between the two where they are nearly equal; None where no model is fit to.
    """

    def __init__(self, weights: RouterWeights | None = None, vote: Vote | None = None) -> None:
        self._weights = weights or load_weights()
        # Read here, once, and not at the first question.
        load_tool_words()
        self._vote = vote

    def route(self, question: Question, probe: Probe) -> Route:
        """Return the route of `question` with its receipt."""
        if question.mode != "auto":
            return chosen_route(question.mode)
        values = signals_of(question, probe)
        vector = np.array([values[name] for name in SIGNAL_NAMES])
        scores = self._weights.matrix @ vector + self._weights.bias
        likely = _softmax(_without_unusable(scores, probe))
        first, second = np.argsort(-likely, kind="stable")[:2]
        voted = self._voted(
            question, (CONCRETE_MODES[first], CONCRETE_MODES[second]), float(likely[first] - likely[second])
        )
        if voted == CONCRETE_MODES[second]:
            first, second = second, first
        signals = _receipt(self._weights.matrix[first] - self._weights.matrix[second], values)
        by: Literal["vote", "probe", "rules"] = "probe" if any(s.name in PROBE_SIGNALS for s in signals) else "rules"
        by = "vote" if voted else by
        return Route(CONCRETE_MODES[first], signals, float(likely[first]), CONCRETE_MODES[second], by)

    def _voted(self, question: Question, modes: Sequence[ConcreteMode], lead: float) -> ConcreteMode | None:
        return self._vote(question, modes) if self._vote is not None and lead < VOTE_BELOW else None


def chosen_route(mode: ConcreteMode) -> Route:
    """The receipt of a mode that the user chose."""
    text = Bilingual(en="you chose this mode", zh="您选择了此模式")
    return Route(mode, (Signal("choice", 1.0, text),), 1.0, None, "user")


def fit_weights(
    signals: Sequence[Mapping[str, float]], modes: Sequence[ConcreteMode], strength: float = 0.02, steps: int = 3000
) -> RouterWeights:
    """Fit multinomial logistic regression with an L2 penalty by gradient descent: convex, so the start is no matter.

    `signals[i]` are those of a case that `modes[i]` should answer.
    """
    inputs = np.array([[row[name] for name in SIGNAL_NAMES] for row in signals])
    wanted = np.array([[float(mode == name) for name in CONCRETE_MODES] for mode in modes])
    matrix, bias = np.zeros((len(CONCRETE_MODES), len(SIGNAL_NAMES))), np.zeros(len(CONCRETE_MODES))
    for _ in range(steps):
        off = (_softmax(inputs @ matrix.T + bias) - wanted) / len(inputs)
        matrix -= 0.5 * (off.T @ inputs + strength * matrix / 2)
        bias -= 0.5 * off.sum(axis=0)
    return RouterWeights(matrix, bias)


def _without_unusable(scores: NDArray[np.float64], probe: Probe) -> NDArray[np.float64]:
    """A mode with nothing to work with is never chosen for the user."""
    absent = {
        "tools": not probe.tools,
        "finetuned": not probe.adapters,
        "rag": probe.retrieval is None or not probe.retrieval.chunks,
    }
    return np.asarray(scores - np.array([30.0 * absent.get(mode, False) for mode in CONCRETE_MODES]))


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def _receipt(weights: NDArray[np.float64], values: Mapping[str, float]) -> tuple[Signal, ...]:
    """The signals that decided between the first and the second mode, heaviest first."""
    parts = [(name, float(weight) * values[name]) for name, weight in zip(SIGNAL_NAMES, weights, strict=True)]
    heavy = sorted((part for part in parts if abs(part[1]) >= LEAST_SHOWN), key=lambda part: -abs(part[1]))
    return tuple(Signal(name, round(weight, 3), describe(name)) for name, weight in heavy[:SHOWN_SIGNALS])
