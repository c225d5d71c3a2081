"""Vector search by FAISS, which is imported here and nowhere else. Scores are inner products of unit vectors.

Three kinds, by size: `exact` compares with all; `hnsw` walks a graph over the float vectors; `compact` walks a graph
over 8-bit codes and compares the best again with the float vectors, which stay on the disk, mapped into memory.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.exact_index import exact_search
from retrieval.protocol import Vectors

Kind = Literal["exact", "hnsw", "compact"]
Numbers = NDArray[np.int64]

# Below this an exact search takes a few milliseconds and needs no build (70 queries a second at 100,000).
EXACT_UP_TO = 20_000
# A filter that lets fewer rows through than this is answered by comparing with each of them.
_SCAN_UP_TO = 50_000
_LINKS: dict[Kind, int] = {"hnsw": 32, "compact": 16}
_EF_CONSTRUCTION = 200
_EF_CHOICES = (32, 48, 64, 96, 128, 192, 256, 384, 512)
# The compact kind brings this many times `top_k` from the codes before it compares exactly.
_RERANK = 4
TARGET_RECALL: dict[Kind, float] = {"exact": 1.0, "hnsw": 0.99, "compact": 0.97}


def kind_for(rows: int, *, compact: bool = False) -> Kind:
    """The kind of index for so many vectors."""
    if rows <= EXACT_UP_TO:
        return "exact"
    return "compact" if compact else "hnsw"


# Threads that wait for each other by spinning stall on a busy machine: one question is one thread's work, and a build
# leaves a core to the rest. This sets the calling process's FAISS only.
_BUILD_THREADS = max(1, (os.cpu_count() or 1) - 1)
faiss.omp_set_num_threads(1)


class VectorIndex:
    """Vectors by chunk number. Immutable after building; any number of threads may search."""

    def __init__(self, kind: Kind, numbers: Numbers, vectors: Vectors, graph: Any = None, ef_search: int = 64) -> None:
        self.kind: Kind = kind
        self.numbers = numbers
        self.vectors = vectors
        self.ef_search = ef_search
        self.recall = 1.0
        self._graph = graph

    @classmethod
    def build(
        cls, numbers: Numbers, vectors: Vectors, kind: Kind, before: "VectorIndex | None" = None
    ) -> "VectorIndex":
        """Index float32 (n, dimension) unit rows under `numbers` (n,), and tune it to its target recall.

        `before` is an index over the first rows of the same: its graph is grown instead of built anew.
        """
        if kind == "exact":
            return cls(kind, numbers, vectors)
        # An index is immutable: what grows is the copy that `before` read from the disk for this purpose.
        graph = before._graph if before is not None and before.kind == kind else _new_graph(kind, vectors)
        faiss.omp_set_num_threads(_BUILD_THREADS)
        graph.add(np.ascontiguousarray(vectors[graph.ntotal :]))
        faiss.omp_set_num_threads(1)
        index = cls(kind, numbers, vectors, graph)
        index._tune()
        return index

    def __len__(self) -> int:
        return len(self.numbers)

    def search(self, queries: Vectors, top_k: int, allowed: NDArray[np.bool_] | None = None) -> tuple[Numbers, Vectors]:
        """Chunk numbers and scores, both (q, k), best first; -1 stands where a graph found fewer than k.

        `allowed` (n,) lets rows through, in the order of `numbers`.
        """
        k = min(top_k, len(self) if allowed is None else int(allowed.sum()))
        if k == 0:
            return np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0), np.float32)
        if allowed is not None and (self._graph is None or int(allowed.sum()) <= _SCAN_UP_TO):
            kept = np.flatnonzero(allowed)
            rows, scores = exact_search(self.vectors[kept], queries, k)
            return self.numbers[kept[rows]], scores
        rows, scores = self._rows(queries, k, allowed)
        return np.where(rows >= 0, self.numbers[rows], -1), scores

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the index into `folder`; returns what `load` and a reader of the manifest want to know."""
        np.save(folder / "numbers.npy", self.numbers)
        np.save(folder / "vectors.npy", self.vectors)
        if self._graph is not None:
            # The float vectors stand in vectors.npy already; a graph over them is written without.
            flags = faiss.IO_FLAG_SKIP_STORAGE if self.kind == "hnsw" else 0
            library: Any = faiss
            library.write_index(self._graph, str(folder / "graph.faiss"), flags)
        return {"kind": self.kind, "rows": len(self), "ef_search": self.ef_search, "recall_at_10": self.recall}

    @classmethod
    def load(cls, folder: Path, manifest: Mapping[str, Any]) -> "VectorIndex":
        """Open what `save` wrote. The caller has verified the checksums."""
        numbers = np.load(folder / "numbers.npy")
        kind: Kind = manifest["kind"]
        vectors = np.load(folder / "vectors.npy", mmap_mode=None if kind == "exact" else "r")
        graph = None if kind == "exact" else _read_graph(folder / "graph.faiss", kind, vectors)
        index = cls(kind, numbers, vectors, graph, int(manifest["ef_search"]))
        index.recall = float(manifest["recall_at_10"])
        return index

    def _rows(self, queries: Vectors, k: int, allowed: NDArray[np.bool_] | None) -> tuple[Numbers, Vectors]:
        if self._graph is None:
            return exact_search(self.vectors, queries, k)
        wanted = k if self.kind == "hnsw" else min(len(self), k * _RERANK)
        share = 1.0 if allowed is None else max(0.02, float(allowed.mean()))
        parameters = _parameters(int(max(self.ef_search, wanted) / share))
        if allowed is not None:
            bits: Any = np.packbits(allowed, bitorder="little")
            library: Any = faiss
            parameters.sel = library.IDSelectorBitmap(bits)
        scores, rows = self._graph.search(np.ascontiguousarray(queries, np.float32), wanted, params=parameters)
        return (rows, scores) if self.kind == "hnsw" else self._compare_again(queries, rows, k)

    def _compare_again(self, queries: Vectors, rows: Numbers, k: int) -> tuple[Numbers, Vectors]:
        scores = np.einsum("qd,qkd->qk", queries, self.vectors[rows]).astype(np.float32)
        scores[rows < 0] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)

    def _tune(self, sample: int = 256) -> None:
        """Choose the shortest search that reaches the target recall on questions made from the collection itself.

        A question lies between passages rather than on one: asking with the vectors themselves flattered the graph
        (recall 1.00 where real questions found 0.976), so two of them are mixed.
        """
        generator = np.random.default_rng(0)
        one, other = generator.integers(0, len(self), (2, sample))
        queries = self.vectors[one] + self.vectors[other]
        queries /= np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-9)
        truth, _ = exact_search(self.vectors, queries, 10)
        for self.ef_search in _EF_CHOICES:
            found, _ = self._rows(queries, 10, None)
            hits = [len(set(a) & set(b)) / len(a) for a, b in zip(truth.tolist(), found.tolist(), strict=True)]
            self.recall = round(float(np.mean(hits)), 4)
            if self.recall >= TARGET_RECALL[self.kind] + 0.002:
                return


