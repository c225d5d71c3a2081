"""How fast, how complete and how large a collection's search is: one thread, real questions, encoding not counted."""

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from core.config import Settings
from core.types import Scope
from evaluation.retrieval_corpus import geometry
from retrieval.exact_index import exact_search
from retrieval.fakes import HashEmbedder
from retrieval.generations import open_generation
from retrieval.legs import WORDS, open_vectors
from retrieval.lexical_index import parse_query
from retrieval.library import Library
from retrieval.protocol import Vectors
from retrieval.retriever import HybridSearcher
from retrieval.vector_index import CODES_FILE, VectorIndex, raw_search, recall_of

COLLECTION = "benchmark"
_TOP = 10


@dataclass(frozen=True)
class Questions:
    """Texts with float32 (n, dimension) unit vectors; `kinds` names the span of each kind: questions, sentences."""

    texts: tuple[str, ...]
    vectors: Vectors
    kinds: Mapping[str, slice]

    def __len__(self) -> int:
        return len(self.texts)


def encoded(library: Library, texts: Mapping[str, Sequence[str]]) -> Questions:
    """The texts of all kinds with their vectors, kept beside the collection after the first time."""
    flat = tuple(text for kind in texts for text in texts[kind])
    path = library.settings.home / "questions.npy"
    if not path.is_file():
        np.save(path, library.embedder.embed_documents(flat))
    kinds, start = {}, 0
    for kind, members in texts.items():
        kinds[kind] = slice(start, start + len(members))
        start += len(members)
    return Questions(flat, np.load(path), kinds)


def measure_dense(library: Library, questions: Questions) -> dict[str, Any]:
    """Vectors alone: the ten nearest, beside raw FAISS with the same parameters, and recall against comparing all."""
    with library.reader(COLLECTION) as store:
        opened = open_vectors(store)
    if opened is None:
        raise ValueError("the collection has no generation of vectors")
    return measure_index(*opened, questions)


def measure_index(folder: Path, description: Mapping[str, Any], questions: Questions) -> dict[str, Any]:
    """As `measure_dense`, of an index that lies in a folder."""
    index = VectorIndex.load(folder, description)
    truth = _truth(folder, index, questions.vectors)
    rows = [questions.vectors[place : place + 1] for place in range(len(questions))]
    ours = best_times(lambda place: index.search(rows[place], _TOP), len(rows))
    raw = ours if index.kind == "exact" else best_times(lambda place: raw_search(index, rows[place], _TOP), len(rows))
    found = np.concatenate([index.search(row, _TOP)[1] for row in rows])
    recall = {kind: round(recall_of(found[span], truth[span]), 4) for kind, span in questions.kinds.items()}
    manifest = {key: description[key] for key in ("kind", "rows", "ef_search", "recall_at_10")}
    files = sum(path.stat().st_size for path in folder.iterdir() if path.name not in ("vectors.npy", CODES_FILE))
    return {
        **manifest,
        "cosines": geometry(index.vectors),
        "recall_at_10_asked": recall,
        "bytes_per_chunk_graph": round(files / len(index)),
        "ours": speed(ours),
        "raw_faiss": speed(raw),
        "ours_over_raw": round(float(np.median(raw) / np.median(ours)), 3),
    }


def measure_lexical(library: Library, questions: Questions) -> dict[str, Any]:
    """Keywords alone: the candidates that the hybrid search asks for."""
    with library.reader(COLLECTION) as store:
        opened = open_generation(store, WORDS)
        view = library.view(COLLECTION)
    parsed = [parse_query(text) for text in questions.texts]
    wanted, alive = library.settings.candidates, view.alive()
    times = best_times(lambda place: view.lexical.search(parsed[place], wanted, alive), len(parsed))
    view.store.close()
    size = sum(path.stat().st_size for path in opened[0].iterdir()) if opened else 0
    by_kind = {kind: speed(times[span]) for kind, span in questions.kinds.items()}
    return {"bytes_per_chunk_files": round(size / view.searched), **speed(times), **by_kind}


