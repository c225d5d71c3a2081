"""The second speed: vectors for the chunks that have none yet, those that somebody asked for first, then the newest."""

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from core.answering import wait_for_answers
from core.types import Chunk
from ingest.events import Embedded
from retrieval.library import Library
from retrieval.protocol import Embedder
from retrieval.store import CollectionStore

# Chunks looked at together, so that neighbours in a batch are of one length and carry no padding; memory stays flat.
# The first looks are at fewer, so that the newest are not kept waiting for their equals in length.
WINDOW = 2_048
# Chunks between two commits: a crash loses the vectors of at most so many, never a text.
COMMIT = 256
# Texts between two looks at whether a model is answering, and how long to wait for it before the next: an ingest
# must end even beside a chat that never does.
_STEP = 64
_LONGEST_WAIT = 10.0


def embed_pending(store: CollectionStore, library: Library, stop: threading.Event) -> Iterator[Embedded]:
    """Embed until every chunk of the collection has its vector, or `stop` is set. One event per commit.

    The indexes follow after each window, so that searches stay fast during a long run.
    """
    embedder = library.embedder_of(store)
    counts = store.counts()
    total = counts["chunks"] - counts["vectors"]
    done, started = 0, time.perf_counter()
    for window, is_full in windows(store, stop, WINDOW):
        for batch in _asked_for_first(store, library, by_length(window, embedder)):
            if stop.is_set():
                return
            _embed(store, embedder, batch, library.settings.paths.cache)
            done += len(batch)
            rate = done / (time.perf_counter() - started)
            yield Embedded(done, max(total, done), max(total - done, 0) / rate)
        if is_full and done < total:
            library.refresh(store)


def windows(store: CollectionStore, stop: threading.Event, most: int) -> Iterator[tuple[list[Chunk], bool]]:
    """What has no vector yet, in growing windows of at most `most` chunks; with each, whether it is of that size."""
    size = COMMIT
    while not stop.is_set() and (window := store.chunks_without_vectors(size)):
        yield window, size == most
        size = min(2 * size, most)


def _asked_for_first(store: CollectionStore, library: Library, batches: Iterator[list[Chunk]]) -> Iterator[list[Chunk]]:
    """These batches; before each one, what searches have met without a vector in the meantime."""
    taken: set[str] = set()
    for batch in batches:
        urgent = [chunk for chunk in _asked_for(store, library) if chunk.id not in taken]
        if urgent:
            taken.update(chunk.id for chunk in urgent)
            yield urgent
        rest = [chunk for chunk in batch if chunk.id not in taken]
        if rest:
            taken.update(chunk.id for chunk in rest)
            yield rest


def _asked_for(store: CollectionStore, library: Library) -> list[Chunk]:
    wanted = [entry for entry in list(library.asked_for) if entry[0] == store.name]
    for entry in wanted:
        library.asked_for.remove(entry)
    unique = list(dict.fromkeys(number for _, number in wanted))
    have = store.vectors(unique)
    found = store.chunks_by_number([number for number in unique if number not in have])
    return list(found.values())


def by_length(window: Sequence[Chunk], embedder: Embedder) -> Iterator[list[Chunk]]:
    """Longest first: if memory does not suffice it shows at once, and the estimate errs to the safe side.

    By tokens: by letters, where a table has twice as many tokens as prose, batches carried three times the padding.
    """
    tokens = embedder.count_tokens([chunk.embedded_text for chunk in window])
    ordered = sorted(range(len(window)), key=lambda place: tokens[place], reverse=True)
    for start in range(0, len(ordered), COMMIT):
        yield [window[place] for place in ordered[start : start + COMMIT]]


def _embed(store: CollectionStore, embedder: Embedder, batch: Sequence[Chunk], cache: Path) -> None:
    """While a model answers, it waits."""
    texts, rows = unique_texts(batch)
    parts = []
    for step in steps_of(texts):
        wait_for_answers(cache, _LONGEST_WAIT)
        parts.append(embedder.embed_documents(step))
    store.put_vectors([chunk.id for chunk in batch], np.concatenate(parts)[rows])


def steps_of(texts: list[str]) -> list[list[str]]:
    """The texts that are encoded together: in eight bits a vector depends on its neighbours, a little."""
    return [texts[start : start + _STEP] for start in range(0, len(texts), _STEP)]


def unique_texts(batch: Sequence[Chunk]) -> tuple[list[str], list[int]]:
    """The texts to encode, those that occur twice (licences, notices) once; and for each chunk which of them is its."""
    texts = list(dict.fromkeys(chunk.embedded_text for chunk in batch))
    row = {text: place for place, text in enumerate(texts)}
    return texts, [row[chunk.embedded_text] for chunk in batch]
