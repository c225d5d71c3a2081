"""Where a token stands. The input matrix has no positions: RoPE turns queries and keys by an angle that grows with it.

Source: Su et al., RoFormer (arXiv 2104.09864). Pair i of a head is turned by position x base^(-2i/d).
"""

from dataclasses import dataclass

import numpy as np

from interpretability.model_file import Floats, ModelFile


@dataclass(frozen=True)
class Rotation:
    """Queries or keys of one layer before and after RoPE, (n_tokens, heads, head size)."""

    layer: int
    before: Floats
    after: Floats

    @property
    def length_change(self) -> float:
        """Largest relative change of a vector's length: a rotation leaves it as it is."""
        lengths = np.linalg.norm(self.before, axis=-1)
        return float(np.abs(np.linalg.norm(self.after, axis=-1) / lengths - 1).max())

    def pairs_are_neighbours(self, frequencies: Floats) -> bool:
        """How this model pairs the dimensions of a head, told from what was computed; see `rotate`."""
        positions = np.arange(len(self.before), dtype=np.float32)
        errors = [np.abs(rotate(self.before, positions, frequencies, way) - self.after).mean() for way in (True, False)]
        return bool(errors[0] <= errors[1])

    def pair(self, number: int, frequencies: Floats, head: int = 0) -> tuple[Floats, Floats]:
        """The two numbers that RoPE turns together, before and after, (n_tokens, 2) each."""
        size = 2 * len(frequencies)
        near = self.pairs_are_neighbours(frequencies)
        places = [2 * number, 2 * number + 1] if near else [number, number + size // 2]
        return self.before[:, head][:, places], self.after[:, head][:, places]

    def turned_by(self) -> Floats:
        """Angle in degrees between each vector before and after, (n_tokens, heads)."""
        product = (self.before * self.after).sum(-1)
        lengths = np.linalg.norm(self.before, axis=-1) * np.linalg.norm(self.after, axis=-1)
        return np.asarray(np.degrees(np.arccos(np.clip(product / lengths, -1, 1))), dtype=np.float32)


def rotation_frequencies(model: ModelFile) -> Floats:
    """Angle in radians per position of each pair of a head's dimensions, (head size / 2,), fastest first."""
    heads = int(model.setting("attention.head_count"))
    default = int(model.setting("attention.key_length", int(model.setting("embedding_length")) // heads))
    size = int(model.setting("rope.dimension_count", default))
    base = float(model.setting("rope.freq_base", 10_000.0))
    return (base ** (-np.arange(0, size, 2) / size)).astype(np.float32)


def rotate(vectors: Floats, positions: Floats, frequencies: Floats, neighbours: bool = True) -> Floats:
    """RoPE itself on (n_tokens, heads, head size). Pairs are neighbours (2i, 2i+1) or halves (i, i + size/2)."""
    turns = positions[:, None, None] * frequencies
    cosine, sine = np.cos(turns), np.sin(turns)
    out = vectors.copy()
    size = 2 * len(frequencies)
    first, second = (
        (slice(0, size, 2), slice(1, size, 2)) if neighbours else (slice(0, size // 2), slice(size // 2, size))
    )
    a, b = vectors[..., first], vectors[..., second]
    out[..., first], out[..., second] = a * cosine - b * sine, a * sine + b * cosine
    return np.asarray(out, dtype=np.float32)
