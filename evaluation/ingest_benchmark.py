"""The speed of ingest beside the bare encoder, and of a second run over files that did not change."""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from core.config import Settings
from ingest.events import Finished
from ingest.pipeline import IngestOptions, IngestPipeline
from ingest.plan import find_files
from retrieval.embedder import open_embedder
from retrieval.library import Library
from retrieval.protocol import Embedder

_COLLECTION = "benchmark"
_ROUNDS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("paths", nargs="+", type=Path, help="files and folders to ingest")
    parser.add_argument("--files", type=int, help="so many files, spread evenly")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="ingest and bare encoder in turn, so many times")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Ingest, bare encoder and the plain recipe in turn, in fresh collections; then ingest of the same files again."""
    files = [file.path for file in find_files(options.paths)]
    if options.files:
        files = files[:: max(len(files) // options.files, 1)][: options.files]
    embedder = open_embedder(settings)
    embedder.embed_documents(["warm"] * 64)
    rounds = [_round(files, embedder, settings) for _ in range(options.rounds)]
    plain = [_plain_recipe(files, embedder) for _ in rounds]
    ratios = [ingest["embed_chunks_per_second"] / bare for ingest, bare in rounds]
    whole = [ingest["chunks_per_second"] / bare for ingest, bare in rounds]
    return {
        "benchmark": "ingest",
        "files": len(files),
        "rounds": [{**ingest, "encoder_chunks_per_second": round(bare, 2)} for ingest, bare in rounds],
        "embedding_against_encoder": round(median(ratios), 3),
        "whole_run_against_encoder": round(median(whole), 3),
        "plain_recipe": plain,
        "everything_against_plain": round(
            median(ours["seconds"] / other["seconds"] for (ours, _), other in zip(rounds, plain, strict=True)), 3
        ),
        "searchable_against_plain": round(
            median(
                ours["searchable_seconds"] / other["seconds"] for (ours, _), other in zip(rounds, plain, strict=True)
            ),
            3,
        ),
        "again_against_first": round(median(ingest["again_seconds"] / ingest["seconds"] for ingest, _ in rounds), 4),
    }


def _round(files: Sequence[Path], embedder: Embedder, settings: Settings) -> tuple[dict[str, Any], float]:
    with tempfile.TemporaryDirectory() as home:
        library = Library(settings.model_copy(update={"home": Path(home)}), embedder)
        first = _ingest(library, files)
        with library.reader(_COLLECTION) as store:
            texts = [chunk.embedded_text for _, chunk in store.iter_chunks()]
        bare = _bare_speed(embedder, texts)
        again = _ingest(library, files)
    embedding = first.seconds - first.searchable_seconds
    figures = {
        "chunks": first.chunks,
        "seconds": round(first.seconds, 2),
        "searchable_seconds": round(first.searchable_seconds, 2),
        "chunks_per_second": round(first.chunks / first.seconds, 2),
        "embed_chunks_per_second": round(first.vectors / embedding, 2),
        "again_seconds": round(again.seconds, 3),
        "again_embedded": again.vectors - first.vectors,
    }
    return figures, bare


def _ingest(library: Library, files: Sequence[Path]) -> Finished:
    events = list(IngestPipeline(library, library.settings).run(files, _COLLECTION, IngestOptions()))
    return next(event for event in events if isinstance(event, Finished))


def _plain_recipe(files: Sequence[Path], embedder: Embedder) -> dict[str, float]:
    """What tutorials do: read as text, cut at 1,000 characters with 200 shared, encode; nothing is kept or checked.

    The time of an index is left out, which is to its advantage.
    """
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    started = time.perf_counter()
    splitter = RecursiveCharacterTextSplitter(chunk_size=1_000, chunk_overlap=200)
    texts = [piece for file in files for piece in splitter.split_text(file.read_text(encoding="utf-8"))]
    embedder.embed_documents(texts)
    return {"chunks": len(texts), "seconds": round(time.perf_counter() - started, 2)}


def _bare_speed(embedder: Embedder, texts: Sequence[str]) -> float:
    """Chunks a second of one `encode` call over all texts: the library sorts by length itself."""
    started = time.perf_counter()
    embedder.embed_documents(texts)
    return len(texts) / (time.perf_counter() - started)
