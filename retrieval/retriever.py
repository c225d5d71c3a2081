"""The search: both legs, fused by how far each is trusted, arranged, with the evidence that an answer is there."""

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from core.types import EMBEDDED_SHARE, Evidence, Retrieval, Scope, ScoredChunk
from retrieval.arrangement import join_neighbours, without_duplicates
from retrieval.calibration import load_calibration, signals, trust_for
from retrieval.evidence import Calibration, judge
from retrieval.fusion import Fused, fuse
from retrieval.legs import DenseHit
from retrieval.lexical_index import LexicalHit, LexicalQuery, parse_query
from retrieval.protocol import Reranker, Vectors
from retrieval.reranker import reranked
from retrieval.view import CollectionView

if TYPE_CHECKING:
    from retrieval.library import Library

Leg = Literal["dense", "lexical", "hybrid"]
# More candidates than passages are wanted, so that duplicates can be dropped and neighbours joined.
_SPARE = 2


@dataclass(frozen=True)
class _Asked:
    """A question as both legs see it."""

    text: str
    words: LexicalQuery
    vector: Vectors


@dataclass(frozen=True)
class _Found:
    """The candidates of each leg, best first; empty for a leg that is left out."""

    dense: list[DenseHit]
    lexical: list[LexicalHit]


class HybridSearcher:
    """Searches the collections of a library. Thread-safe; opens a collection at its first question."""

    def __init__(
        self, library: "Library", leg: Leg = "hybrid", *, arranged: bool = True, reranker: Reranker | None = None
    ) -> None:
        """`leg` alone searches in place of both; `arranged` false leaves duplicates and neighbours as they are.

        `reranker` looks again at the best passages. None is the default: a cheap one behind a good first stage has
        made results worse elsewhere, so it has to prove its gain by `python -m evaluation retrieval` first.
        """
        self._reranker = reranker
        self._library = library
        self._leg = leg
        self._arranged = arranged
        self._views: dict[str, CollectionView] = {}
        self._lock = threading.Lock()

    def retrieve(self, query: str, scope: Scope, top_k: int) -> Retrieval:
        """The best `top_k` chunks of `scope`, best first, with the evidence. Raises CollectionNotFoundError."""
        clock = _Clock()
        with clock.measure("open"):
            view = self._view(scope.collection)
            calibration = load_calibration(view.store)
        with clock.measure("encode"):
            asked = self._asked(view, query)
        with view.lock:
            view.refresh()
            found = self._candidates(view, asked, scope, clock)
            fused, evidence = self._fuse(view, calibration, asked, found)
            searched = view.searched
        with clock.measure("load"):
            chunks = self._load(view, query, fused, top_k, clock)
        return Retrieval(query, tuple(chunks), evidence, searched, clock.milliseconds())

    def search_legs(self, query: str, scope: Scope, top_k: int) -> dict[str, tuple[ScoredChunk, ...]]:
        """What each leg alone finds, best first, with its own scores: to see why a passage has its rank."""
        view = self._view(scope.collection)
        asked = self._asked(view, query)
        with view.lock:
            view.refresh()
            found = self._candidates(view, asked, scope, _Clock())
        return {
            "dense": _alone("dense", view, found.dense[:top_k]),
            "lexical": _alone("lexical", view, found.lexical[:top_k]),
        }

    def _asked(self, view: CollectionView, query: str) -> _Asked:
        return _Asked(query, parse_query(query), self._library.embedder_of(view.store).embed_query(query))

    def _candidates(self, view: CollectionView, asked: _Asked, scope: Scope, clock: "_Clock") -> _Found:
        alive, documents = view.chosen(scope)
        wanted = self._library.settings.candidates
        found = _Found([], [])
        if self._leg != "lexical":
            with clock.measure("dense"):
                found.dense.extend(view.dense.search(asked.vector, wanted, alive, documents))
        if self._leg != "dense":
            with clock.measure("lexical"):
                found.lexical.extend(view.lexical.search(asked.words, wanted, alive, documents))
        return found

    def _fuse(
        self, view: CollectionView, calibration: Calibration, asked: _Asked, found: _Found
    ) -> tuple[list[Fused], Evidence]:
        dense, lexical = found.dense, found.lexical
        trust, language = trust_for(calibration, self._library.embedder_of(view.store), asked.text)
        pending = view.dense.without_vector(hit.number for hit in lexical) if self._leg == "hybrid" else ()
        fused = fuse(dense, lexical, trust, pending)
        if not fused:
            return [], Evidence("none", 0.0)
        tops = (dense[0].score if dense else 0.0, lexical[0].score if lexical else 0.0)
        reached = signals(view, asked.words, asked.vector, tops, trust)
        evidence = judge(reached, calibration.background(language))
        return fused, self._with_backlog(view, evidence, pending) if pending else evidence

    def _with_backlog(self, view: CollectionView, evidence: Evidence, pending: Collection[int]) -> Evidence:
        """Say how much of the collection has vectors yet, and ask for those that this question missed."""
        name = view.store.name
        self._library.asked_for.extend((name, number) for number in pending)
        return replace(evidence, signals={**evidence.signals, EMBEDDED_SHARE: round(view.embedded_share(), 4)})

    def _load(
        self, view: CollectionView, query: str, fused: list[Fused], top_k: int, clock: "_Clock"
    ) -> list[ScoredChunk]:
        wanted = fused[: top_k * _SPARE + 2]
        chunks = view.store.chunks_by_number([hit.number for hit in wanted])
        # A chunk that was removed a moment ago is gone, also from this answer.
        scored = [
            ScoredChunk(chunks[hit.number], hit.score, hit.legs, hit.ranks, hit.shares)
            for hit in wanted
            if hit.number in chunks
        ]
        if self._reranker is not None:
            with clock.measure("rerank"):
                scored = reranked(self._reranker, query, scored)
        if not self._arranged:
            return scored[:top_k]
        return join_neighbours(view.store, without_duplicates(scored, top_k * _SPARE))[:top_k]

    def _view(self, collection: str) -> CollectionView:
        with self._lock:
            view = self._views.get(collection)
            if view is not None and view.is_current_file():
                return view
            if view is not None:
                view.store.close()
            self._views.pop(collection, None)
            view = self._views[collection] = self._library.view(collection)
            return view

    def close(self) -> None:
        """Close the collections that were opened."""
        with self._lock:
            for view in self._views.values():
                view.store.close()
            self._views.clear()


def _alone(leg: str, view: CollectionView, hits: Sequence[DenseHit | LexicalHit]) -> tuple[ScoredChunk, ...]:
    chunks = view.store.chunks_by_number([hit.number for hit in hits])
    return tuple(
        ScoredChunk(chunks[hit.number], hit.score, {leg: hit.score}, {leg: rank})
        for rank, hit in enumerate(hits, start=1)
        if hit.number in chunks
    )


class _Clock:
    """Milliseconds by step."""

    def __init__(self) -> None:
        self._steps: dict[str, float] = {}
        self._started = time.perf_counter()

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._steps[step] = (time.perf_counter() - started) * 1000

    def milliseconds(self) -> dict[str, float]:
        total = (time.perf_counter() - self._started) * 1000
        return {name: round(value, 3) for name, value in {**self._steps, "total": total}.items()}
