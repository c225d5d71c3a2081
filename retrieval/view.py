"""What a search reads of one collection: which chunks live, in which documents, and the two legs. Follows the store."""

import threading

import numpy as np
from numpy.typing import NDArray

from core.types import Scope
from retrieval.legs import VECTORS, WORDS, DenseLeg, LexicalLeg
from retrieval.records import DocumentRecord
from retrieval.scope import lets_through
from retrieval.store import CollectionStore

Mask = NDArray[np.bool_]


class CollectionView:
    """A reader's picture of a collection, brought up to date by `refresh` before every search.

    Hold `lock` from the refresh to the end of the search: the arrays of both legs have to be of one moment.
    """

    def __init__(self, store: CollectionStore) -> None:
        self.store = store
        self.lock = threading.RLock()
        self._revision = (0, 0, 0, 0)
        self._generations: tuple[str | None, str | None] = (None, None)
        self.documents: dict[int, DocumentRecord] = {}
        # The document's number by the chunk's number; 0 where there is no chunk (any more).
        self.document_of = np.zeros(1, np.int64)
        self.dense = DenseLeg(store)
        self.lexical = LexicalLeg(store)
        self.refresh()

    def refresh(self) -> None:
        """Take in what was committed since the last time; costs microseconds where nothing was."""
        with self.lock, self.store.snapshot():
            generations = (self.store.generation(VECTORS), self.store.generation(WORDS))
            revision = self.store.revision()
            if revision == self._revision and generations == self._generations:
                return
            if generations[0] != self.dense.generation:
                self.dense = DenseLeg(self.store)
            if generations[1] != self.lexical.generation:
                self.lexical = LexicalLeg(self.store)
            self._take_in(revision)
            self._revision, self._generations = revision, generations

    def is_current_file(self) -> bool:
        """False where the collection was deleted, or deleted and made again under the same name."""
        return self.store.is_current_file()

    @property
    def searched(self) -> int:
        """How many chunks a search without filters looks at."""
        return int(np.count_nonzero(self.document_of))

    def alive(self) -> Mask:
        """By chunk number: whether the chunk is there."""
        return self.document_of > 0

    def chosen(self, scope: Scope) -> tuple[Mask, set[int] | None]:
        """The mask of the chunks that `scope` lets through, and its documents' numbers (None: all of them)."""
        if not scope.is_filtered:
            return self.alive(), None
        numbers = {number for number, record in self.documents.items() if lets_through(scope, record)}
        allowed = np.zeros(max(self.documents, default=0) + 1, np.bool_)
        allowed[list(numbers)] = True
        allowed[0] = False
        return allowed[self.document_of], numbers

    def _take_in(self, revision: tuple[int, int, int, int]) -> None:
        last, _, _, edits = self._revision
        if revision[3] != edits or revision[0] != last:
            self.documents = {record.number: record for record in self.store.documents()}
        grown = np.zeros(revision[0] + 1, np.int64)
        grown[: len(self.document_of)] = self.document_of
        rows = self.store.rows(
            "SELECT number, document FROM chunks WHERE number > ? AND number <= ?", (last, revision[0])
        )
        if rows:
            pairs = np.array([(row[0], row[1]) for row in rows], np.int64)
            grown[pairs[:, 0]] = pairs[:, 1]
        gone = [
            int(row[0]) for row in self.store.rows("SELECT chunk FROM removed WHERE sequence > ?", (self._revision[2],))
        ]
        grown[[number for number in gone if number < len(grown)]] = 0
        self.document_of = grown
        self.dense.refresh(self.store)
        self.lexical.refresh(self.store, {record.id: number for number, record in self.documents.items()}, gone)
