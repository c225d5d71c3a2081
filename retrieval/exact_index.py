"""The oracle: search by comparing with every vector. Slow at size, right at any."""

import numpy as np
from numpy.typing import NDArray

from retrieval.protocol import Vectors

# Scores counted at a time, 8 MB of them, and the rows that a block has at most.
_SCORES, _BLOCK = 2_097_152, 65_536


def exact_search(
    vectors: Vectors, queries: Vectors, top_k: int, allowed: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], Vectors]:
    """The rows of `vectors` (n, dim) with the highest inner product with each row of `queries` (q, dim), best first.

    Returns rows and scores, both (q, k) with k the smaller of `top_k` and the rows that `allowed` (n,) lets through.
    Among equal scores the lower row comes first. `vectors` may be mapped from a file: it is read once, in order.
    """
    k = min(top_k, len(vectors) if allowed is None else int(allowed.sum()))
    rows = [np.zeros(0, np.int64)] * len(queries)
    scores = [np.zeros(0, np.float32)] * len(queries)
    size = min(_BLOCK, max(1, _SCORES // max(1, len(queries))))
    for start in range(0, len(vectors) if k else 0, size):
        block = (queries @ vectors[start : start + size].T).astype(np.float32, copy=False)
        places = np.arange(start, start + block.shape[1])
        if allowed is not None:
            kept = allowed[start : start + size]
            block, places = block[:, kept], places[kept]
        for line, values in enumerate(block):
            everything = np.concatenate([scores[line], values])
            best = _best(everything, k)
            rows[line] = np.concatenate([rows[line], places])[best]
            scores[line] = everything[best]
    shape = (len(queries), k)
    return np.array(rows, np.int64).reshape(shape), np.array(scores, np.float32).reshape(shape)


def _best(scores: Vectors, k: int) -> NDArray[np.intp]:
    """The places of the `k` highest, best first, the earlier one first among equals; all where there are fewer."""
    kept = np.arange(len(scores))
    if k < len(scores):
        # Those as good as the k-th, in their order: a tie with it may bring a few more than k.
        kept = np.flatnonzero(scores >= np.partition(scores, len(scores) - k)[len(scores) - k])
    return kept[np.argsort(-scores[kept], kind="stable")[:k]]
