"""`python -m evaluation benchmark retrieval --chunks N`: speed, memory and recall, beside raw FAISS in the same run.

Real passages with their real vectors are multiplied up to N: each copy of a passage gets the words of another one mixed
in and its vector drawn a little towards that one's, so that copies are neither equal nor random.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from core.config import Settings
from core.types import Chunk
from evaluation.datasets import read_contexts, read_questions
from evaluation.retrieval import CachedEmbedder, cached_library, collection_of
from retrieval.exact_index import exact_search
from retrieval.lexical_index import LexicalIndex, parse_query
from retrieval.protocol import Vectors
from retrieval.vector_index import VectorIndex, kind_for, raw_search


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--sets", nargs="+", default=["clapnq", "xquad_en", "pubmedqa"], help="sets of qa/ to multiply")
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--compact", action="store_true", help="8-bit codes in memory")
    parser.add_argument("--legs", nargs="+", choices=("dense", "lexical"), default=["dense", "lexical"])


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Build both indexes over N chunks and ask the sets' own questions."""
    texts, vectors, questions, asked = _real_data(options, settings)
    generator = np.random.default_rng(0)
    partner = generator.integers(0, len(texts), options.chunks)
    own = np.arange(options.chunks) % len(texts)
    result: dict[str, Any] = {
        "evaluation": "benchmark retrieval",
        "chunks": options.chunks,
        "real_passages": len(texts),
    }
    if "dense" in options.legs:
        result["dense"] = _dense(_multiplied(vectors, own, partner, generator), asked, compact=options.compact)
    if "lexical" in options.legs:
        result["lexical"] = _lexical(texts, own, partner, questions)
    return result


def _real_data(options: argparse.Namespace, settings: Settings) -> tuple[list[str], Vectors, list[str], Vectors]:
    library = cached_library(settings)
    texts: list[str] = []
    vectors: list[Vectors] = []
    questions: list[str] = []
    for name in options.sets:
        folder = settings.eval_data / "qa"
        with library.reader(collection_of(library, read_contexts(folder / f"{name}.contexts.jsonl"))) as store:
            chunks = dict(store.iter_chunks())
            for keys, batch in store.iter_vectors():
                texts.extend(chunks[int(number)].text for number in keys[:, 1])
                vectors.append(batch)
        questions.extend(question.text for question in read_questions(folder / f"{name}.dev.jsonl"))
    step = max(1, len(questions) // options.queries)
    chosen = questions[::step][: options.queries]
    embedder = CachedEmbedder(library.embedder, library.settings.home)
    return texts, np.concatenate(vectors), chosen, np.stack([embedder.embed_query(text) for text in chosen])


def _multiplied(vectors: Vectors, own: Any, partner: Any, generator: np.random.Generator) -> Vectors:
    share = generator.uniform(0.1, 0.5, (len(own), 1)).astype(np.float32)
    mixed = (1 - share) * vectors[own] + share * vectors[partner]
    mixed += generator.normal(scale=0.01, size=mixed.shape).astype(np.float32)
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)


def _dense(vectors: Vectors, asked: Vectors, *, compact: bool) -> dict[str, Any]:
    numbers = np.arange(len(vectors), dtype=np.int64)
    kind = kind_for(len(vectors), compact=compact)
    built, seconds = _timed(lambda: VectorIndex.build(numbers, vectors, kind))
    truth, _ = exact_search(vectors, asked, 10)
    with tempfile.TemporaryDirectory() as folder:
        manifest = built.save(Path(folder))
        size = sum(path.stat().st_size for path in Path(folder).glob("graph.faiss"))
        del built
        before = _own_memory()
        index = VectorIndex.load(Path(folder), manifest)
        memory = _own_memory() - before
        found, _ = index.search(asked, 10)
        ours = _latencies(lambda row: index.search(asked[row : row + 1], 10), len(asked))
        raw = (
            _latencies(lambda row: raw_search(index, asked[row : row + 1], 10), len(asked)) if kind != "exact" else ours
        )
    hits = [len(set(a) & set(b)) / 10 for a, b in zip(truth.tolist(), found.tolist(), strict=True)]
    return {
        "kind": kind,
        "build_seconds": round(seconds, 1),
        "ef_search": index.ef_search,
        "recall_at_10_manifest": index.recall,
        "recall_at_10_questions": round(float(np.mean(hits)), 4),
        "bytes_per_chunk_graph_file": round(size / len(vectors)),
        "bytes_per_chunk_memory": round(memory / len(vectors)),
        "ours": _speed(ours),
        "raw_faiss": _speed(raw),
        "ours_over_raw": round(float(np.median(raw) / np.median(ours)), 3),
    }


def _lexical(texts: Sequence[str], own: Any, partner: Any, questions: Sequence[str]) -> dict[str, Any]:
    halves = [(text[: len(text) // 2], text[len(text) // 2 :]) for text in texts]
    rows = (
        (number, number // 20, Chunk("", "", halves[a][0] + " " + halves[b][1], 0, 0, 0))
        for number, (a, b) in enumerate(zip(own.tolist(), partner.tolist(), strict=True), start=1)
    )
    parsed = [parse_query(question) for question in questions]
    with tempfile.TemporaryDirectory() as folder:
        index = LexicalIndex(Path(folder))
        _, seconds = _timed(lambda: index.update(rows))
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        times = _latencies(lambda row: index.search(parsed[row], 50), len(parsed))
    return {"build_seconds": round(seconds, 1), "bytes_per_chunk_file": round(size / len(own)), **_speed(times)}


def _own_memory() -> int:
    """Bytes that belong to this process alone; pages of mapped files are the system's to take back."""
    info = psutil.Process().memory_info()
    return int(info.rss - getattr(info, "shared", 0))


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def _latencies(work: Callable[[int], Any], count: int) -> list[float]:
    """Seconds of each call, after every call was made once: the first ones read the disk."""
    for row in range(count):
        work(row)
    return [_timed(lambda row=row: work(row))[1] for row in range(count)]  # type: ignore[misc]


def _speed(seconds: Sequence[float]) -> dict[str, float]:
    p50, p95, p99 = (round(float(value) * 1000, 3) for value in np.quantile(seconds, [0.5, 0.95, 0.99]))
    # The median, not the mean: one call that another process interrupts costs as much as a thousand others.
    return {"queries_per_second": round(1 / float(np.median(seconds))), "p50_ms": p50, "p95_ms": p95, "p99_ms": p99}
