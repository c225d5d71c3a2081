"""What a search reads of one collection: which chunks live, in which documents, and the two legs. Follows the store."""

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.types import Scope
from retrieval.legs import VECTORS, WORDS, DenseLeg, LexicalLeg
from retrieval.records import DocumentRecord
from retrieval.scope import lets_through
from retrieval.store import CollectionStore

if TYPE_CHECKING:
    from retrieval.backends.contract import RemoteCollection
    from retrieval.backends.legs import RemoteDenseLeg, RemoteLexicalLeg

Mask = NDArray[np.bool_]
# Rows read at a time while a large collection is opened: a million of them at once would be half a gigabyte of Python.
_ROWS = 50_000


class CollectionView:
    """A reader's picture of a collection, brought up to date by `refresh` before every search.

    Hold `lock` from the refresh to the end of the search: the arrays of both legs have to be of one moment.
    """

    def __init__(self, store: CollectionStore, remote: "RemoteCollection | None" = None) -> None:
        """`remote` is the server's copy of a collection that was moved to one."""
        self.store = store
        self._remote = remote
        self.lock = threading.RLock()
        self._revision = (0, 0, 0, 0)
        self._generations: tuple[str | None, str | None] = (None, None)
        # The document's number by the chunk's number; 0 where there is no chunk (any more).
        self.document_of = np.zeros(1, np.int64)
        self._alive: Mask = np.zeros(1, np.bool_)
        self._documents: dict[int, DocumentRecord] | None = None
        self._chosen: dict[Scope, tuple[Mask, set[int]]] = {}
        self.searched = 0
        self._embedded_share: float | None = None
        self.dense, self.lexical = self._open_dense(), self._open_lexical()
        self.refresh()

    def refresh(self) -> None:
        """Take in what was committed since the last time; costs microseconds where nothing was."""
        with self.lock, self.store.snapshot():
            generations = self._current_generations()
            revision = self.store.revision()
            if revision == self._revision and generations == self._generations:
                return
            if generations[0] != self.dense.generation:
                self.dense = self._open_dense()
            if generations[1] != self.lexical.generation:
                self.lexical = self._open_lexical()
            self._take_in(revision)
            self._revision, self._generations = revision, generations

    def is_current_file(self) -> bool:
        """False where the collection was deleted, or deleted and made again under the same name."""
        return self.store.is_current_file()

    def alive(self) -> Mask:
        """By chunk number: whether the chunk is there."""
        return self._alive

    def embedded_share(self) -> float:
        """The share of the chunks that have a vector, 0..1: counted when first asked for after a change."""
        if self._embedded_share is None:
            counts = self.store.counts()
            self._embedded_share = counts["vectors"] / max(1, counts["chunks"])
        return self._embedded_share

    def documents(self) -> dict[int, DocumentRecord]:
        """The documents by number, read when a filter first asks for them: a search without one needs none."""
        if self._documents is None:
            self._documents = {record.number: record for record in self.store.documents()}
        return self._documents

    def chosen(self, scope: Scope) -> tuple[Mask, set[int] | None]:
        """The mask of the chunks that `scope` lets through, and its documents' numbers (None: all of them)."""
        if not scope.is_filtered:
            return self._alive, None
        if scope not in self._chosen:
            documents = self.documents()
            numbers = {number for number, record in documents.items() if lets_through(scope, record)}
            allowed = np.zeros(int(self.document_of.max(initial=0)) + 1, np.bool_)
            allowed[[number for number in numbers if number < len(allowed)]] = True
            allowed[0] = False
            self._chosen[scope] = (allowed[self.document_of], numbers)
        return self._chosen[scope]

    def _open_dense(self) -> "DenseLeg | RemoteDenseLeg":
        if self._remote is None:
            return DenseLeg(self.store)
        from retrieval.backends.legs import RemoteDenseLeg

        return RemoteDenseLeg(self.store, self._remote)

    def _open_lexical(self) -> "LexicalLeg | RemoteLexicalLeg":
        if self._remote is None:
            return LexicalLeg(self.store)
        from retrieval.backends.legs import RemoteLexicalLeg

        return RemoteLexicalLeg(self._remote)

    def _current_generations(self) -> tuple[str | None, str | None]:
        if self._remote is None:
            return self.store.generation(VECTORS), self.store.generation(WORDS)
        mark = self._remote.watermark()
        return str(mark.vectors), str(mark.chunks)

    def _take_in(self, revision: tuple[int, int, int, int]) -> None:
        last, _, removed, _ = self._revision
        grown = np.zeros(revision[0] + 1, np.int64)
        grown[: len(self.document_of)] = self.document_of
        for numbers, documents in self._new_chunks(last, revision[0]):
            grown[numbers] = documents
        gone = [int(row[0]) for row in self.store.rows("SELECT chunk FROM removed WHERE sequence > ?", (removed,))]
        grown[[number for number in gone if number < len(grown)]] = 0
        self.document_of, self._alive = grown, grown > 0
        # How many chunks a search without filters looks at.
        self.searched = int(np.count_nonzero(grown))
        self._documents = self._embedded_share = None
        self._chosen.clear()
        self.dense.refresh(self.store)
        self.lexical.refresh(self.store, self.document_of, gone)

    def _new_chunks(self, after: int, last: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        query = "SELECT number, document FROM chunks WHERE number > ? AND number <= ? ORDER BY number LIMIT ?"
        while rows := self.store.rows(query, (after, last, _ROWS)):
            pairs = np.array([(row[0], row[1]) for row in rows], np.int64)
            yield pairs[:, 0], pairs[:, 1]
            after = int(pairs[-1, 0])
