"""The same prompt through two models, or one with and without an adapter; and a push along a direction of meaning."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interpretability.logit_lens import HiddenStates
from interpretability.model_file import Floats
from interpretability.sampling_steps import softmax


@dataclass(frozen=True)
class Change:
    """A token whose probability differs."""

    token_id: int
    before: float
    after: float


@dataclass(frozen=True)
class Comparison:
    """What differs for the same tokens. `layer_distance` (1 + layers,): mean relative distance of the hidden states.

    `divergence` is KL(after ‖ before) of the next token in bits, 0 where nothing changed; `changes` the largest.
    """

    layer_distance: Floats
    divergence: float
    changes: tuple[Change, ...]


def compare_outputs(before: Floats, after: Floats, top: int = 10) -> tuple[float, tuple[Change, ...]]:
    """KL divergence in bits and the tokens that changed most, from two rows of logits over the same vocabulary."""
    first, second = softmax(before).astype(np.float64), softmax(after).astype(np.float64)
    divergence = float((second * (np.log2(second + 1e-30) - np.log2(first + 1e-30))).sum())
    order = np.argsort(-np.abs(second - first), kind="stable")[:top]
    changes = tuple(Change(int(token), float(first[token]), float(second[token])) for token in order)
    return max(0.0, divergence), changes


def compare(before: HiddenStates, after: HiddenStates, logits: tuple[Floats, Floats]) -> Comparison:
    """Compare layer by layer two runs of one architecture: (1 + layers, rows, n_embd) each, and their last logits."""
    distance = np.linalg.norm(after.states - before.states, axis=-1)
    lengths = np.maximum(np.linalg.norm(before.states, axis=-1), 1e-9)
    divergence, changes = compare_outputs(*logits)
    return Comparison((distance / lengths).mean(axis=1).astype(np.float32), divergence, changes)


def steering_vectors(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> Floats:
    """A direction for every layer from opposite examples: mean of the ones less mean of the others, (layers, n_embd).

    Both inputs (examples, layers, n_embd) hold the hidden state of each example's last token after each layer. Source:
    Turner et al., Activation Addition (arXiv 2308.10248). Rows keep their own length: strength 1 adds the whole step.
    """
    return np.asarray(positive.mean(axis=0) - negative.mean(axis=0), dtype=np.float32)
