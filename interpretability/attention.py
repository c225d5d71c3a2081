"""Attention: who looks at whom. A picture of where information could flow, not a proof of what was used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from interpretability.model_file import Floats


@dataclass(frozen=True)
class AttentionMap:
    """One layer: `weights` (heads, rows, n_tokens); each row sums to 1 and is 0 for tokens that come later.

    Row r is the token at position `first` + r.
    """

    layer: int
    weights: Floats
    first: int = 0

    def head(self, number: int | None) -> Floats:
        """One head's map (rows, n_tokens), or the mean over the heads for None."""
        return np.asarray(self.weights.mean(axis=0) if number is None else self.weights[number], dtype=np.float32)

    def allowed(self) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
        """True where a row may look: itself and what came before, (rows, n_tokens)."""
        _, rows, columns = self.weights.shape
        return np.arange(columns)[None] <= (self.first + np.arange(rows))[:, None]

    @property
    def first_token_share(self) -> Floats:
        """Share that each head gives the first token: a parking place for attention that is not needed, (heads,)."""
        return np.asarray(self.weights[:, :, 0].mean(axis=1), dtype=np.float32)


@dataclass(frozen=True)
class SegmentAttention:
    """Attention from rows to segments of the prompt: `weights` (layers, heads, rows, segments), rows from `first`."""

    layers: tuple[int, ...]
    weights: Floats
    borders: tuple[int, ...]
    first: int

    def between(self, row_spans: Sequence[tuple[int, int]], reduce: str = "mean") -> Floats:
        """Mean over the rows of each span (token positions), then `mean` or `max` over layers and heads.

        The result (spans, segments) is what passages x sentences shows.
        """
        rows = np.stack(
            [self.weights[:, :, start - self.first : stop - self.first].mean(axis=2) for start, stop in row_spans]
        )
        return np.asarray(rows.mean(axis=(1, 2)) if reduce == "mean" else rows.max(axis=(1, 2)), dtype=np.float32)

    def head(self, layer: int, head: int, row_spans: Sequence[tuple[int, int]]) -> Floats:
        """The same for one layer and head."""
        weights = self.weights[self.layers.index(layer), head]
        return np.stack([weights[start - self.first : stop - self.first].mean(axis=0) for start, stop in row_spans])


@dataclass(frozen=True)
class CellAttention:
    """From the tokens of one sentence to the tokens of one passage: `weights` (heads, rows, columns) of one layer.

    The rows do not sum to 1: the rest goes to the prompt around the passage.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    weights: Floats

    def head(self, number: int | None) -> Floats:
        """One head's map (rows, columns), or the mean over the heads for None."""
        return np.asarray(self.weights.mean(axis=0) if number is None else self.weights[number], dtype=np.float32)

    def strongest_columns(self, k: int) -> list[int]:
        """The `k` columns that get most, in the order of the text."""
        best = np.argsort(-self.weights.sum(axis=(0, 1)), kind="stable")[:k]
        return sorted(int(column) for column in best)


@dataclass(frozen=True)
class PassageAttention:
    """Attention from the sentences of an answer to passages, (sentences, passages), each value 0..1.

    `mean` is over all layers and heads, `strongest` the most that any one head gives.
    """

    sentences: tuple[str, ...]
    mean: Floats
    strongest: Floats

    @classmethod
    def from_plain(cls, kept: Mapping[str, Any]) -> "PassageAttention":
        """The same from what `plain.to_plain` made of it. Raises KeyError, TypeError or ValueError otherwise."""
        mean, strongest = (np.asarray(kept[name], dtype=np.float32) for name in ("mean", "strongest"))
        sentences = tuple(map(str, kept["sentences"]))
        if mean.ndim != 2 or mean.shape != strongest.shape or len(mean) != len(sentences):
            raise ValueError("the values do not belong to the sentences")
        return cls(sentences, mean, strongest)
