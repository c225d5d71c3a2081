"""The two legs of the search where a server keeps the index: its copy, then what SQLite holds beyond its watermark."""

from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from retrieval.backends.contract import RemoteCollection
from retrieval.legs import DenseHit, best_first
from retrieval.lexical_index import FIELD_WEIGHTS, LexicalHit, LexicalQuery
from retrieval.lexical_tail import LexicalTail
from retrieval.protocol import Vectors
from retrieval.store import CollectionStore
from retrieval.vector_tail import VectorTail, mean_without_best, spread_of

# Removed chunks stand in the copy until it follows: a few more are asked for than are wanted.
_SPARE = 20


class RemoteDenseLeg:
    """Vectors on a server, then those put since, compared one by one. As `retrieval.legs.DenseLeg`."""

    def __init__(self, store: CollectionStore, remote: RemoteCollection) -> None:
        self._store = store
        self._remote = remote
        self._seen = remote.watermark().vectors
        self.generation = str(self._seen)
        self._tail = VectorTail(self._seen)
        self._sample: Vectors | None = None

    def without_vector(self, numbers: Iterable[int]) -> set[int]:
        """Those of the chunks that were not embedded yet."""
        wanted = list(numbers)
        return set(wanted) - set(self._store.vectors(wanted))

    def refresh(self, store: CollectionStore) -> None:
        """Read the vectors that were put since."""
        self._tail.follow(store)

    def search(
        self, vector: Vectors, top_k: int, alive: NDArray[np.bool_], documents: Collection[int] | None = None
    ) -> list[DenseHit]:
        """The best `top_k` chunks that live, best first; in `documents` only, where they are given."""
        found = self._remote.search_vectors(vector, top_k + _SPARE, documents)
        scores = {hit.number: hit.score for hit in found if _lives(alive, hit.number)}
        scores.update(self._tail.search(vector, top_k, alive))
        return best_first(scores, top_k)

    def sample(self) -> Vectors:
        """Some of the vectors, float32 (n, dimension): from SQLite, and the same ones that an index here would take."""
        if self._sample is None:
            self._sample = spread_of(self._store, self._seen)
        return self._sample if len(self._sample) else self._tail.vectors

    def background(self, vector: Vectors) -> float:
        """What any passage gets for this question."""
        return mean_without_best(self.sample(), vector)


class RemoteLexicalLeg:
    """Keywords on a server, then the chunks put since, in plain Python. As `retrieval.legs.LexicalLeg`."""

    def __init__(self, remote: RemoteCollection) -> None:
        self._remote = remote
        seen = remote.watermark().chunks
        self.generation = str(seen)
        # How often a word stands in the copy, asked once: a question's few words come back with the next ones.
        self._known: dict[tuple[str, str], int] = {}
        rows, lengths = remote.field_lengths()
        self._tail = LexicalTail(rows, lengths, lambda field, term: self._known.get((field, term), 0), seen)

    def refresh(self, store: CollectionStore, document_of: NDArray[np.int64], removed: Collection[int]) -> None:
        """Read the chunks that were put since; `document_of` has each chunk's document, `removed` are numbers."""
        self._tail.follow(store, document_of, removed)

    def search(
        self, query: LexicalQuery, top_k: int, alive: NDArray[np.bool_], documents: set[int] | None = None
    ) -> list[LexicalHit]:
        """The best `top_k` chunks, best first, in `documents` only where they are given."""
        self._learn(query)
        hits = self._tail.search(query, top_k, documents)
        hits += self._remote.search_words(query, top_k + _SPARE, documents)
        living = [hit for hit in hits if _lives(alive, hit.number)]
        return sorted(living, key=lambda hit: (-hit.score, hit.number))[:top_k]

    def ceiling(self, query: LexicalQuery) -> float:
        """What a chunk would score that is full of every word of the question."""
        self._learn(query)
        return self._tail.ceiling(query)

    def _learn(self, query: LexicalQuery) -> None:
        asked = {(field, term) for field in FIELD_WEIGHTS for term in query.by_field[field]} - self._known.keys()
        if asked:
            self._known.update(dict.fromkeys(asked, 0) | self._remote.frequencies(asked))


def _lives(alive: NDArray[np.bool_], number: int) -> bool:
    """A chunk that the copy took in after the reader looked is left to the reader's next look."""
    return number < len(alive) and bool(alive[number])
