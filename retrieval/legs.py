"""The two legs of the search, each reading a generation and an exact tail of what came after it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.analysis import ANALYSIS_VERSION
from retrieval.generations import open_generation
from retrieval.lexical_index import LexicalHit, LexicalIndex, LexicalQuery
from retrieval.lexical_tail import LexicalTail
from retrieval.protocol import Vectors
from retrieval.store import CollectionStore
from retrieval.vector_index import KINDS, VectorIndex
from retrieval.vector_tail import VectorTail, mean_without_best

VECTORS, WORDS = "vectors", "words"


@dataclass(frozen=True)
class DenseHit:
    """A chunk's number and the inner product of its vector with the question's."""

    number: int
    score: float


class DenseLeg:
    """Vectors: a generation, then the vectors put since, compared one by one."""

    def __init__(self, store: CollectionStore) -> None:
        self.generation = store.generation(VECTORS)
        opened = open_vectors(store)
        self.manifest: dict[str, Any] = opened[1] if opened else {}
        self._index = VectorIndex.load(*opened) if opened else None
        self._tail = VectorTail(int(self.manifest.get("sequence", 0)))
        self._known = np.zeros(0, np.bool_)
        # A copy: the vectors of a large collection stay on the disk, and every question asks for these.
        self._sample = None if self._index is None else _spread(self._index.vectors)
        if self._index is not None:
            self._note_known(self._index.numbers)

    def without_vector(self, numbers: Iterable[int]) -> set[int]:
        """Those of the chunks that were not embedded yet."""
        return {number for number in numbers if number >= len(self._known) or not self._known[number]}

    def _note_known(self, numbers: NDArray[np.int64]) -> None:
        grown = np.zeros(max(len(self._known), int(numbers.max(initial=0)) + 1), np.bool_)
        grown[: len(self._known)] = self._known
        grown[numbers] = True
        self._known = grown

    def refresh(self, store: CollectionStore) -> None:
        """Read the vectors that were put since."""
        before = len(self._tail)
        self._tail.follow(store)
        if len(self._tail) > before:
            self._note_known(self._tail.numbers[before:])

    def __len__(self) -> int:
        return len(self._tail) + (0 if self._index is None else len(self._index))

    def search(
        self, vector: Vectors, top_k: int, alive: NDArray[np.bool_], documents: Collection[int] | None = None
    ) -> list[DenseHit]:
        """The best `top_k` chunks that `alive` (by chunk number) lets through, best first.

        `documents` are the ones that a filter left over, None where there is no filter; `alive` knows them already.
        """
        found: dict[int, float] = {}
        if self._index is not None:
            found.update(self._from_generation(self._index, vector[None], top_k, alive, documents is not None))
        found.update(self._tail.search(vector, top_k, alive))
        return best_first(found, top_k)

    def sample(self) -> Vectors:
        """Some 256 to 511 vectors, float32 (n, dimension), evenly over the collection; none where there are none."""
        return _spread(self._tail.vectors) if self._sample is None else self._sample

    def background(self, vector: Vectors) -> float:
        """What any passage gets for this question."""
        return mean_without_best(self.sample(), vector)

    @staticmethod
    def _from_generation(
        index: VectorIndex, queries: Vectors, top_k: int, alive: NDArray[np.bool_], is_filtered: bool
    ) -> dict[int, float]:
        if is_filtered:
            numbers, scores = index.search(queries, top_k, alive[index.numbers])
            return _pairs(numbers, scores)
        # Few chunks are removed between two generations: ask for more, until enough of them live.
        wanted = top_k
        while True:
            numbers, scores = index.search(queries, wanted)
            living = {number: score for number, score in _pairs(numbers, scores).items() if alive[number]}
            if len(living) >= top_k or wanted >= len(index):
                return living
            wanted = min(len(index), wanted * 2)


class LexicalLeg:
    """Keywords: a generation of tantivy, then the chunks put since, in plain Python."""

    def __init__(self, store: CollectionStore) -> None:
        self.generation = store.generation(WORDS)
        opened = open_words(store)
        self.manifest: dict[str, Any] = opened[1] if opened else {}
        self._index = LexicalIndex(opened[0]) if opened else None
        rows = 0 if self._index is None else len(self._index)
        frequency = (lambda field, term: 0) if self._index is None else self._index.document_frequency
        self._tail = LexicalTail(rows, self.manifest.get("terms"), frequency, seen=int(self.manifest.get("number", 0)))

    def refresh(self, store: CollectionStore, document_of: NDArray[np.int64], removed: Collection[int]) -> None:
        """Read the chunks that were put since; `document_of` has each chunk's document, `removed` are numbers."""
        self._tail.follow(store, document_of, removed)

    def search(
        self, query: LexicalQuery, top_k: int, alive: NDArray[np.bool_], documents: set[int] | None = None
    ) -> list[LexicalHit]:
        """The best `top_k` chunks, best first, in `documents` only where they are given."""
        tail = [hit for hit in self._tail.search(query, top_k, documents) if alive[hit.number]]
        hits = tail + self._from_generation(query, top_k, alive, documents)
        return sorted(hits, key=lambda hit: (-hit.score, hit.number))[:top_k]

    def ceiling(self, query: LexicalQuery) -> float:
        """What a chunk would score that is full of every word of the question."""
        return self._tail.ceiling(query)

    def _from_generation(
        self, query: LexicalQuery, top_k: int, alive: NDArray[np.bool_], documents: set[int] | None
    ) -> list[LexicalHit]:
        wanted, lift = top_k, self._tail.lift if len(self._tail) else None
        while self._index is not None:
            chosen = None if documents is None else sorted(documents)
            hits = self._index.search(query, wanted, chosen, lift)
            living = [hit for hit in hits if alive[hit.number]]
            if len(living) >= top_k or len(hits) < wanted:
                return living
            wanted *= 2
        return []


def open_vectors(store: CollectionStore) -> tuple[Path, dict[str, Any]] | None:
    """The vector index's generation; None where it is missing, damaged, or of a kind that is made no more."""
    opened = open_generation(store, VECTORS)
    return opened if opened and opened[1].get("kind") in KINDS else None


def open_words(store: CollectionStore) -> tuple[Path, dict[str, Any]] | None:
    """The keyword index's generation; None where it is missing, damaged, or made by other rules of analysis."""
    opened = open_generation(store, WORDS)
    return opened if opened and opened[1].get("analysis") == ANALYSIS_VERSION else None


def best_first(scores: Mapping[int, float], top_k: int) -> list[DenseHit]:
    """The best `top_k` of scores by chunk number."""
    hits = [DenseHit(number, score) for number, score in scores.items()]
    return sorted(hits, key=lambda hit: (-hit.score, hit.number))[:top_k]


def _spread(vectors: Vectors, count: int = 256) -> Vectors:
    """Some `count` rows, evenly over all."""
    return np.array(vectors[:: max(1, len(vectors) // count)])


def _pairs(numbers: NDArray[np.int64], scores: Vectors) -> dict[int, float]:
    found = zip(numbers[0].tolist(), scores[0].tolist(), strict=True)
    return {number: score for number, score in found if number >= 0}
