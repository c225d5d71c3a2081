"""`python -m evaluation routing`: is the right mode chosen? Accuracy and confusion matrix; refits the router.

A case is a JSON object: `question`, `history` (user and assistant in turn), `collection`, `expected` mode. The folder
`cases/<collection>` beside this file, where there is one, is ingested for the run; else the user's own collection of
that name is searched. Cases with an even hash are for tuning, the others are kept aside. `--outsiders` asks questions
of public sets instead, which nobody wrote for the router; `--export` writes what people overruled as such a file.
"""

import argparse
import hashlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.config import Settings
from core.errors import CollectionNotFoundError
from core.types import CONCRETE_MODES, ConcreteMode, Message, Question, Retrieval, Scope
from evaluation.datasets import read_contexts, read_jsonl
from evaluation.figures import mean_with_interval
from evaluation.retrieval import cached_library, collection_of
from evaluation.routing_outsiders import ADAPTERS, further_requests, outsiders
from evaluation.routing_words import held_out_sounds, taught_texts
from orchestrator.build import REFITTED_WEIGHTS
from orchestrator.history import History, Overrule, open_history
from orchestrator.query_rewriter import search_text, standalone_query
from orchestrator.router import BUNDLED_WEIGHTS, Router, fit_weights, load_weights
from orchestrator.routing_signals import AdapterDomain, Probe, signals_of
from orchestrator.tool_words import BUNDLED as BUNDLED_WORDS
from orchestrator.tool_words import fit_tool_words, load_tool_words
from retrieval.embedder import open_embedder
from retrieval.library import Library

CASES = Path(__file__).parent / "cases"
TOOLS = ("calculator", "current_time", "add_to_date", "days_between", "convert_time", "ask_tables", "count_tokens")
CONSIDERED = 20
Half = Literal["all", "tuning", "kept"]
Sounds = Callable[[str], float]


@dataclass(frozen=True)
class RoutingCase:
    """A question and the mode that should answer it, with what the probe found in so many `milliseconds`."""

    question: Question
    expected: ConcreteMode
    probe: Probe
    milliseconds: float = 0.0
    kind: str = ""

    @property
    def is_kept(self) -> bool:
        """Whether the case is in the half that nothing is tuned on."""
        return is_kept_text(self.question.text)


def is_kept_text(text: str) -> bool:
    """Whether a question is in the half that nothing is tuned on, by its hash."""
    return hashlib.sha256(text.encode()).digest()[-1] % 2 == 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `python -m evaluation routing`."""
    parser.add_argument("--cases", type=Path, default=CASES / "routing.jsonl", metavar="FILE")
    parser.add_argument("--half", choices=["all", "tuning", "kept"], default="kept")
    parser.add_argument("--outsiders", action="store_true", help="questions of public sets in place of the cases")
    parser.add_argument("--refit", action="store_true", help="learn weights from the tuning half and your overrules")
    parser.add_argument("--export", type=Path, metavar="FILE", help="only write your overrules to this file of cases")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Route every case and count; returns the JSON object that is printed."""
    if options.export:
        return export(open_history(settings), options.export)
    weights = settings.paths.home / REFITTED_WEIGHTS
    with tempfile.TemporaryDirectory() as home:
        encoder = open_embedder(settings)
        library = Library(settings.model_copy(update={"home": Path(home)}), encoder)
        cases = _outsider_cases(settings) if options.outsiders else _own(options, settings, library)
    if options.refit:
        strangers: list[RoutingCase] = []
        sounds: Sounds = load_tool_words().sounds
        if (settings.eval_data / "classify").is_dir():
            sounds = refit_words(settings.eval_data)
            strangers = [one for one in _outsider_cases(settings, further=True) if not one.is_kept]
        told = open_history(settings).overrules()
        tuned = [one for one in cases if not one.is_kept] if not options.outsiders else []
        weights = refit([*tuned, *strangers], told, Library(settings, encoder), settings, sounds)
    router = Router(load_weights(weights) if weights.is_file() else None)
    half = options.half
    chosen = [case for case in cases if half == "all" or case.is_kept == (half == "kept")]
    result = {"half": half, "weights": weights.name if weights.is_file() else "bundled"} | measured(router, chosen)
    return {name: value for name, value in result.items() if not (options.outsiders and name == "milliseconds")}


def measured(
    router: Router, cases: Sequence[RoutingCase], clock: Callable[[], float] = time.perf_counter
) -> dict[str, Any]:
    """Accuracy, confusion, accuracy by kind of question, and the milliseconds from question to route without a vote."""
    routed, milliseconds = [], []
    for case in cases:
        started = clock()
        routed.append(router.route(case.question, case.probe).mode)
        milliseconds.append(case.milliseconds + 1000 * (clock() - started))
    right = [float(case.expected == mode) for case, mode in zip(cases, routed, strict=True)]
    kinds = {case.kind for case in cases if case.kind}
    by_kind = {
        kind: mean_with_interval([mark for mark, case in zip(right, cases, strict=True) if case.kind == kind])
        for kind in sorted(kinds)
    }
    quantiles = np.quantile(milliseconds or [0.0], [0.5, 0.95, 1.0])
    shown = dict(zip(("p50", "p95", "most"), (round(float(value), 2) for value in quantiles), strict=True))
    return {"milliseconds": shown} | confusion([case.expected for case in cases], routed) | {"by_kind": by_kind}