def measure_hybrid(library: Library, questions: Questions) -> dict[str, Any]:
    """The whole search as the application does it, less the encoding; memory in a process that does nothing else."""
    by_text = dict(zip(questions.texts, questions.vectors, strict=True))
    searcher = HybridSearcher(Library(library.settings, _Encoded(by_text)))
    scope = Scope(COLLECTION)

    def search(place: int) -> Mapping[str, float]:
        return searcher.retrieve(questions.texts[place], scope, library.settings.top_k).milliseconds

    for place in range(len(questions)):
        search(place)
    steps = [search(place) for place in range(len(questions))]
    searcher.close()
    seconds = [(step["total"] - step["encode"]) / 1000 for step in steps]
    names = sorted({name for step in steps for name in step} - {"total", "encode"})
    parts = {name: round(float(np.quantile([step.get(name, 0.0) for step in steps], 0.95)), 3) for name in names}
    return {**speed(seconds), "p95_ms_of_steps": parts, **_memory(library)}


def best_times(work: Callable[[int], Any], count: int, rounds: int = 3) -> list[float]:
    """Seconds of each call, the best of some rounds over all: what others take of the machine is not the search's."""
    times = np.full(count, np.inf)
    for _ in range(rounds):
        for place in range(count):
            started = time.perf_counter()
            work(place)
            times[place] = min(times[place], time.perf_counter() - started)
    found: list[float] = times.tolist()
    return found


def speed(seconds: Sequence[float]) -> dict[str, float]:
    """Questions a second of one thread (by the mean and by the median) and milliseconds at three quantiles."""
    p50, p95, p99 = (round(float(value) * 1000, 3) for value in np.quantile(seconds, [0.5, 0.95, 0.99]))
    mean, median = round(1 / float(np.mean(seconds))), round(1 / float(np.median(seconds)))
    return {"per_second": mean, "per_second_median": median, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99}


def _truth(folder: Path, index: VectorIndex, vectors: Vectors) -> Vectors:
    """float32 (q, 10): the scores of the true nearest; kept, for comparing with all takes longer than the rest."""
    path = folder.parent / f"truth-{len(index)}-{len(vectors)}.npy"
    if not path.is_file():
        np.save(path, exact_search(index.vectors, vectors, _TOP)[1])
    return np.asarray(np.load(path), np.float32)


def _memory(library: Library) -> dict[str, float]:
    """Bytes for each chunk, measured in a fresh process before and after it opened the collection and searched."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        taken, chunks, seconds = pool.submit(_memory_of, library.settings, library.embedder.dimension).result()
    return {"bytes_per_chunk_memory": round(taken / max(1, chunks)), "seconds_to_open": round(seconds, 1)}


def memory_of_index(folder: Path, description: Mapping[str, Any]) -> dict[str, float]:
    """As `_memory`, of an index that lies in a folder."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        taken, seconds = pool.submit(_memory_of_index, folder, description).result()
    return {"bytes_per_chunk_memory": round(taken / description["rows"]), "seconds_to_open": round(seconds, 1)}


def _memory_of_index(folder: Path, description: Mapping[str, Any]) -> tuple[int, float]:
    before, started = _own_memory(), time.perf_counter()
    index = VectorIndex.load(folder, description)
    seconds = time.perf_counter() - started
    for row in range(0, len(index), max(1, len(index) // 20)):
        index.search(np.array(index.vectors[row : row + 1]), 50)
    return _own_memory() - before, seconds


def _memory_of(settings: Settings, dimension: int) -> tuple[int, int, float]:
    searcher = HybridSearcher(Library(settings, HashEmbedder(dimension)))
    before, started = _own_memory(), time.perf_counter()
    searched = searcher.retrieve("warm", Scope(COLLECTION), 5).searched
    seconds = time.perf_counter() - started
    for word in ("configuration of the collector", "如何配置集群", "what is a span", "升级步骤"):
        searcher.retrieve(word, Scope(COLLECTION), 5)
    taken = _own_memory() - before
    searcher.close()
    return taken, searched, seconds


def _own_memory() -> int:
    """Bytes that belong to this process alone; pages of mapped files are the system's to take back."""
    info = psutil.Process().memory_info()
    return int(info.rss - getattr(info, "shared", 0))


class _Encoded:
    """An encoder that knows some texts by heart."""

    name = "encoded"
    max_tokens = 256
    languages: tuple[str, ...] = ("en",)

    def __init__(self, vectors: Mapping[str, Vectors]) -> None:
        self._vectors = vectors
        self.dimension = len(next(iter(vectors.values())))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Words."""
        return [len(text.split()) for text in texts]

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """float32 (len(texts), dimension)."""
        return np.stack([self._vectors[text] for text in texts])

    def embed_query(self, text: str) -> Vectors:
        """float32 (dimension,)."""
        return self._vectors[text]
