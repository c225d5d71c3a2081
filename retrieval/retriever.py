"""The search: both legs, fused, with the evidence. First form: everything in memory."""

import threading
import time

import numpy as np

from core.types import Evidence, Retrieval, Scope, ScoredChunk
from retrieval.analysis import terms
from retrieval.exact_index import exact_search
from retrieval.lexical_index import LexicalIndex
from retrieval.library import Library
from retrieval.store import CollectionStore


class _View:
    """What a search reads of one collection, at one revision."""

    def __init__(self, store: CollectionStore) -> None:
        self.revision = store.revision()
        documents = {record.id: record for record in store.documents()}
        self.records = documents
        rows = list(store.iter_chunks())
        self.numbers = np.array([number for number, _ in rows], np.int64)
        self.chunks = dict(rows)
        self.lexical = LexicalIndex()
        self.lexical.add((number, documents[chunk.document_id].number, chunk) for number, chunk in rows)
        batches = list(store.iter_vectors())
        self.vector_numbers = np.concatenate([keys[:, 1] for keys, _ in batches]) if batches else np.zeros(0, np.int64)
        self.vectors = np.concatenate([vectors for _, vectors in batches]) if batches else np.zeros((0, 1), np.float32)


class HybridSearcher:
    """Searches the collections of a library. Thread-safe."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._stores: dict[str, CollectionStore] = {}
        self._views: dict[str, _View] = {}
        self._lock = threading.Lock()

    def retrieve(self, query: str, scope: Scope, top_k: int) -> Retrieval:
        """The best `top_k` chunks of `scope`, best first, with the evidence. Raises CollectionNotFoundError."""
        started = time.perf_counter()
        view = self._view(scope.collection)
        allowed = {record.id: record.number for record in view.records.values() if _lets_through(scope, record)}
        candidates = self._library.settings.candidates
        lexical = view.lexical.search(terms(query), candidates, sorted(allowed.values()) if scope.is_filtered else None)
        fused: dict[int, dict[str, float]] = {}
        for hit in lexical:
            fused.setdefault(hit.number, {})["lexical"] = hit.score
        for number, score in self._dense(view, query, candidates, set(allowed)):
            fused.setdefault(number, {})["dense"] = score
        scored = _fuse(fused)[:top_k]
        chunks = tuple(ScoredChunk(view.chunks[number], score, fused[number]) for number, score in scored)
        value = max((legs.get("dense", 0.0) for legs in fused.values()), default=0.0)
        level = "strong" if value > 0.45 or lexical else "weak" if chunks else "none"
        took = {"total": (time.perf_counter() - started) * 1000}
        return Retrieval(query, chunks, Evidence(level, min(1.0, value)), len(view.numbers), took)  # type: ignore[arg-type]

    def _view(self, collection: str) -> _View:
        with self._lock:
            store = self._stores.get(collection)
            if store is None or not store.folder.is_dir():
                store = self._stores[collection] = self._library.reader(collection)
                self._views.pop(collection, None)
            view = self._views.get(collection)
            if view is None or view.revision != store.revision():
                view = self._views[collection] = _View(store)
            return view

    def _dense(self, view: _View, query: str, top_k: int, allowed: set[str]) -> list[tuple[int, float]]:
        if not len(view.vectors):
            return []
        mask = np.array([view.chunks[int(number)].document_id in allowed for number in view.vector_numbers])
        rows, scores = exact_search(view.vectors, self._library.embedder.embed_query(query)[None], top_k, mask)
        return [(int(view.vector_numbers[row]), float(score)) for row, score in zip(rows[0], scores[0], strict=True)]


def _fuse(legs: dict[int, dict[str, float]]) -> list[tuple[int, float]]:
    best = {
        name: max((row.get(name, 0.0) for row in legs.values()), default=0.0) or 1.0 for name in ("dense", "lexical")
    }
    scores = {number: sum(row.get(name, 0.0) / best[name] for name in best) / 2 for number, row in legs.items()}
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def _lets_through(scope: Scope, record: object) -> bool:
    from retrieval.scope import lets_through

    return lets_through(scope, record)  # type: ignore[arg-type]
