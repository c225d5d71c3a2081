"""The collections in the data folder: listing, making, deleting, opening for reading and writing, searching."""

import logging
import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from core.config import Settings
from core.errors import BackendError
from retrieval.calibration import ForeignVectors, refresh_calibration
from retrieval.estimate import graph_fits
from retrieval.indexing import refresh_indexes
from retrieval.protocol import Embedder
from retrieval.schema import FILE_NAME
from retrieval.store import CollectionStore
from retrieval.system_memory import give_back
from retrieval.view import CollectionView

if TYPE_CHECKING:
    from retrieval.backends.contract import Backend, RemoteCollection
    from retrieval.retriever import HybridSearcher


# Beyond this many vectors lists of bits find more of what a question is about than a graph does, in a ninth of the
# memory and a tenth of the build (evaluation/DECISIONS.md).
COMPACT_ABOVE = 250_000
# Far more than the candidates of a question; what is older waits its turn.
_MOST_ASKED_FOR = 256
# Where a collection remembers the server that its index was moved to.
INDEX_SERVER = "index_server"
_log = logging.getLogger(__name__)


def compact_for(setting: str, vectors: int, dimension: int) -> bool:
    """Whether so many vectors are put into lists of bits by the setting `index_memory`."""
    if setting != "auto":
        return setting == "compact"
    return vectors > COMPACT_ABOVE or not graph_fits(vectors, dimension)


class Library:
    """All collections of one data folder, with the encoder that they are searched with. Thread-safe."""

    def __init__(self, settings: Settings, embedder: Embedder) -> None:
        self.settings = settings
        self.embedder = embedder
        self._searcher: HybridSearcher | None = None
        self._foreign: dict[str, ForeignVectors] = {}
        self._siblings: dict[str, Embedder] = {}
        # (collection, chunk number) of passages that a search met before they had a vector; the last ones asked for.
        self.asked_for: deque[tuple[str, int]] = deque(maxlen=_MOST_ASKED_FOR)
        self._backend: Backend | None = None

    def names(self) -> list[str]:
        """The names of all collections, sorted."""
        names = []
        for folder in sorted(self.settings.paths.collections.glob("*")):
            if (folder / FILE_NAME).is_file():
                with CollectionStore(folder) as store:
                    names.append(store.name)
        return sorted(names)

    def exists(self, name: str) -> bool:
        """Whether there is a collection of this name."""
        return (self.settings.paths.collection(name) / FILE_NAME).is_file()

    def create(self, name: str, embedder: Embedder | None = None) -> None:
        """Make an empty collection, for `embedder` if it is given; nothing happens where it exists."""
        if embedder is not None and not self.exists(name):
            with CollectionStore(self.settings.paths.collection(name), writable=True, name=name) as store:
                store.bind(embedder.name, embedder.dimension)
        with self.writer(name):
            pass

    def embedder_of(self, store: CollectionStore) -> Embedder:
        """The encoder that a collection was made with: the library's own, or the other profile of it."""
        known = store.meta("embedder")
        if known is None or known == self.embedder.name:
            return self.embedder
        if known not in self._siblings:
            from retrieval.embedder import sibling

            # The one of another model is found out by `bind`, which says what to do.
            self._siblings[known] = sibling(self.embedder, known, self.settings) or self.embedder
        return self._siblings[known]

    def delete(self, name: str) -> None:
        """Delete a collection with everything in it.

        Raises CollectionNotFoundError, or CollectionLockedError while it is being written.
        """
        folder = self.settings.paths.collection(name)
        with CollectionStore(folder, name=name), CollectionStore(folder, writable=True, name=name):
            shutil.rmtree(folder)

    @contextmanager
    def writer(self, name: str, wait_seconds: float = 0.0) -> Iterator[CollectionStore]:
        """Open a collection for writing, made where it is missing, bound to the library's encoder.

        Raises CollectionLockedError naming the owner, or EncoderMismatchError where another encoder made it.
        """
        folder = self.settings.paths.collection(name)
        with CollectionStore(folder, writable=True, name=name, wait_seconds=wait_seconds) as store:
            embedder = self.embedder_of(store)
            store.bind(embedder.name, embedder.dimension)
            yield store
            self.refresh(store)

    def refresh(self, store: CollectionStore) -> None:
        """Bring the indexes and the calibration of a collection open for writing up to date; cheap where they are."""
        remote = self.remote(store)
        if remote is None:
            compact = self.is_compact(store.counts()["vectors"])
            refresh_indexes(store, compact=compact, encode=self.embedder_of(store).embed_documents)
            refresh_calibration(store, self.embedder_of(store), self._foreign_of(store))
            give_back()
            return
        from retrieval.backends.follow import follow

        try:
            follow(store, remote)
            refresh_calibration(store, self.embedder_of(store), self._foreign_of(store), remote)
        except BackendError as error:
            # What was committed is safe, and is sent when the server answers again.
            _log.warning("%s", error)

    def is_compact(self, vectors: int) -> bool:
        """Whether so many vectors are put into lists of bits, by the setting `index_memory`."""
        return compact_for(self.settings.index_memory, vectors, self.embedder.dimension)

    def _foreign_of(self, store: CollectionStore) -> ForeignVectors:
        return self._foreign.setdefault(self.embedder_of(store).name, {})

    def reader(self, name: str) -> CollectionStore:
        """Open a collection for reading; the caller closes it. Raises CollectionNotFoundError."""
        return CollectionStore(self.settings.paths.collection(name), name=name)

    def view(self, name: str) -> CollectionView:
        """What a search reads of a collection, here or on its server; the caller closes its `store`."""
        store = self.reader(name)
        return CollectionView(store, self.remote(store))

    def remote(self, store: CollectionStore) -> "RemoteCollection | None":
        """The server's copy of a collection that was moved to the server of the setting `index_url`, else None."""
        server = store.meta(INDEX_SERVER)
        if not server or not self.settings.index_url:
            return None
        from retrieval.backends.follow import key_of
        from retrieval.backends.opening import open_backend

        if self._backend is None:
            self._backend = open_backend(self.settings.index_url)
        return self._backend.open(key_of(store, self.settings.owner)) if self._backend.name == server else None

    def searcher(self) -> "HybridSearcher":
        """The search over these collections; one object for all threads.

        Raises ModelNotFoundError where the cross-encoder that the settings name is not there.
        """
        if self._searcher is None:
            from retrieval.reranker import open_reranker
            from retrieval.retriever import HybridSearcher

            self._searcher = HybridSearcher(self, reranker=open_reranker(self.settings))
        return self._searcher
