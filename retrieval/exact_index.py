"""The oracle: search by comparing with every vector. Slow at size, right at any."""

import numpy as np
from numpy.typing import NDArray

from retrieval.protocol import Vectors


def exact_search(
    vectors: Vectors, queries: Vectors, top_k: int, allowed: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], Vectors]:
    """The rows of `vectors` (n, dim) with the highest inner product with each row of `queries` (q, dim), best first.

    Returns rows and scores, both (q, k) with k the smaller of `top_k` and the rows that `allowed` (n,) lets through.
    Among equal scores the lower row comes first.
    """
    scores = (queries @ vectors.T).astype(np.float32)
    k = min(top_k, len(vectors) if allowed is None else int(allowed.sum()))
    if allowed is not None:
        scores[:, ~allowed] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int64)
    return order, np.take_along_axis(scores, order, axis=1)