def confusion(expected: Sequence[ConcreteMode], routed: Sequence[ConcreteMode]) -> dict[str, Any]:
    """Accuracy in all and by mode, and `confusion[expected][routed]` in cases."""
    pairs = Counter(zip(expected, routed, strict=True))
    totals = Counter(expected)
    return {
        "accuracy": mean_with_interval([float(a == b) for a, b in zip(expected, routed, strict=True)]),
        "by_mode": {mode: round(pairs[mode, mode] / totals[mode], 4) for mode in CONCRETE_MODES if totals[mode]},
        "confusion": {mode: {other: pairs[mode, other] for other in CONCRETE_MODES} for mode in CONCRETE_MODES},
    }


def export(history: History, target: Path) -> dict[str, Any]:
    """Write the overruled routes as a file of cases; returns how many and where."""
    rows = [
        {"question": one.question, "history": list(one.history), "collection": one.collection, "expected": one.expected}
        for one in history.overrules()
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    target.write_text(text, encoding="utf-8")
    return {"written": str(target), "cases": len(rows)}


def refit(
    cases: Sequence[RoutingCase],
    told: Sequence[Overrule],
    own: Library,
    settings: Settings,
    sounds: Sounds | None = None,
) -> Path:
    """Learn anew from the tuning half and from what a person overruled, searched in their collections as they are now.

    `sounds` tells of a text how much it sounds like a request for a tool, without having been taught it.
    Returns the file that was written: the user's own weights; nothing being overruled, those of the program.
    """
    sounds = sounds or load_tool_words().sounds
    probes = [case for case in cases if not case.is_kept]
    tools, adapters = (probes[0].probe.tools, probes[0].probe.adapters) if probes else ((), ())
    rows = [
        (signals_of(case.question, case.probe) | {"tool_words": sounds(case.question.text)}, case.expected)
        for case in probes
    ]
    for one in told:
        question = Question(one.question, _history(one.history), scope=Scope(one.collection))
        rows.append((signals_of(question, Probe(found_in(own, question), tools, adapters)), one.expected))
    weights = fit_weights([row for row, _ in rows], [mode for _, mode in rows])
    target = settings.paths.home / REFITTED_WEIGHTS if told else BUNDLED_WEIGHTS
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(weights.as_json(), indent=1) + "\n", encoding="utf-8")
    return target


def refit_words(data: Path) -> Sounds:
    """Learn anew what requests for tools sound like, from the tuning half of public sets, into the program's file.

    Returns how a text sounds to a model that was not taught it.
    """
    requests, others = taught_texts(data, is_kept_text)
    words = fit_tool_words(requests, others)
    BUNDLED_WORDS.write_text(json.dumps(words.as_json(), indent=0) + "\n", encoding="utf-8")
    load_tool_words.cache_clear()
    return held_out_sounds(requests, others)


def found_in(library: Library, question: Question) -> Retrieval | None:
    """What a search brings; None where there is no such collection."""
    try:
        wanted = search_text(question.text, standalone_query(question))
        return library.searcher().retrieve(wanted, question.scope, CONSIDERED)
    except CollectionNotFoundError:
        return None


def _own(options: argparse.Namespace, settings: Settings, library: Library) -> list[RoutingCase]:
    """The cases of a file with their probes."""
    adapters = tuple(
        AdapterDomain(item["name"], item["task"], tuple(item["examples"]))
        for item in json.loads((CASES / "adapters.json").read_text(encoding="utf-8"))
    )
    rows = list(read_jsonl(options.cases))
    for collection in sorted({row.get("collection", "") for row in rows}):
        _ingest(library, collection)
    users = Library(settings, library.embedder)
    cases = []
    for row in rows:
        question = Question(row["question"], _history(row.get("history", ())), scope=Scope(row.get("collection", "")))
        searched = library if library.exists(question.scope.collection) else users
        cases.append(_probed(question, row["expected"], searched, adapters))
    return cases


def _outsider_cases(settings: Settings, further: bool = False) -> list[RoutingCase]:
    """The questions of strangers, with `further` many more requests of theirs, to tune by.

    The encoder's vectors are remembered, so that their milliseconds mean nothing.
    """
    library, folder = cached_library(settings), settings.eval_data / "qa"
    cases: list[RoutingCase] = []
    collections: dict[str, str] = {}
    asked = outsiders(settings.eval_data) + (further_requests(settings.eval_data) if further else [])
    for one in asked:
        if one.contexts not in collections:
            contexts = read_contexts(folder / f"{one.contexts}.contexts.jsonl")
            collections[one.contexts] = collection_of(library, contexts)
        question = Question(one.question, scope=Scope(collections[one.contexts]))
        cases.append(_probed(question, one.expected, library, ADAPTERS, one.kind))
    return cases


def _probed(
    question: Question,
    expected: ConcreteMode,
    library: Library,
    adapters: tuple[AdapterDomain, ...],
    kind: str = "",
) -> RoutingCase:
    started = time.perf_counter()
    probe = Probe(found_in(library, question), TOOLS, adapters)
    return RoutingCase(question, expected, probe, 1000 * (time.perf_counter() - started), kind)


def _ingest(library: Library, collection: str) -> None:
    from ingest.pipeline import IngestPipeline

    folder = CASES / collection
    if collection and folder.is_dir():
        for _ in IngestPipeline(library, library.settings).run([folder], collection):
            pass


def _history(texts: Sequence[str]) -> tuple[Message, ...]:
    return tuple(Message("assistant" if index % 2 else "user", text) for index, text in enumerate(texts))
