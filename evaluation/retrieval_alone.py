"""An index of vectors alone, made and measured: for sizes whose texts would not fit the disk."""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from core.config import Settings
from evaluation.retrieval_corpus import (
    RealPassages,
    multiplied_documents,
    multiplied_vectors,
    questions_about,
    real_passages,
)
from evaluation.retrieval_speed import encoded, measure_index, memory_of_index
from retrieval.library import Library, compact_for
from retrieval.probing import middle_sentence
from retrieval.system_memory import let_go
from retrieval.vector_index import VectorIndex, kind_for

_BATCH = 50_000
# As many as a collection's own index is tuned by.
_PROBES = 400


def measure_alone(source: Library, options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Multiply the vectors into a file, index them as a collection's are, and measure the index."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        index = folder / "vectors"
        index.mkdir(exist_ok=True)
        if not (folder / "built.json").is_file():
            built = _build(index, source, options, settings)
            (folder / "built.json").write_text(json.dumps(built), encoding="utf-8")
        built = json.loads((folder / "built.json").read_text(encoding="utf-8"))
        library = Library(settings.model_copy(update={"home": folder}), source.embedder)
        questions = encoded(library, json.loads((folder / "questions.json").read_text(encoding="utf-8")))
        figures = {**measure_index(index, built["index"], questions), **memory_of_index(index, built["index"])}
    return {"evaluation": "benchmark retrieval", "chunks": options.chunks, "built": built, "dense": figures}


def _build(folder: Path, source: Library, options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    real, started = real_passages(source, options, settings), time.process_time()
    texts = questions_about(real, options, settings)
    (folder.parent / "questions.json").write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")
    probes = source.embedder.embed_documents(_own_sentences(real, options.chunks))
    if not (folder / "vectors.npy").is_file():
        _write_vectors(folder / "vectors.npy", real, options.chunks)
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    filled, wall = time.process_time(), time.perf_counter()
    memory = "compact" if options.compact else settings.index_memory
    kind = kind_for(options.chunks, compact=compact_for(memory, options.chunks, vectors.shape[1]))
    index = VectorIndex.build(np.arange(1, options.chunks + 1), vectors, kind, None, probes, options.threads)
    description = index.save(folder)
    seconds = {
        "vectors": round(filled - started, 1),
        "index": round(time.process_time() - filled, 1),
        "index_wall": round(time.perf_counter() - wall, 1),
    }
    return {"real_passages": len(real), "processor_seconds": seconds, "index": description}


def _write_vectors(path: Path, real: RealPassages, count: int) -> None:
    part, shape = path.with_name("part.npy"), (count, real.vectors.shape[1])
    vectors = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=shape)
    for start in range(0, count, _BATCH):
        numbers = np.arange(start, min(count, start + _BATCH))
        vectors[start : start + len(numbers)] = multiplied_vectors(real, numbers)
        # Written pages need not stay; the index reads the file.
        if start % (20 * _BATCH) == 0:
            vectors.flush()
            let_go(vectors)
    vectors.flush()
    part.rename(path)


def _own_sentences(real: RealPassages, count: int) -> list[str]:
    """Middle sentences of passages all over the multiplied ones, which no question of the measurement is taken from."""
    chosen = np.random.default_rng(1).choice(count, min(_PROBES, count), replace=False)
    found = [next(iter(multiplied_documents(real, int(number), int(number) + 1)))[1][0] for number in np.sort(chosen)]
    return [middle_sentence(chunk) for chunk in found]
