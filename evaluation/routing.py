"""`python -m evaluation routing`: is the right mode chosen? Accuracy and confusion matrix; refits the router.

A case is a JSON object: `question`, `history` (user and assistant in turn), `collection`, `expected` mode. The folder
`cases/<collection>` beside this file, where there is one, is ingested for the run; else the user's own collection of
that name is searched. Cases with an even hash are for tuning, the others are kept aside.
"""

import argparse
import hashlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.config import Settings
from core.errors import CollectionNotFoundError
from core.types import CONCRETE_MODES, ConcreteMode, Message, Question, Retrieval, Scope
from evaluation.datasets import read_jsonl
from evaluation.figures import mean_with_interval
from orchestrator.build import REFITTED_WEIGHTS
from orchestrator.history import History
from orchestrator.query_rewriter import standalone_query
from orchestrator.router import BUNDLED_WEIGHTS, Router, fit_weights
from orchestrator.routing_signals import AdapterDomain, Probe, signals_of
from retrieval.embedder import open_embedder
from retrieval.library import Library

CASES = Path(__file__).parent / "cases"
TOOLS = ("calculator", "current_time", "add_to_date", "days_between", "convert_time", "ask_tables", "count_tokens")
CONSIDERED = 20
Half = Literal["all", "tuning", "kept"]


@dataclass(frozen=True)
class RoutingCase:
    """A question and the mode that should answer it, with what the probe found."""

    question: Question
    expected: ConcreteMode
    probe: Probe

    @property
    def is_kept(self) -> bool:
        """Whether the case is in the half that nothing is tuned on."""
        return hashlib.sha256(self.question.text.encode()).digest()[-1] % 2 == 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `python -m evaluation routing`."""
    parser.add_argument("--cases", type=Path, default=CASES / "routing.jsonl", metavar="FILE")
    parser.add_argument("--half", choices=["all", "tuning", "kept"], default="kept")
    parser.add_argument("--refit", action="store_true", help="learn weights from the tuning half and your overrules")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Route every case and count; returns the JSON object that is printed."""
    with tempfile.TemporaryDirectory() as home:
        cases, milliseconds = _read_cases(options.cases, settings, Path(home))
        if options.refit:
            _refit(cases, settings)
    router = Router()
    chosen = [case for case in cases if options.half == "all" or case.is_kept == (options.half == "kept")]
    modes = [router.route(case.question, case.probe).mode for case in chosen]
    return {"half": options.half, "milliseconds": round(float(np.median(milliseconds)), 2)} | confusion(
        [case.expected for case in chosen], modes
    )


def confusion(expected: Sequence[ConcreteMode], routed: Sequence[ConcreteMode]) -> dict[str, Any]:
    """Accuracy in all and by mode, and `confusion[expected][routed]` in cases."""
    pairs = Counter(zip(expected, routed, strict=True))
    totals = Counter(expected)
    return {
        "accuracy": mean_with_interval([float(a == b) for a, b in zip(expected, routed, strict=True)]),
        "by_mode": {mode: round(pairs[mode, mode] / totals[mode], 4) for mode in CONCRETE_MODES if totals[mode]},
        "confusion": {mode: {other: pairs[mode, other] for other in CONCRETE_MODES} for mode in CONCRETE_MODES},
    }


def _refit(cases: Sequence[RoutingCase], settings: Settings) -> None:
    """Learn anew. What a person overruled counts as a case, without its evidence: the documents may have changed."""
    told = [
        (signals_of(Question(item.question, _history(item.history)), Probe()), item.expected)
        for item in History(settings.paths.conversations_file).overrules()
    ]
    own = [(signals_of(case.question, case.probe), case.expected) for case in cases if not case.is_kept]
    weights = fit_weights([row for row, _ in (*own, *told)], [mode for _, mode in (*own, *told)])
    target = settings.paths.home / REFITTED_WEIGHTS if told else BUNDLED_WEIGHTS
    target.write_text(json.dumps(weights.as_json(), indent=1) + "\n", encoding="utf-8")


def _read_cases(path: Path, settings: Settings, home: Path) -> tuple[list[RoutingCase], list[float]]:
    """The cases with their probes, and the milliseconds that probe and signals took for each."""
    library = Library(settings.model_copy(update={"home": home}), open_embedder(settings))
    adapters = tuple(
        AdapterDomain(item["name"], item["task"], tuple(item["examples"]))
        for item in json.loads((CASES / "adapters.json").read_text(encoding="utf-8"))
    )
    rows = list(read_jsonl(path))
    for collection in sorted({row.get("collection", "") for row in rows}):
        _ingest(library, collection)
    own = Library(settings, library.embedder)
    cases, milliseconds = [], []
    for row in rows:
        question = Question(row["question"], _history(row.get("history", ())), scope=Scope(row.get("collection", "")))
        started = time.perf_counter()
        probe = Probe(_found(library, question) or _found(own, question), TOOLS, adapters)
        signals_of(question, probe)
        milliseconds.append(1000 * (time.perf_counter() - started))
        cases.append(RoutingCase(question, row["expected"], probe))
    return cases, milliseconds


def _ingest(library: Library, collection: str) -> None:
    from ingest.pipeline import IngestPipeline

    folder = CASES / collection
    if collection and folder.is_dir():
        for _ in IngestPipeline(library, library.settings).run([folder], collection):
            pass


def _found(library: Library, question: Question) -> Retrieval | None:
    try:
        return library.searcher().retrieve(standalone_query(question), question.scope, CONSIDERED)
    except CollectionNotFoundError:
        return None


def _history(texts: Sequence[str]) -> tuple[Message, ...]:
    return tuple(Message("assistant" if index % 2 else "user", text) for index, text in enumerate(texts))
