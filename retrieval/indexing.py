"""Making the next generation of a collection's indexes, when enough has changed since the last one."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.analysis import ANALYSIS_VERSION
from retrieval.estimate import check_room
from retrieval.generations import MANIFEST, make_generation
from retrieval.legs import VECTORS, WORDS, open_vectors, open_words
from retrieval.lexical_index import FIELD_WEIGHTS, LexicalIndex, Row
from retrieval.probing import own_sentences
from retrieval.protocol import Vectors
from retrieval.store import CollectionStore
from retrieval.system_memory import let_go
from retrieval.vector_index import EXACT_UP_TO, Kind, Numbers, VectorIndex, kind_for

# A tail of words is read into memory and analysed at the first search; one of vectors is compared one by one.
_WORDS_TAIL = 300
_VECTORS_TAIL = 10_000
# From this share of dead rows on, a graph is built anew instead of grown.
_TOO_MANY_DEAD = 0.3
# Sentences that a graph is tuned by. With 200, three hard ones doubled the walk of everybody else.
_PROBES = 400
Encode = Callable[[Sequence[str]], Vectors]


def refresh_indexes(
    store: CollectionStore, *, compact: bool = False, force: bool = False, encode: Encode | None = None
) -> None:
    """Make new generations where the tail has grown long or the generation is damaged. Cheap where nothing is due.

    `store` must be open for writing. Searches go on meanwhile with the generation before. `encode` lets a graph be
    tuned by the collection's own sentences.
    """
    refresh_words(store, force=force)
    refresh_vectors(store, compact=compact, force=force, encode=encode)


def refresh_words(store: CollectionStore, *, force: bool = False) -> None:
    """The keyword index: unchanged files are linked, not copied, so that the cost is that of the new chunks."""
    opened = open_words(store)
    seen = int(opened[1]["number"]) if opened else 0
    newest, _, removed, _ = store.revision()
    waiting = int(store.rows("SELECT count(*) FROM chunks WHERE number > ?", (seen,))[0][0])
    if not waiting and not force:
        return
    if waiting < _WORDS_TAIL + (int(opened[1]["rows"]) // 20 if opened else 0) and not force:
        return
    gone = _removed_since(store, int(opened[1]["removed"])) if opened else []

    def fill(folder: Path) -> Mapping[str, Any]:
        before = dict.fromkeys(FIELD_WEIGHTS, 0)
        if opened:
            before = opened[1]["terms"]
            _link_files(opened[0], folder)
        index = LexicalIndex(folder)
        added = index.update(_rows_between(store, seen, newest), gone)
        terms = {field: before[field] + added[field] for field in FIELD_WEIGHTS}
        return {"rows": len(index), "number": newest, "removed": removed, "terms": terms, "analysis": ANALYSIS_VERSION}

    # tantivy never changes a segment's file, only its own two lists of them.
    lists = ("meta.json", ".managed.json")
    known = {name: digest for name, digest in opened[1]["files"].items() if name not in lists} if opened else {}
    make_generation(store, WORDS, fill, known)


def refresh_vectors(
    store: CollectionStore,
    *,
    compact: bool = False,
    force: bool = False,
    encode: Encode | None = None,
    threads: int = 0,
) -> None:
    """The vector index, from `EXACT_UP_TO` vectors on; below, a search compares with all of them anyway.

    `encode` as in `refresh_indexes`, `threads` as in `VectorIndex.build`.
    """
    total = store.counts()["vectors"]
    opened = open_vectors(store)
    _, newest, removed, _ = store.revision()
    waiting = newest - (int(opened[1]["sequence"]) if opened else 0)
    is_due = waiting >= max(_VECTORS_TAIL, total // 20) if opened else total > EXACT_UP_TO
    if not total or not (is_due or force):
        return
    kind = kind_for(total, compact=compact)
    dimension = len(store.rows("SELECT vector FROM vectors LIMIT 1")[0][0]) // 4
    check_room(store.folder, store.name, total, dimension, compact=compact)
    grown = opened if opened and _can_grow(store, opened[1], kind) else None

    def fill(folder: Path) -> Mapping[str, Any]:
        before = VectorIndex.load(*grown) if grown else None
        span = (int(grown[1]["sequence"]) if grown else 0, newest)
        numbers, vectors = _gather(store, before, span, folder, dimension)
        asked = [] if encode is None or kind == "exact" else [text for _, text in own_sentences(store, _PROBES, seed=1)]
        probes = encode(asked) if encode is not None and asked else None
        index = VectorIndex.build(numbers, vectors, kind, before, probes, threads)
        return {**index.save(folder), "sequence": newest, "removed": int(grown[1]["removed"]) if grown else removed}

    make_generation(store, VECTORS, fill)


def _can_grow(store: CollectionStore, manifest: Mapping[str, Any], kind: Kind) -> bool:
    dead = len(_removed_since(store, int(manifest["removed"])))
    return bool(manifest["kind"] == kind and dead <= manifest["rows"] * _TOO_MANY_DEAD)


def _gather(
    store: CollectionStore, before: VectorIndex | None, span: tuple[int, int], folder: Path, dimension: int
) -> tuple[Numbers, Vectors]:
    """Write the vectors of `span` behind those of `before` into a file of `folder`; returns them mapped, with numbers.

    So a build needs the memory of the graph, not that of all vectors twice.
    """
    count = store.rows("SELECT count(*) FROM vectors WHERE sequence > ? AND sequence <= ?", span)[0][0]
    known = 0 if before is None else len(before)
    numbers = np.zeros(known + count, np.int64)
    shape = (known + count, dimension)
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", mode="w+", dtype=np.float32, shape=shape)
    if before is not None:
        numbers[:known], vectors[:known] = before.numbers, before.vectors
    for keys, batch in store.iter_vectors(span[0]):
        kept = keys[:, 0] <= span[1]
        end = known + int(kept.sum())
        numbers[known:end], vectors[known:end] = keys[kept, 1], batch[kept]
        known = end
    vectors.flush()
    let_go(vectors)
    return numbers, vectors


def _removed_since(store: CollectionStore, sequence: int) -> list[int]:
    return [int(row["chunk"]) for row in store.rows("SELECT chunk FROM removed WHERE sequence > ?", (sequence,))]


def _rows_between(store: CollectionStore, after: int, last: int) -> Iterator[Row]:
    documents = {row["id"]: int(row["number"]) for row in store.rows("SELECT id, number FROM documents")}
    for number, chunk in store.iter_chunks(after):
        if number <= last:
            yield number, documents[chunk.document_id], chunk


def _link_files(source: Path, target: Path) -> None:
    for path in source.iterdir():
        if path.name == MANIFEST or path.name.endswith(".lock"):
            continue
        try:
            # The lists are replaced by renaming, so that a link is as good as a copy.
            os.link(path, target / path.name)
        except OSError:
            shutil.copy2(path, target / path.name)
