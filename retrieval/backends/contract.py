"""What a search index on a server must do. It is derived from SQLite as a local generation is, and can be dropped.

Everything is known by chunk number, which SQLite never gives twice. A server's copy holds all up to its watermark;
what came later is searched in SQLite itself, so that nothing is acknowledged that cannot be found.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.legs import DenseHit
from retrieval.lexical_index import Field, LexicalHit, LexicalQuery
from retrieval.protocol import Vectors


@dataclass(frozen=True)
class Watermark:
    """How far a copy has followed SQLite: the last chunk number, vector sequence and removal sequence it took in."""

    chunks: int = 0
    vectors: int = 0
    removed: int = 0


@dataclass(frozen=True)
class Row:
    """A chunk as a server searches it: its number, its document's number and its terms by field, in order."""

    number: int
    document: int
    terms: Mapping[Field, Sequence[str]]


@dataclass(frozen=True)
class Change:
    """What happened in SQLite between two watermarks. `numbers` (n,) int64 belong to the rows of `vectors` (n, dim)."""

    until: Watermark
    rows: Sequence[Row] = ()
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    vectors: Vectors = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    removed: Sequence[int] = ()


@dataclass(frozen=True)
class CollectionKey:
    """Whose collection it is, and what its vectors are made with. A tenant never sees another's.

    `identity` tells a collection from one that was deleted and made again under its name.
    """

    name: str
    identity: str
    encoder: str
    dimension: int
    tenant: str = ""


class RemoteCollection(Protocol):
    """One collection on a server. Thread-safe. Every method may raise BackendError naming the server."""

    @property
    def rows_at_once(self) -> int:
        """How many chunks or vectors a change should bring, where there are so many."""
        ...

    def watermark(self) -> Watermark:
        """How far the copy goes."""
        ...

    def apply(self, change: Change) -> None:
        """Take a change in. Its watermark holds once all of it does; doing it twice changes nothing more."""
        ...

    def settle(self) -> None:
        """After a large move: wait until the server searches as well as it will."""
        ...

    def counts(self) -> dict[str, int]:
        """How many `chunks` and `vectors` there are."""
        ...

    def search_vectors(self, vector: Vectors, top_k: int, documents: Collection[int] | None = None) -> list[DenseHit]:
        """The nearest chunks, best first; in `documents` (their numbers) only, where they are given."""
        ...

    def search_words(
        self, query: LexicalQuery, top_k: int, documents: Collection[int] | None = None
    ) -> list[LexicalHit]:
        """The best chunks by BM25 holding any of the terms and all of the phrases, best first."""
        ...

    def frequencies(self, terms: Collection[tuple[Field, str]]) -> dict[tuple[Field, str], int]:
        """In how many chunks each term stands in its field; 0 is left out."""
        ...

    def field_lengths(self) -> tuple[int, dict[Field, int]]:
        """How many chunks there are, and how many terms each field holds in all; costs the same at any size."""
        ...

    def clear(self) -> None:
        """Forget everything, the watermark too."""
        ...

    def drop(self) -> None:
        """Delete the copy. SQLite is not touched."""
        ...


class Backend(Protocol):
    """A server that keeps search indexes."""

    @property
    def name(self) -> str:
        """Kind and address of the server, without any password."""
        ...

    def health(self) -> str:
        """Version of the server that answered. Raises BackendError where none does."""
        ...

    def open(self, key: CollectionKey) -> RemoteCollection:
        """The collection of this key, made empty where it is missing.

        Raises BackendError where another encoder made it.
        """
        ...

    def forget(self, key: CollectionKey) -> bool:
        """Delete the copy of this tenant's collection, whatever made it; False where there is none."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
