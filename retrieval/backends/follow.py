"""Bringing a server's copy up to SQLite: only what came after its watermark is sent, in batches that commit alone.

Killed at any moment, the next call goes on where the last commit ended.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from retrieval.backends.contract import Change, CollectionKey, RemoteCollection, Row, Watermark
from retrieval.lexical_index import field_terms
from retrieval.protocol import Vectors
from retrieval.store import CollectionStore

Progress = Callable[[int, int], None]
_SAMPLE = 50
_COMPARED = 10


def key_of(store: CollectionStore, tenant: str = "") -> CollectionKey:
    """The key under which a server keeps this collection; a writer gives it an identity where it has none."""
    identity = store.meta("identity") or ""
    if not identity and store.writable:
        identity = uuid.uuid4().hex
        store.set_meta("identity", identity)
    encoder = store.meta("embedder") or ""
    return CollectionKey(store.name, identity, encoder, int(store.meta("dimension") or 0), tenant)


def follow(store: CollectionStore, remote: RemoteCollection, progress: Progress = lambda done, all_: None) -> Watermark:
    """Send what the copy lacks; `progress(sent, to_send)` counts chunks and vectors. Returns the new watermark.

    What is committed to SQLite meanwhile is left to the next call.
    """
    with store.snapshot():
        last, sequence, removed, _ = store.revision()
        end = Watermark(last, sequence, removed)
        mark = remote.watermark()
        if mark.chunks > last or mark.vectors > sequence or mark.removed > removed:
            # SQLite is older than its copy: it was restored from a backup, and it is the truth.
            remote.clear()
            mark = Watermark()
        to_send, sent = _missing(store, mark), 0
        for change in _changes(store, mark, end, remote.rows_at_once):
            remote.apply(change)
            sent += len(change.rows) + len(change.numbers)
            progress(sent, to_send)
    return end


def _missing(store: CollectionStore, mark: Watermark) -> int:
    row = store.rows(
        "SELECT (SELECT count(*) FROM chunks WHERE number > ?) + (SELECT count(*) FROM vectors WHERE sequence > ?)",
        (mark.chunks, mark.vectors),
    )[0]
    return int(row[0])


def _changes(store: CollectionStore, mark: Watermark, end: Watermark, most: int) -> Iterator[Change]:
    documents = {record.id: record.number for record in store.documents()}
    rows: list[Row] = []
    for number, chunk in store.iter_chunks(mark.chunks):
        rows.append(Row(number, documents[chunk.document_id], field_terms(chunk)))
        if len(rows) == most:
            mark = replace(mark, chunks=number)
            yield Change(mark, rows=rows)
            rows = []
    mark = replace(mark, chunks=end.chunks)
    if rows:
        yield Change(mark, rows=rows)
    for keys, vectors in store.iter_vectors(mark.vectors, batch=most):
        mark = replace(mark, vectors=int(keys[-1, 0]))
        yield Change(mark, numbers=keys[:, 1], vectors=vectors)
    gone = [int(row[0]) for row in store.rows("SELECT chunk FROM removed WHERE sequence > ?", (mark.removed,))]
    # The last commit carries the whole watermark, also where nothing else is left to send.
    yield Change(end, removed=gone)


def overlap(store: CollectionStore, remote: RemoteCollection) -> float:
    """How many of the ten nearest of some fifty stored vectors the copy finds too, 0..1; 1 where there are none.

    The other side of the comparison is exact: every vector of SQLite, one by one.
    """
    batches = list(store.iter_vectors())
    if not batches:
        return 1.0
    numbers = np.concatenate([keys[:, 1] for keys, _ in batches])
    vectors: Vectors = np.concatenate([part for _, part in batches])
    shares = []
    for place in range(0, len(vectors), max(1, len(vectors) // _SAMPLE)):
        scores = vectors @ vectors[place]
        # Of equal passages any may come: what counts is to be no worse than the tenth.
        tenth = np.sort(scores)[-_COMPARED:][0] - 1e-4
        wanted = set(numbers[scores >= tenth].tolist())
        found = [hit.number for hit in remote.search_vectors(vectors[place], _COMPARED)]
        shares.append(len(wanted.intersection(found)) / min(_COMPARED, len(vectors)))
    return float(np.mean(shares))
