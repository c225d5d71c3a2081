"""The vectors that came after the last generation, compared one by one, and what both dense legs count alike."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from retrieval.exact_index import exact_search
from retrieval.protocol import Vectors
from retrieval.store import CollectionStore


class VectorTail:
    """Vectors put after the sequence `seen`, in memory: `numbers` int64 (n,) and `vectors` float32 (n, dimension)."""

    def __init__(self, seen: int) -> None:
        self._seen = seen
        self.numbers = np.zeros(0, np.int64)
        self.vectors: Vectors = np.zeros((0, 0), np.float32)

    def __len__(self) -> int:
        return len(self.numbers)

    def follow(self, store: CollectionStore) -> None:
        """Read the vectors that were put since."""
        batches = list(store.iter_vectors(self._seen))
        if not batches:
            return
        self._seen = int(batches[-1][0][-1, 0])
        parts = [vectors for _, vectors in batches]
        self.numbers = np.concatenate([self.numbers, *(keys[:, 1] for keys, _ in batches)])
        self.vectors = np.concatenate([self.vectors, *parts] if len(self.vectors) else parts)

    def search(self, vector: Vectors, top_k: int, alive: NDArray[np.bool_]) -> Mapping[int, float]:
        """Chunk numbers and scores of the best `top_k` that `alive` (by chunk number) lets through."""
        if not len(self):
            return {}
        rows, scores = exact_search(self.vectors, vector[None], top_k, alive[self.numbers])
        return dict(zip(self.numbers[rows[0]].tolist(), scores[0].tolist(), strict=True))


def mean_without_best(sample: Vectors, vector: Vectors) -> float:
    """What any passage gets for this question: the mean score of a fixed sample, its best one left out.

    In a small collection the best one is the answer itself, and would hide that it stands out.
    """
    scores = np.sort(sample @ vector)[:-1] if len(sample) else np.zeros(0)
    return float(np.mean(scores)) if len(scores) else 0.0
