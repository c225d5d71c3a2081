"""Moving a collection's search index to a server, and back. SQLite stays where it is, and stays the truth."""

import time
from dataclasses import dataclass

from core.errors import BackendError
from core.language import Bilingual
from retrieval.backends.contract import Backend, RemoteCollection
from retrieval.backends.follow import Progress, follow, key_of, overlap
from retrieval.indexing import refresh_words
from retrieval.library import INDEX_SERVER, Library
from retrieval.store import CollectionStore

# Of the ten nearest by the exact comparison, how many the copy has to find before it is searched.
LEAST_OVERLAP = 0.95
_SECONDS_TO_SETTLE = 120.0


@dataclass(frozen=True)
class Moved:
    """What was moved and how it was verified: `overlap` of sampled ten nearest with the exact ones, 0..1."""

    server: str
    chunks: int
    vectors: int
    overlap: float


def move_to(library: Library, name: str, backend: Backend, progress: Progress = lambda done, all_: None) -> Moved:
    """Copy the index of a collection to a server, verify it, then let searches go there.

    Interrupted, it goes on where it was when it is called again; until it is verified, searches stay here. Raises
    BackendError where the server fails or its copy does not find what SQLite holds.
    """
    with library.writer(name) as store:
        # Keywords that wait for the next generation are scored a little differently here than in one whole index.
        refresh_words(store, force=True)
        remote = backend.open(key_of(store, library.settings.owner))
        follow(store, remote, progress)
        remote.settle()
        counts, found = remote.counts(), store.counts()
        expected = {"chunks": found["chunks"], "vectors": found["vectors"]}
        share = _overlap_in_time(store, remote)
        if counts != expected or share < LEAST_OVERLAP:
            raise BackendError(_describe_difference(name, backend.name, f"{counts}, {share:.3f}", f"{expected}"))
        store.set_meta(INDEX_SERVER, backend.name)
    return Moved(backend.name, counts["chunks"], counts["vectors"], share)


def _overlap_in_time(store: CollectionStore, remote: RemoteCollection) -> float:
    """The overlap; where it is too small, looked at again for a while: a server may still be building its graph."""
    deadline = time.monotonic() + _SECONDS_TO_SETTLE
    while (share := overlap(store, remote)) < LEAST_OVERLAP and time.monotonic() < deadline:
        time.sleep(2.0)
    return share


def move_back(library: Library, name: str, backend: Backend | None) -> Moved:
    """Search a collection on this machine again; its copy is dropped where `backend` is given."""
    with library.writer(name) as store:
        server = store.meta(INDEX_SERVER) or ""
        store.set_meta(INDEX_SERVER, "")
        counts = store.counts()
        # What was indexed here before the move is still of use; only what came after it has to be taken in.
        library.refresh(store)
        if backend is not None:
            backend.forget(key_of(store, library.settings.owner))
    return Moved(server, counts["chunks"], counts["vectors"], 1.0)


def _describe_difference(name: str, server: str, counted: str, expected: str) -> Bilingual:
    return Bilingual(
        en=f"The copy of {name!r} on {server} is not what SQLite holds ({counted} in place of {expected}, "
        f"overlap {LEAST_OVERLAP}). It is not used. Move it again; where that repeats, drop it first.",
        zh=f"{server} 上“{name}”的副本与 SQLite 不一致（{counted}，应为 {expected}，"
        f"重合度 {LEAST_OVERLAP}），不予使用。请重新迁移；若仍如此，请先删除该副本。",
    )
