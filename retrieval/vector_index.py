"""Vector search by FAISS. Scores are inner products of unit vectors.

Three kinds, by size: `exact` compares with all; `fine` walks a graph of 24 links over 8-bit codes; `lists` looks into
lists of bits (`retrieval.vector_lists`). Both compare the best again with the float vectors, which stay on the disk,
mapped into memory. How far a search goes is measured at the build. A search through a filter is exact in every kind.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.exact_index import exact_search
from retrieval.protocol import Vectors
from retrieval.system_memory import keep_in_large_pages, let_go
from retrieval.vector_lists import (
    DOUBLED,
    CodedRows,
    codes_of,
    grown_lists,
    mapped,
    parameters_of,
    probes_of,
    shortlist,
)

Kind = Literal["exact", "fine", "lists"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]

# Below this an exact search takes a few milliseconds and needs no build (70 queries a second at 100,000).
EXACT_UP_TO = 20_000
_LINKS, _EF_CONSTRUCTION = 24, 300
# Beyond so many vectors a graph is built with less care and walked further: a build is long enough as it is.
_LARGE, _EF_CONSTRUCTION_LARGE = 250_000, 100
# What is measured on a few hundred questions is a little more or less on others; the more so, the further a walk goes,
# which finds all of a question or nothing. Lists lose a passage here and there.
_MARGIN, _MARGIN_LARGE, _MARGIN_LISTS = 0.001, 0.006, 0.003
# Up to 2,048, each an eighth longer than the one before.
_EF_CHOICES = tuple(round(16 * 2 ** (step / 6)) for step in range(43))
# A graph brings this many times `top_k` from the codes before it compares exactly.
_RERANK = 2
# Of what lists bring, this many times `top_k` are compared exactly: the best by their codes.
_COMPARED = 4
# The walk is tuned for the ten nearest; whoever wants more, as a search by both legs does, walks this many times
# further than what is brought. All fifty candidates are then the nearest ones, but for one in some hundreds.
_WALK = 8
# Twice as many lists that bring less than this more are not worth it.
_FLAT = 0.001
# A search for more than ten is one by both legs, whose questions lie further off than a sentence: it looks into twice
# as many lists, and into more again for each fifty that are wanted.
_TEN, _WIDER, _USUAL = 10, 2, 50
# Rows that are compared with their codes at a time; a few arrays of so many are in memory.
_BATCH = 4_096
_LINK_BYTES = 4
_FILES: dict[Kind, str] = {"fine": "graph.faiss", "lists": "lists.faiss"}
# Codes that only a filter reads.
CODES_FILE = "codes.faiss"
TARGET_RECALL: dict[Kind, float] = {"exact": 1.0, "fine": 0.99, "lists": 0.99}


def kind_for(rows: int, *, compact: bool = False) -> Kind:
    """The kind of index for so many vectors."""
    if rows <= EXACT_UP_TO:
        return "exact"
    return "lists" if compact else "fine"


# Threads that wait for each other by spinning stall on a busy machine: one question is one thread's work. This sets the
# calling process's FAISS only.
faiss.omp_set_num_threads(1)


class VectorIndex:
    """Vectors by chunk number. Immutable after building; any number of threads may search."""

    def __init__(self, kind: Kind, numbers: Numbers, vectors: Vectors, inner: Any = None, codes: Any = None) -> None:
        """`inner` is FAISS's index, and `codes` the 8-bit codes for filters where the index has none itself."""
        self.kind: Kind = kind
        self.numbers = numbers
        # Without its wrapper a mapped array is read several times faster, row by row.
        self.vectors: Vectors = np.asarray(vectors)
        # How far a search goes: the walk in a graph (FAISS's efSearch), how many lists are looked into (its nprobe).
        self.ef_search = 64
        self.recall = 1.0
        # How far a score from the codes can be from the true one; 0 where scores are true.
        self.code_error = 0.0
        self._inner = inner
        self._walks: dict[int, Any] = {}
        self._codes: Any = codes
        self._coded = CodedRows(codes) if kind == "lists" else None
        if kind == "fine":
            storage: Any = _downcast(inner.storage)
            self._codes = storage
            keep_in_large_pages(int(storage.codes.data()), storage.codes.size())
            keep_in_large_pages(int(inner.hnsw.neighbors.data()), inner.hnsw.neighbors.size() * _LINK_BYTES)

    @classmethod
    def build(
        cls,
        numbers: Numbers,
        vectors: Vectors,
        kind: Kind,
        before: "VectorIndex | None" = None,
        probes: Vectors | None = None,
        threads: int = 0,
    ) -> "VectorIndex":
        """Index float32 (n, dimension) unit rows under `numbers` (n,), and tune it to its target recall.

        `vectors` may be mapped from a file. `before` is an index over the first rows of the same: it is grown instead
        of built anew. `probes` are questions to tune it by, float32 (q, dimension) unit rows. `threads` 0
        leaves one core to the rest of the machine.
        """
        if kind == "exact":
            return cls(kind, numbers, vectors)
        # An index is immutable: what grows is the copy that `before` read from the disk for this purpose.
        known = before._inner if before is not None and before.kind == kind else None
        faiss.omp_set_num_threads(threads or max(1, (os.cpu_count() or 1) - 1))
        inner = grown_lists(vectors, known) if kind == "lists" else _grown_graph(vectors, known)
        codes = codes_of(vectors, _ends_of_columns(vectors)) if kind == "lists" else None
        faiss.omp_set_num_threads(1)
        index = cls(kind, numbers, vectors, inner, codes)
        # Each step reads all vectors once; what is mapped need not stay in between.
        let_go(vectors)
        index.code_error = _largest_error(index._codes, vectors)
        let_go(vectors)
        index._tune(_mixed_pairs(vectors) if probes is None else probes)
        return index

    def __len__(self) -> int:
        return len(self.numbers)

    def search(self, queries: Vectors, top_k: int, allowed: Mask | None = None) -> tuple[Numbers, Vectors]:
        """Chunk numbers and scores, both (q, k), best first; -1 stands where a graph found fewer than k.

        `allowed` (n,) lets rows through, in the order of `numbers`; the answer is then exact, whatever the kind.
        """
        k = min(top_k, len(self) if allowed is None else int(allowed.sum()))
        if k == 0:
            return np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0), np.float32)
        if self._inner is None:
            rows, scores = exact_search(self.vectors, queries, k, allowed)
        elif allowed is None:
            rows, scores = self._walk(queries, k)
            found = self.numbers.take(rows)
            return found if (rows >= 0).all() else np.where(rows >= 0, found, -1), scores
        else:
            rows, scores = self._scan(queries, k, allowed)
        return self.numbers[rows], scores

    def walk_of(self, ef_search: int) -> Any:
        """FAISS's object for a walk of this length, made once: making it costs as much as looking at thirty vectors."""
        if ef_search not in self._walks:
            library: Any = faiss
            is_graph = self.kind == "fine"
            made = library.SearchParametersHNSW(efSearch=ef_search) if is_graph else parameters_of(ef_search)
            self._walks[ef_search] = made
        return self._walks[ef_search]

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the index into `folder`; returns what `load` and a reader of the manifest want to know."""
        np.save(folder / "numbers.npy", self.numbers)
        if not (folder / "vectors.npy").exists():
            np.save(folder / "vectors.npy", self.vectors)
        if self._inner is not None:
            faiss.write_index(self._inner, str(folder / _FILES[self.kind]))
        if self.kind == "lists":
            faiss.write_index(self._codes, str(folder / CODES_FILE))
        return {
            "kind": self.kind,
            "rows": len(self),
            "ef_search": self.ef_search,
            "recall_at_10": self.recall,
            "code_error": self.code_error,
        }

    @classmethod
    def load(cls, folder: Path, manifest: Mapping[str, Any]) -> "VectorIndex":
        """Open what `save` wrote. The caller has verified the checksums."""
        numbers = np.load(folder / "numbers.npy")
        kind: Kind = manifest["kind"]
        vectors = np.load(folder / "vectors.npy", mmap_mode=None if kind == "exact" else "r")
        inner = None if kind == "exact" else faiss.read_index(str(folder / _FILES[kind]))
        index = cls(kind, numbers, vectors, inner, mapped(folder / CODES_FILE) if kind == "lists" else None)
        index.ef_search = int(manifest["ef_search"])
        index.recall = float(manifest["recall_at_10"])
        # Two unit vectors are never further apart than 2: a manifest from before this was measured stays exact.
        index.code_error = float(manifest.get("code_error", 2.0))
        return index

    def _walk(self, queries: Vectors, k: int) -> tuple[Numbers, Vectors]:
        queries = np.ascontiguousarray(queries, np.float32)
        _, rows = raw_search(self, queries, k)
        if self._coded is not None:
            pairs = zip(queries, rows, strict=True)
            rows = np.stack([self._coded.best(query, line, k * _COMPARED) for query, line in pairs])
        if len(queries) == 1 and rows[0].min(initial=0) >= 0:
            return self._compare_one(queries[0], rows[0], k)
        return self._compare_again(queries, rows, k)

    def _compare_one(self, query: Vectors, rows: Numbers, k: int) -> tuple[Numbers, Vectors]:
        """As `_compare_again`, for the one question at a time that a person asks: a fourth of its time."""
        scores = self.vectors.take(rows, axis=0).dot(query)
        order = (-scores).argsort(kind="stable")[:k]
        return rows.take(order)[None], scores.take(order)[None]

    def _compare_again(self, queries: Vectors, rows: Numbers, k: int) -> tuple[Numbers, Vectors]:
        scores = np.matmul(self.vectors[rows], queries[:, :, None])[:, :, 0].astype(np.float32, copy=False)
        scores[rows < 0] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)

    def _scan(self, queries: Vectors, k: int, allowed: Mask) -> tuple[Numbers, Vectors]:
        """Compare with every row that is let through, question by question."""
        # A selector only points at the bits: they have to live as long as the scan.
        bits: Any = np.packbits(allowed, bitorder="little")
        library: Any = faiss
        parameters = library.SearchParameters(sel=library.IDSelectorBitmap(bits))
        found = [
            self._scan_one(queries[line : line + 1], k, int(allowed.sum()), parameters) for line in range(len(queries))
        ]
        return np.concatenate([rows for rows, _ in found]), np.concatenate([scores for _, scores in found])

    def _scan_one(self, query: Vectors, k: int, most: int, parameters: Any) -> tuple[Numbers, Vectors]:
        wanted = min(most, k * _RERANK)
        while True:
            coarse, rows = self._codes.search(np.ascontiguousarray(query, np.float32), wanted, params=parameters)
            best, scores = self._compare_again(query, rows, k)
            # What was not brought scores at most its code's score and the largest error of a code.
            if wanted == most or coarse[0, -1] + self.code_error < scores[0, -1]:
                return best, scores
            wanted = min(most, wanted * 4)

    def _tune(self, queries: Vectors) -> None:
        """Choose the shortest search that reaches the target recall on these questions."""
        _, truth = exact_search(self.vectors, queries, 10)
        margin = _MARGIN_LISTS if self.kind == "lists" else _MARGIN if len(self) <= _LARGE else _MARGIN_LARGE
        wanted = TARGET_RECALL[self.kind] + margin
        reached: list[tuple[float, int]] = []
        choices = self._choices()
        for self.ef_search in choices:
            _, found = self._walk(queries, truth.shape[1])
            self.recall = round(recall_of(found, truth), 4)
            reached.append((self.recall, self.ef_search))
            if self.recall >= wanted:
                return
            if self.kind == "lists" and len(reached) > DOUBLED and self.recall < reached[-1 - DOUBLED][0] + _FLAT:
                # What is missing is not in the lists that were left out: nothing is won by looking into more.
                self.recall, self.ef_search = next(pair for pair in reached if pair[0] > self.recall - _FLAT)
                return

    def _choices(self) -> Iterable[int]:
        if self.kind == "lists":
            return probes_of(self._inner)
        # No walk for ten is shorter.
        shortest = 10 * _RERANK * _WALK
        return (shortest, *(choice for choice in _EF_CHOICES if choice > shortest))


def _mixed_pairs(vectors: Vectors, sample: int = 256) -> Vectors:
    """Where no question is at hand, what lies between two passages: harder to find than what a person asks.

    The passages themselves, or with noise added, flatter a graph (evaluation/DECISIONS.md).
    """
    one, other = np.random.default_rng(0).integers(0, len(vectors), (2, sample))
    queries = vectors[one] + vectors[other]
    return np.asarray(queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-9), np.float32)


def recall_of(scores: Vectors, truth: Vectors) -> float:
    """The share of the found `scores` (q, k) that are as good as the k-th of `truth` (q, k).

    By scores, not by rows: of passages that say the same, one is as right as the other.
    """
    return float(np.mean(scores >= truth[:, -1:] - 1e-5))


def raw_search(index: VectorIndex, queries: Vectors, top_k: int) -> tuple[Vectors, Numbers]:
    """FAISS's own search, without our layer: scores and rows, as many as ours compares."""
    if index.kind == "lists":
        wanted, times = shortlist(top_k, len(index)), 1 if top_k <= _TEN else _WIDER * -(-top_k // _USUAL)
        walk = len(index) if top_k >= len(index) else index.ef_search * times
    else:
        wanted, walk = top_k * _RERANK, max(index.ef_search, top_k * _RERANK * _WALK)
    scores, rows = index._inner.search(queries, min(len(index), wanted), params=index.walk_of(walk))
    return scores, rows


def _downcast(storage: Any) -> Any:
    library: Any = faiss
    return library.downcast_index(storage)


def _grown_graph(vectors: Vectors, known: Any) -> Any:
    graph = _new_graph(vectors) if known is None else known
    if len(vectors) > graph.ntotal:
        # All at once, from the file: FAISS puts them in at random, and batches in the order of the documents make a
        # graph that has to be walked twice as far.
        graph.add(np.ascontiguousarray(vectors[graph.ntotal :]))
    return graph


def _new_graph(vectors: Vectors) -> Any:
    quantiser: Any = faiss.ScalarQuantizer.QT_8bit
    graph: Any = faiss.IndexHNSWSQ(vectors.shape[1], quantiser, _LINKS, faiss.METRIC_INNER_PRODUCT)
    # The codes of a column span what the column holds: its ends are all that training looks for, and all it is shown.
    graph.train(_ends_of_columns(vectors))
    graph.hnsw.efConstruction = _EF_CONSTRUCTION if len(vectors) <= _LARGE else _EF_CONSTRUCTION_LARGE
    return graph


def _ends_of_columns(vectors: Vectors) -> Vectors:
    """float32 (2, dimension): the least and the largest value of each column."""
    blocks = [vectors[start : start + _BATCH] for start in range(0, len(vectors), _BATCH)]
    least = np.min([block.min(axis=0) for block in blocks], axis=0)
    largest = np.max([block.max(axis=0) for block in blocks], axis=0)
    return np.ascontiguousarray(np.stack([least, largest]), np.float32)


def _largest_error(codes: Any, vectors: Vectors) -> float:
    """The longest difference between a vector and its code: no score of a unit question is further off."""
    largest = 0.0
    for start in range(0, len(vectors), _BATCH):
        rows = np.ascontiguousarray(vectors[start : start + _BATCH])
        difference = rows - codes.sa_decode(codes.sa_encode(rows))
        largest = max(largest, float(np.linalg.norm(difference, axis=1).max()))
    # A little more for the rounding of the sums themselves.
    return largest + 1e-5
