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
        waiting = int(store.rows("SELECT count(*) FROM vectors WHERE sequence > ?", (self._seen,))[0][0])
        known, numbers, vectors = len(self), np.zeros(0, np.int64), self.vectors
        for keys, batch in store.iter_vectors(self._seen):
            if not len(numbers):
                # Room for all at once: a list of parts to be joined would be the same memory twice.
                numbers = np.concatenate([self.numbers, np.zeros(waiting, np.int64)])
                vectors = np.empty((len(numbers), batch.shape[1]), np.float32)
                vectors[:known] = self.vectors.reshape(known, batch.shape[1])
            kept = min(len(batch), len(numbers) - known)
            numbers[known : known + kept], vectors[known : known + kept] = keys[:kept, 1], batch[:kept]
            # Those put since they were counted are read the next time.
            known, self._seen = known + kept, int(keys[kept - 1, 0]) if kept else self._seen
        if len(numbers):
            self.numbers, self.vectors = numbers[:known], vectors[:known]

    def search(self, vector: Vectors, top_k: int, alive: NDArray[np.bool_]) -> Mapping[int, float]:
        """Chunk numbers and scores of the best `top_k` that `alive` (by chunk number) lets through."""
        if not len(self):
            return {}
        rows, scores = exact_search(self.vectors, vector[None], top_k, alive[self.numbers])
        return dict(zip(self.numbers[rows[0]].tolist(), scores[0].tolist(), strict=True))


def spread_of(store: CollectionStore, until: int, count: int = 256) -> Vectors:
    """Some `count` stored vectors, evenly over the sequences up to `until`: float32 (n, dimension), n 0 for none."""
    query = "SELECT sequence, vector FROM vectors WHERE sequence >= ? AND sequence <= ? ORDER BY sequence LIMIT 1"
    found: dict[int, bytes] = {}
    for start in range(1, until + 1, max(1, until // count)):
        found.update((int(row[0]), row[1]) for row in store.rows(query, (start, until)))
    rows = [np.frombuffer(vector, np.float32) for vector in found.values()]
    return np.array(rows, np.float32) if rows else np.zeros((0, 0), np.float32)


def mean_without_best(sample: Vectors, vector: Vectors) -> float:
    """What any passage gets for this question: the mean score of a fixed sample, its best one left out.

    In a small collection the best one is the answer itself, and would hide that it stands out.
    """
    scores = np.sort(sample @ vector)[:-1] if len(sample) else np.zeros(0)
    return float(np.mean(scores)) if len(scores) else 0.0
