"""From logits to one token, stage by stage, on stored logits: no model is run again when a slider moves.

The stages, their order and their arithmetic are llama.cpp's (src/llama-sampler.cpp: penalties, top-k, top-p, min-p,
temperature, dist), so the same seed and settings draw the very token that llama.cpp draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.types import SamplingSettings

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

PENALTY_WINDOW = 64  # tokens that the repetition penalty looks back on; llama.cpp's default


@dataclass(frozen=True)
class Stage:
    """What one stage left: candidates `ids` with `logits`, same order, and the share of probability it removed (0..1).

    `probabilities` (float32, sum 1) are those after the stage.
    """

    name: str
    ids: Ids
    logits: Floats
    removed_mass: float = 0.0
    removed: int = 0

    @property
    def probabilities(self) -> Floats:
        """Softmax of what is left."""
        return softmax(self.logits)

    @property
    def entropy(self) -> float:
        """Entropy of what is left, in bits: 0 where one candidate holds everything."""
        return entropy_bits(self.probabilities)


@dataclass(frozen=True)
class Draw:
    """All stages and the token drawn; `uniform` is the random number in [0, 1), None where chance had no part."""

    stages: tuple[Stage, ...]
    token_id: int
    uniform: float | None

    @property
    def probability(self) -> float:
        """Probability of the token drawn among the candidates that were left."""
        last = self.stages[-1]
        return float(last.probabilities[last.ids == self.token_id][0])


def softmax(logits: Floats) -> Floats:
    """Softmax along the last axis, float32."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float32)
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)


def entropy_bits(probabilities: Floats) -> float:
    """Shannon entropy in bits."""
    positive = probabilities[probabilities > 0].astype(np.float64)
    return float(abs(-(positive * np.log2(positive)).sum()))


def sampling_stages(logits: Floats, settings: SamplingSettings, previous: Sequence[int] = ()) -> tuple[Stage, ...]:
    """The stages for logits (n_vocab,). `previous` are the tokens generated so far, oldest first.

    A stage that its setting switches off (top-k 0, top-p 1, min-p 0, penalty 1) is left out.
    """
    raw = np.asarray(logits, dtype=np.float32)
    stages = [Stage("model", np.arange(len(raw)), raw)]
    if settings.repeat_penalty != 1.0 and len(previous):
        stages.append(_penalised(stages[-1], previous[-PENALTY_WINDOW:], settings.repeat_penalty))
    if settings.temperature <= 0:
        return (*stages, _kept(stages[-1], "greedy", _ranked(stages[-1])[:1]))
    if 0 < settings.top_k < len(raw):
        stages.append(_kept(stages[-1], "top_k", _ranked(stages[-1])[: settings.top_k]))
    if settings.top_p < 1.0:
        stages.append(_kept(stages[-1], "top_p", _nucleus(stages[-1], settings.top_p)))
    if settings.min_p > 0.0:
        stages.append(_kept(stages[-1], "min_p", _likely(stages[-1], settings.min_p)))
    last = stages[-1]
    return (*stages, Stage("temperature", last.ids, last.logits / np.float32(settings.temperature)))


def _ranked(stage: Stage) -> NDArray[np.intp]:
    return np.argsort(-stage.logits, kind="stable")


def _kept(stage: Stage, name: str, keep: NDArray[np.intp]) -> Stage:
    removed_mass = max(0.0, 1.0 - float(stage.probabilities[keep].astype(np.float64).sum()))
    return Stage(name, stage.ids[keep], stage.logits[keep], removed_mass, len(stage.ids) - len(keep))


def _penalised(stage: Stage, previous: Sequence[int], penalty: float) -> Stage:
    logits = stage.logits.copy()
    seen = np.unique(np.asarray(previous, dtype=np.int64))
    factor = np.float32(penalty)
    # Dividing alone would raise a negative logit: those are multiplied.
    logits[seen] = np.where(logits[seen] <= 0, logits[seen] * factor, logits[seen] / factor)
    return Stage("repeat_penalty", stage.ids, logits)


def _nucleus(stage: Stage, top_p: float) -> NDArray[np.intp]:
    order = _ranked(stage)
    # Summed one by one in float32, as llama.cpp does: over a whole vocabulary the rounding decides who is last.
    weights = np.exp(stage.logits - stage.logits.max(), dtype=np.float32)
    probabilities = weights / np.cumsum(weights, dtype=np.float32)[-1]
    mass = np.cumsum(probabilities[order], dtype=np.float32)
    return order[: int(np.searchsorted(mass, np.float32(top_p))) + 1]


def _likely(stage: Stage, min_p: float) -> NDArray[np.intp]:
    threshold = stage.logits.max() + np.log(np.float32(min_p))
    return np.flatnonzero(stage.logits >= threshold)


class Sampler:
    """Draws token after token with one stream of random numbers, as llama.cpp's chain does for one generation."""

    def __init__(self, settings: SamplingSettings) -> None:
        self._settings = settings
        self._bits = np.random.MT19937()
        # std::mt19937's own seeding, which NumPy keeps under this name.
        self._bits._legacy_seeding(42 if settings.seed is None else settings.seed)

    def draw(self, logits: Floats, previous: Sequence[int] = ()) -> Draw:
        """Draw the next token from logits (n_vocab,), given the tokens drawn so far."""
        stages = sampling_stages(logits, self._settings, previous)
        last = stages[-1]
        if last.name == "greedy":
            return Draw(stages, int(last.ids[0]), None)
        # Even where one candidate is left the stream moves on: the next draw must meet llama.cpp's next number.
        uniform = self._uniform()
        weights = np.exp(last.logits - last.logits.max(), dtype=np.float32)
        running = np.cumsum(weights, dtype=np.float64)
        place = min(int(np.searchsorted(running, running[-1] * uniform)), len(running) - 1)
        return Draw(stages, int(last.ids[place]), uniform)

    def _uniform(self) -> float:
        """std::uniform_real_distribution<double>(0, 1): two draws of 32 bits, the low half first."""
        low, high = int(self._bits.random_raw()), int(self._bits.random_raw())
        return (low + high * 2.0**32) / 2.0**64
