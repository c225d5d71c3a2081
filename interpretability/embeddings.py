"""The table of token embeddings: rows, angles, nearest words, arithmetic, a map. Read from the file, row by row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interpretability.model_file import Floats, ModelFile, Table


@dataclass(frozen=True)
class Neighbour:
    """A token of the vocabulary and its cosine to what was asked, -1..1, higher is nearer."""

    token_id: int
    cosine: float


@dataclass(frozen=True)
class Map:
    """Points (n, 2) of a principal-component projection; `explained` is the share of the variance it keeps, 0..1."""

    points: Floats
    explained: float


def angles(vectors: Floats) -> Floats:
    """Angles in degrees between all rows, (n, n): 0 is the same direction, 90 unrelated."""
    unit = normalised(vectors)
    cosines = np.clip(unit @ unit.T, -1.0, 1.0)
    np.fill_diagonal(cosines, 1.0)
    return np.asarray(np.degrees(np.arccos(cosines)), dtype=np.float32)


def nearest(table: Table, vector: Floats, k: int, excluded: Sequence[int] = ()) -> tuple[Neighbour, ...]:
    """The `k` tokens whose rows have the highest cosine to `vector` (n_embd,), best first."""
    unit = normalised(vector[None])[0]
    cosines = np.concatenate([normalised(block) @ unit for _, block in table.blocks()])
    cosines[list(excluded)] = -np.inf
    best = np.argsort(-cosines, kind="stable")[:k]
    return tuple(Neighbour(int(token), float(cosines[token])) for token in best)


def combine(model: ModelFile, plus: Sequence[int], minus: Sequence[int]) -> Floats:
    """Vector arithmetic on unit rows: sum of `plus` less sum of `minus`, (n_embd,)."""
    rows = normalised(model.embedding.rows([*plus, *minus]))
    signs = np.concatenate([np.ones(len(plus)), -np.ones(len(minus))]).astype(np.float32)
    return np.asarray(signs @ rows, dtype=np.float32)


def plane(vectors: Floats) -> Map:
    """Project rows (n, d) on the two directions in which they differ most."""
    centred = vectors - vectors.mean(axis=0)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(vectors), 2), dtype=np.float32)
    kept = min(2, len(scale))
    points[:, :kept] = left[:, :kept] * scale[:kept]
    total = float((scale**2).sum())
    return Map(points, float((scale[:2] ** 2).sum()) / total if total else 1.0)


def normalised(vectors: NDArray[np.float32]) -> Floats:
    """Rows scaled to length 1; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), dtype=np.float32)
