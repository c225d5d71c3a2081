"""Who reads files and encodes passages for an ingest: this machine, or whatever else keeps to the same two steps.

Committing is not among their work: one process writes, whoever reads.
"""

import os
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Protocol

from core.types import Chunk
from ingest.child import Limits, Outcome, ParserPool
from ingest.embedding import embed_pending
from ingest.events import Embedded
from ingest.plan import Job
from ingest.splitter import Splitter
from retrieval.library import Library
from retrieval.store import CollectionStore


@dataclass(frozen=True)
class ReadFile:
    """What became of one file; `chunks` where they were cut already, None where that is still to be done."""

    outcome: Outcome
    chunks: list[Chunk] | None = None


@dataclass(frozen=True)
class ReadWith:
    """What a file is read with: limits of time and memory, passwords to try, and how many readers (0: as fits)."""

    limits: Limits
    passwords: tuple[str, ...] = ()
    readers: int = 0


class Workers(Protocol):
    """Reads and encodes."""

    def read_all(self, jobs: Iterator[Job], splitter: Splitter, how: ReadWith) -> Generator[ReadFile, None, None]:
        """What became of each job, in their order; closing it ends the reading."""
        ...

    def embed(self, store: CollectionStore, library: Library, stop: threading.Event) -> Iterator[Embedded]:
        """Give every chunk of the collection its vector, until `stop` is set. One event per commit."""
        ...


class LocalWorkers:
    """Child processes that parse, and the encoder in this process."""

    def read_all(self, jobs: Iterator[Job], splitter: Splitter, how: ReadWith) -> Generator[ReadFile, None, None]:
        """As `Workers.read_all`; the cutting is left to whoever commits."""
        pool = ParserPool(how.readers or max(1, min(4, (os.cpu_count() or 2) - 1)), how.limits)
        wanted = ((job.file.path, job.file.path.name, how.passwords) for job in jobs)
        try:
            for _, outcome in pool.parse_all(wanted):
                yield ReadFile(outcome)
        finally:
            pool.close()

    def embed(self, store: CollectionStore, library: Library, stop: threading.Event) -> Iterator[Embedded]:
        """As `Workers.embed`."""
        return embed_pending(store, library, stop)
