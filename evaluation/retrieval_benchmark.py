"""`python -m evaluation benchmark retrieval --chunks N`: a collection of N chunks, built and searched as a user's is.

Real passages are multiplied up to N (`retrieval_corpus`), put into a collection, indexed, and asked by one thread
(`retrieval_speed`): each leg alone, raw FAISS with the same parameters beside ours, and the whole hybrid search.
`--keep FOLDER` keeps the collection, so that building and measuring can be done at different times.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from core.config import Settings
from evaluation.retrieval import cached_library
from evaluation.retrieval_alone import measure_alone
from evaluation.retrieval_corpus import fill, questions_about, real_passages
from evaluation.retrieval_speed import COLLECTION, Questions, encoded, measure_dense, measure_hybrid, measure_lexical
from retrieval.calibration import refresh_calibration
from retrieval.indexing import refresh_vectors, refresh_words
from retrieval.library import Library
from retrieval.store import CollectionStore
from retrieval.vector_index import kind_for

_LEGS: dict[str, Callable[[Library, Questions], dict[str, Any]]] = {
    "dense": measure_dense,
    "lexical": measure_lexical,
    "hybrid": measure_hybrid,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--collection", help="one of your collections, to be multiplied beside the sets")
    parser.add_argument("--sets", nargs="*", default=["clapnq", "xquad_en", "pubmedqa"], help="sets of qa/ to multiply")
    parser.add_argument("--queries", type=int, default=500, help="questions of the sets, and as many sentences")
    parser.add_argument("--compact", action="store_true", help="lists of bits in place of a graph")
    parser.add_argument("--alone", action="store_true", help="vectors without texts, for sizes whose texts do not fit")
    parser.add_argument("--threads", type=int, default=0, help="threads of the build; 0: all cores but one")
    parser.add_argument("--legs", nargs="*", choices=sorted(_LEGS), default=list(_LEGS))
    parser.add_argument("--keep", type=Path, help="folder in which the collection is built, and found again")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Build what is missing, then measure; returns the figures."""
    return measure(cached_library(settings), options, settings)


def measure(source: Library, options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """As `run`; `source` has the sets' passages, or gets them, and encodes."""
    if options.alone:
        return measure_alone(source, options, settings)
    with tempfile.TemporaryDirectory() as temporary:
        home = (options.keep or Path(temporary)).absolute()
        home.mkdir(parents=True, exist_ok=True)
        memory = "compact" if options.compact else settings.index_memory
        library = Library(settings.model_copy(update={"home": home, "index_memory": memory}), source.embedder)
        built = _build(library, source, options, settings)
        questions = encoded(library, json.loads((home / "questions.json").read_text(encoding="utf-8")))
        figures = {leg: _LEGS[leg](library, questions) for leg in options.legs}
    return {"evaluation": "benchmark retrieval", "chunks": options.chunks, "built": built, **figures}


def _build(library: Library, source: Library, options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Rows, words, vectors and calibration with the seconds of each; a step that an earlier run did is not repeated."""
    path = library.settings.home / "built.json"
    done: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    with CollectionStore(library.settings.paths.collection(COLLECTION), writable=True, name=COLLECTION) as store:
        store.bind(library.embedder.name, library.embedder.dimension)
        compact, encode = library.is_compact(options.chunks), library.embedder.embed_documents
        kind = kind_for(options.chunks, compact=compact)
        steps: dict[str, Callable[[], Any]] = {
            "rows": lambda: _fill(library, store, source, options, settings),
            "words": lambda: refresh_words(store, force=True),
            kind: lambda: refresh_vectors(store, compact=compact, force=True, encode=encode, threads=options.threads),
            "calibration": lambda: refresh_calibration(store, library.embedder, {}),
        }

        def do(name: str) -> None:
            if name not in done:
                # The thread's own seconds say the same on a machine that others use; what it starts is not in them.
                started, own = time.perf_counter(), time.thread_time()
                told = steps[name]() or {}
                seconds = {"seconds": time.perf_counter() - started, "own_thread_seconds": time.thread_time() - own}
                done[name] = {**told, **{key: round(value, 1) for key, value in seconds.items()}}
                path.write_text(json.dumps(done), encoding="utf-8")

        do("rows")
        # Words are Python's work and vectors FAISS's, outside Python's lock: each has a core.
        with ThreadPoolExecutor(1) as pool:
            words = pool.submit(do, "words")
            do(kind)
            words.result()
        do("calibration")
    return done


def _fill(
    library: Library, store: CollectionStore, source: Library, options: argparse.Namespace, settings: Settings
) -> dict[str, Any]:
    """Put the multiplied passages; questions of the sets and sentences of the passages are written beside."""
    real = real_passages(source, options, settings)
    texts = questions_about(real, options, settings)
    (library.settings.home / "questions.json").write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")
    fill(store, real, options.chunks)
    return {"real_passages": len(real)}
