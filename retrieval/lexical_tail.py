"""Keyword search in plain Python over the few chunks that came after the last generation, searchable at once.

The formula and its constants are tantivy's (BM25, k1 1.2, b 0.75; Robertson & Zaragoza 2009). How rare a term is gets
counted over the generation and the tail together, and `lift` brings the generation's own scores to that; how long a
field is on average is the generation's, where there is one. So the scores of both can be compared.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from core.types import Chunk
from retrieval.lexical_index import FIELD_WEIGHTS, Field, LexicalHit, LexicalQuery, field_terms, rounded_length
from retrieval.store import CollectionStore

_K1, _B = 1.2, 0.75
# What a term's frequency can multiply its rarity by at most.
_HIGHEST_PART = _K1 + 1


class LexicalTail:
    """Chunks in memory, by number. `base_*` describe the generation that the tail follows."""

    def __init__(
        self,
        base_rows: int = 0,
        base_terms: Mapping[Field, int] | None = None,
        base_frequency: Callable[[Field, str], int] = lambda field, term: 0,
        seen: int = 0,
    ) -> None:
        """`seen` is the last chunk's number in the generation."""
        self._seen = seen
        self._base_rows = base_rows
        self._base_terms = dict(base_terms or {})
        self._base_frequency = base_frequency
        self._documents: dict[int, int] = {}
        self._order: dict[int, dict[Field, list[str]]] = {}
        self._postings: dict[tuple[Field, str], dict[int, int]] = {}
        self._terms: Counter[Field] = Counter()

    def __len__(self) -> int:
        return len(self._documents)

    def follow(self, store: CollectionStore, document_of: NDArray[np.int64], removed: Collection[int]) -> None:
        """Read the chunks that were put since; `document_of` has each chunk's document, `removed` are numbers."""
        for number in removed:
            self.remove(number)
        for number, chunk in store.iter_chunks(self._seen):
            self.add(number, int(document_of[number]), chunk)
            self._seen = number

    def add(self, number: int, document: int, chunk: Chunk) -> None:
        """Add one chunk."""
        found = field_terms(chunk)
        self._documents[number] = document
        self._order[number] = found
        for field, words in found.items():
            self._terms[field] += len(words)
            for term, count in Counter(words).items():
                self._postings.setdefault((field, term), {})[number] = count

    def remove(self, number: int) -> None:
        """Take a chunk out; nothing happens where it is not here."""
        if self._documents.pop(number, None) is None:
            return
        for field, words in self._order.pop(number).items():
            self._terms[field] -= len(words)
            for term in set(words):
                del self._postings[field, term][number]

    def search(self, query: LexicalQuery, top_k: int, documents: Collection[int] | None = None) -> list[LexicalHit]:
        """As `LexicalIndex.search`."""
        scores: dict[int, float] = {}
        for field, counts in query.by_field.items():
            for term, count in counts.items():
                self._score(field, term, count * FIELD_WEIGHTS[field], scores)
        hits = [
            LexicalHit(number, score)
            for number, score in scores.items()
            if (documents is None or self._documents[number] in documents) and self._has_phrases(number, query)
        ]
        return sorted(hits, key=lambda hit: (-hit.score, hit.number))[:top_k]

    def idf(self, field: Field, term: str) -> float:
        """How rare a term is, over the generation and the tail."""
        frequency = len(self._postings.get((field, term), ())) + self._base_frequency(field, term)
        return _rarity(self._rows, frequency)

    def lift(self, field: Field, term: str) -> float:
        """By what the generation's score of a term has to be multiplied, for all that came after it."""
        return self.idf(field, term) / _rarity(self._base_rows, self._base_frequency(field, term))

    def ceiling(self, query: LexicalQuery) -> float:
        """What a chunk would score that is full of every word of the question."""
        return sum(count * self.idf("body", term) * _HIGHEST_PART for term, count in query.words.items())

    @property
    def _rows(self) -> int:
        return self._base_rows + len(self)

    def _score(self, field: Field, term: str, weight: float, scores: dict[int, float]) -> None:
        found = self._postings.get((field, term))
        if not found:
            return
        idf = self.idf(field, term)
        mean = self._mean(field)
        for number, count in found.items():
            length = rounded_length(len(self._order[number][field]))
            part = count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * length / mean))
            scores[number] = scores.get(number, 0.0) + weight * idf * part

    def _mean(self, field: Field) -> float:
        if self._base_rows:
            return max(1e-9, self._base_terms.get(field, 0) / self._base_rows)
        return max(1e-9, self._terms[field] / self._rows)

    def _has_phrases(self, number: int, query: LexicalQuery) -> bool:
        fields = [self._order[number][field] for field in ("body", "heading")]
        return all(any(_contains(words, phrase) for words in fields) for phrase in query.phrases)


def _rarity(rows: int, frequency: int) -> float:
    return math.log(1 + (rows - frequency + 0.5) / (frequency + 0.5))


def _contains(words: list[str], phrase: tuple[str, ...]) -> bool:
    size = len(phrase)
    return any(tuple(words[place : place + size]) == phrase for place in range(len(words) - size + 1))
