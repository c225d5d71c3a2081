"""Layer by layer: how much each one changes a token's vector, and what the model would say if it stopped there.

The lens reads a hidden state as if it were the last: softmax(W_out · RMSNorm(h) · output_norm) (nostalgebraist, 2020).
At the last layer that is the model's own answer; before it, a reading that the model was never trained to give.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interpretability.model_file import Floats, ModelFile


@dataclass(frozen=True)
class HiddenStates:
    """`states` (1 + layers, rows, n_embd): 0 is the embedding, l the output of layer l. Row r is position first + r."""

    states: Floats
    first: int = 0

    @property
    def n_layers(self) -> int:
        """Layers of the model."""
        return len(self.states) - 1

    def relative_change(self) -> Floats:
        """|h(l) - h(l-1)| / |h(l-1)| for every layer and row, (layers, rows)."""
        steps = np.linalg.norm(np.diff(self.states, axis=0), axis=-1)
        return np.asarray(steps / np.maximum(np.linalg.norm(self.states[:-1], axis=-1), 1e-9), dtype=np.float32)

    def direction_change(self) -> Floats:
        """Angle in degrees between the vector before and after each layer, (layers, rows)."""
        before, after = self.states[:-1], self.states[1:]
        lengths = np.linalg.norm(before, axis=-1) * np.linalg.norm(after, axis=-1)
        cosine = (before * after).sum(-1) / np.maximum(lengths, 1e-9)
        return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))), dtype=np.float32)


@dataclass(frozen=True)
class Lens:
    """`token_ids` and `probabilities` (1 + layers, rows, top), best first."""

    token_ids: NDArray[np.int64]
    probabilities: Floats

    def agrees_with(self, logits: Floats) -> bool:
        """Whether the last row of the last layer names what the model itself does, logits (n_vocab,)."""
        return int(self.token_ids[-1, -1, 0]) == int(logits.argmax())

    def first_layer_right(self) -> NDArray[np.int64]:
        """For every row the first layer from which on the lens says what the last layer says, (rows,)."""
        agrees = self.token_ids[:, :, 0] == self.token_ids[-1, :, 0]
        agreeing_at_end = np.logical_and.accumulate(agrees[::-1], axis=0).sum(axis=0)
        return np.asarray(len(agrees) - agreeing_at_end, dtype=np.int64)


def lens(model: ModelFile, hidden: HiddenStates, top: int = 5) -> Lens:
    """Read every hidden state through the output layer. The table is read in pieces: no copy of it is ever whole."""
    layers, rows, width = hidden.states.shape
    normed = _normed(model, hidden.states.reshape(-1, width))
    best_logits = np.full((len(normed), 0), 0, dtype=np.float32)
    best_ids = np.zeros((len(normed), 0), dtype=np.int64)
    peak = np.full(len(normed), -np.inf)
    mass = np.zeros(len(normed))
    for first, block in model.output.blocks():
        logits = normed @ block.T
        new_peak = np.maximum(peak, logits.max(axis=1))
        mass = mass * np.exp(peak - new_peak) + np.exp(logits - new_peak[:, None], dtype=np.float64).sum(axis=1)
        peak = new_peak
        best_logits, best_ids = _merged(best_logits, best_ids, logits, first, top)
    probabilities = np.exp(best_logits - peak[:, None]) / mass[:, None]
    shape = (layers, rows, best_ids.shape[1])
    return Lens(best_ids.reshape(shape), probabilities.reshape(shape).astype(np.float32))


def _normed(model: ModelFile, states: Floats) -> Floats:
    wide, bias = states.astype(np.float64), model.vector("output_norm.bias")
    epsilon = model.setting("attention.layer_norm_rms_epsilon")
    if epsilon is None:  # LayerNorm, which also centres
        wide = wide - wide.mean(axis=-1, keepdims=True)
        epsilon = model.setting("attention.layer_norm_epsilon", 1e-5)
    weight = model.vector("output_norm.weight")
    if weight is None and model.architecture.startswith("lfm2"):  # this family files it under the embedding's name
        weight = model.vector("token_embd_norm.weight")
    normed = (
        wide / np.sqrt((wide**2).mean(axis=-1, keepdims=True) + float(epsilon)) * (1.0 if weight is None else weight)
    )
    return np.asarray(normed + (0.0 if bias is None else bias), dtype=np.float32)


def _merged(
    logits: Floats, ids: NDArray[np.int64], new: Floats, first: int, top: int
) -> tuple[Floats, NDArray[np.int64]]:
    """The best `top` of those known and of a new block whose first token is `first`."""
    keep = min(top, new.shape[1])
    chosen = np.argpartition(-new, keep - 1, axis=1)[:, :keep]
    all_logits = np.concatenate([logits, np.take_along_axis(new, chosen, 1)], axis=1)
    all_ids = np.concatenate([ids, chosen + first], axis=1)
    order = np.argsort(-all_logits, axis=1, kind="stable")[:, :top]
    return np.take_along_axis(all_logits, order, 1), np.take_along_axis(all_ids, order, 1)
