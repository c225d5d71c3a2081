"""The speed of ingest, in both profiles, beside the bare encoder and the plain recipe; and of a second run.

Seconds by the clock, and of the processors (parsers included): the latter say the same on a machine that others use.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from core.config import Settings
from core.errors import SettingError
from core.language import Bilingual
from core.types import Question, Scope
from evaluation.answer_events import read_answer
from inference.protocol import ChatEngine
from ingest.events import Embedded, Finished
from ingest.pipeline import IngestOptions, IngestPipeline
from ingest.plan import find_files
from orchestrator.build import build_assistant
from retrieval.embedder import SentenceEncoder, WholeModel, instant_of, open_embedder
from retrieval.library import Library
from retrieval.protocol import Embedder

_COLLECTION = "benchmark"
_ROUNDS = 3
# Long enough that it is not taken for a question.
_WARM = ["warm words " * 60] * 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("paths", nargs="+", type=Path, help="files and folders to ingest")
    parser.add_argument("--files", type=int, help="so many files, spread evenly")
    parser.add_argument(
        "--ask", default="", metavar="QUESTION", help="what is asked as soon as every file is searchable"
    )
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="each way in turn, so many times")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Ingest in both profiles, the bare encoder and the plain recipe in turn, each in a fresh collection.

    Models are loaded before, and what is made once for a machine is made before. Raises SettingError where there is
    no sentence encoder.
    """
    files = [file.path for file in find_files(options.paths)]
    if options.files:
        files = files[:: max(len(files) // options.files, 1)][: options.files]
    accurate = open_embedder(settings.model_copy(update={"encoder_profile": "accurate"}))
    if not isinstance(accurate, SentenceEncoder):
        raise SettingError(Bilingual("This needs a sentence encoder.", "此项需要句子编码器。"))
    accurate.choose_runtime()
    accurate.embed_documents(_WARM)
    instant = instant_of(accurate, settings)
    instant.table()
    plain = WholeModel(accurate.folder)
    plain.encode(_WARM)
    parts = _Parts(accurate, instant, plain, settings)
    answers = _first_answers(files, parts, options.ask, options.rounds) if options.ask else [{}] * options.rounds
    rounds = [{**_round(files, parts), **answer} for answer in answers]
    return {
        "benchmark": "ingest",
        "files": len(files),
        "megabytes": round(sum(file.stat().st_size for file in files) / 1e6, 2),
        "runtime": accurate.choose_runtime().name,
        "rounds": rounds,
        "embedding_against_encoder": _ratio(rounds, "embed_chunks_per_second", "encoder_chunks_per_second"),
        "whole_run_against_encoder": _ratio(rounds, "chunks_per_second", "encoder_chunks_per_second"),
        "everything_against_plain": _ratio(rounds, "seconds", "plain_seconds"),
        "instant_against_plain": _ratio(rounds, "instant_seconds", "plain_seconds"),
        **_answered(rounds, "seconds"),
        "searchable_against_plain": _ratio(rounds, "searchable_seconds", "plain_seconds"),
        "again_against_first": _ratio(rounds, "again_seconds", "seconds", 4),
        "processor": {
            "embedding_against_encoder": _ratio(rounds, "encoder_processor_seconds", "embed_processor_seconds"),
            **_answered(rounds, "processor_seconds"),
            "everything_against_plain": _ratio(rounds, "processor_seconds", "plain_processor_seconds"),
            "instant_against_plain": _ratio(rounds, "instant_processor_seconds", "plain_processor_seconds"),
            "whole_run_against_encoder": _ratio(rounds, "encoder_processor_seconds", "processor_seconds"),
            "again_against_first": _ratio(rounds, "again_processor_seconds", "processor_seconds", 4),
        },
    }


def _answered(rounds: Sequence[dict[str, float]], unit: str) -> dict[str, float]:
    """Nothing where nothing was asked."""
    answered = f"first_answer_{unit}"
    return {"first_answer_against_plain": _ratio(rounds, answered, f"plain_{unit}")} if answered in rounds[0] else {}


def _ratio(rounds: Sequence[dict[str, float]], over: str, under: str, digits: int = 3) -> float:
    return round(median(one[over] / one[under] for one in rounds), digits)


@dataclass
class _Meter:
    """Seconds by the clock and of the processors of what happens inside the block."""

    clock: float = 0.0
    processor: float = 0.0

    def __enter__(self) -> "_Meter":
        self.clock, self.processor = time.perf_counter(), _processor_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        self.clock = time.perf_counter() - self.clock
        self.processor = _processor_seconds() - self.processor


def _processor_seconds() -> float:
    """Of this process, of those it started and that ended, and of those that still run (the model's)."""
    own = psutil.Process()
    spent = own.cpu_times()
    living = [child.cpu_times() for child in own.children(recursive=True)]
    ended = spent.children_user + spent.children_system
    return float(spent.user + spent.system + ended + sum(one.user + one.system for one in living))


@dataclass(frozen=True)
class _Parts:
    """What every round uses, loaded before."""

    accurate: Embedder
    instant: Embedder
    plain: WholeModel
    settings: Settings

    def library(self, home: str, embedder: Embedder) -> Library:
        """An empty library."""
        return Library(self.settings.model_copy(update={"home": Path(home)}), embedder)


def _first_answers(files: Sequence[Path], parts: _Parts, question: str, rounds: int) -> list[dict[str, float]]:
    """Seconds from the first look at the folder to the end of an answer, vectors still to come, and its citations.

    The model is loaded, as the encoders are.
    """
    from inference.runtime import open_engine

    with closing(open_engine(parts.settings)) as engine:
        # The first question of a process bears the cost of waking up.
        asked_before = Question("What is a lantern?", mode="prompt")
        read_answer(build_assistant(parts.settings, engine).answer(asked_before))
        return [_first_answer(files, parts, engine, question) for _ in range(rounds)]


def _first_answer(files: Sequence[Path], parts: _Parts, engine: ChatEngine, question: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home, _Meter() as meter:
        library = parts.library(home, parts.accurate)
        _ingest(library, files, embed=False)
        assistant = build_assistant(library.settings, engine, library=library)
        end = read_answer(assistant.answer(Question(question, mode="rag", scope=Scope(_COLLECTION)))).end
    return {
        "first_answer_seconds": round(meter.clock, 3),
        "first_answer_processor_seconds": round(meter.processor, 2),
        "first_answer_citations": len(end.citations) if end is not None else 0,
    }


def _round(files: Sequence[Path], parts: _Parts) -> dict[str, float]:
    accurate, instant, plain = parts.accurate, parts.instant, parts.plain
    whole, again, quick, bare, recipe = (_Meter() for _ in range(5))
    with tempfile.TemporaryDirectory() as home:
        library = parts.library(home, accurate)
        with whole:
            first, embedding = _ingest(library, files)
        with library.reader(_COLLECTION) as store:
            texts = [chunk.embedded_text for _, chunk in store.iter_chunks()]
        with again:
            second, _ = _ingest(library, files)
    with tempfile.TemporaryDirectory() as home:
        fast = parts.library(home, instant)
        with quick:
            third, _ = _ingest(fast, files)
    with bare:
        accurate.embed_documents(texts)
    with recipe:
        pieces = _plain_recipe(files, plain)
    return {
        "chunks": first.chunks,
        "seconds": round(first.seconds, 2),
        "processor_seconds": round(whole.processor, 2),
        "searchable_seconds": round(first.searchable_seconds, 3),
        "chunks_per_second": round(first.chunks / first.seconds, 2),
        "embed_chunks_per_second": round(first.vectors / (first.seconds - first.searchable_seconds), 2),
        "embed_processor_seconds": round(embedding, 2),
        "encoder_chunks_per_second": round(len(texts) / bare.clock, 2),
        "encoder_processor_seconds": round(bare.processor, 2),
        "again_seconds": round(second.seconds, 4),
        "again_processor_seconds": round(again.processor, 4),
        "again_embedded": second.vectors - first.vectors,
        "instant_seconds": round(third.seconds, 3),
        "instant_processor_seconds": round(quick.processor, 3),
        "instant_vectors": third.vectors,
        "plain_chunks": pieces,
        "plain_seconds": round(recipe.clock, 2),
        "plain_processor_seconds": round(recipe.processor, 2),
    }


def _ingest(library: Library, files: Sequence[Path], embed: bool = True) -> tuple[Finished, float]:
    """Ingest; returns how it ended, and this process's own seconds of the processor from the last file on."""
    begun = ended = 0.0
    last = None
    for event in IngestPipeline(library, library.settings).run(files, _COLLECTION, IngestOptions(embed=embed)):
        if isinstance(event, Finished):
            last = event
        elif isinstance(event, Embedded):
            ended = time.process_time()
        else:
            begun = time.process_time()
    if last is None:
        raise RuntimeError("the ingest did not come to its end")
    return last, max(0.0, ended - begun)


def _plain_recipe(files: Sequence[Path], model: WholeModel) -> int:
    """What tutorials do: read as text, cut at 1,000 characters with 200 shared, encode; nothing is kept or checked.

    LangChain's embeddings class gives each text with blanks for its line ends to the library's `encode` and turns the
    vectors into lists. The time of an index is left out, which is to the recipe's advantage. Returns the pieces.
    """
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(chunk_size=1_000, chunk_overlap=200)
    texts = [piece for file in files for piece in splitter.split_text(file.read_text(encoding="utf-8"))]
    model.encode([text.replace("\n", " ") for text in texts]).tolist()
    return len(texts)