def raw_search(index: VectorIndex, queries: Vectors, top_k: int) -> tuple[Vectors, Numbers]:
    """The graph's own search, without our layer: what the benchmark compares with."""
    parameters = _parameters(max(index.ef_search, top_k))
    scores, rows = index._graph.search(queries, top_k, params=parameters)
    return scores, rows


def _parameters(ef_search: int) -> Any:
    library: Any = faiss
    return library.SearchParametersHNSW(efSearch=ef_search)


def _new_graph(kind: Kind, vectors: Vectors) -> Any:
    dimension = vectors.shape[1]
    graph: Any
    if kind == "hnsw":
        graph = faiss.IndexHNSWFlat(dimension, _LINKS[kind], faiss.METRIC_INNER_PRODUCT)
    else:
        quantiser: Any = faiss.ScalarQuantizer.QT_8bit
        graph = faiss.IndexHNSWSQ(dimension, quantiser, _LINKS[kind], faiss.METRIC_INNER_PRODUCT)
        graph.train(np.ascontiguousarray(vectors[:: max(1, len(vectors) // 50_000)]))
    graph.hnsw.efConstruction = _EF_CONSTRUCTION
    return graph


def _read_graph(path: Path, kind: Kind, vectors: Vectors) -> Any:
    if kind == "compact":
        return faiss.read_index(str(path))
    graph: Any = faiss.read_index(str(path), faiss.IO_FLAG_SKIP_STORAGE)
    storage: Any = faiss.IndexFlatIP(vectors.shape[1])
    storage.add(np.ascontiguousarray(vectors))
    # The graph frees the storage with itself; Python lets go of it here, or it would be freed twice.
    storage.this.disown()
    graph.storage = storage
    graph.own_fields = True
    return graph
