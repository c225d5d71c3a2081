"""`python -m evaluation answers`: the assistant's answers to questions over all contexts of a set, in figures.

Passages are retrieved from all contexts, not given. F1, exact match and containment are taken over the answerable
questions, a refusal counting as wrong. A citation is right where its passage is a gold one.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from core.config import Settings
from core.types import AnswerOptions, Message, Question, Scope
from evaluation.answer_events import read_answer
from evaluation.datasets import ExamQuestion, read_contexts, read_questions
from evaluation.figures import mean_with_interval
from evaluation.metrics import bootstrap_interval, contained, exact_match, token_f1
from evaluation.retrieval import cached_library, collection_of
from orchestrator.assistant import Assistant
from orchestrator.events import AnswerCompleted, AnswerEvent
from orchestrator.modes.rag import NO_ADAPTER

REFUSED_SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
_CITATION = re.compile(r"\s*\[\d{1,3}\]")


@dataclass(frozen=True)
class Answered:
    """One question, as it was answered. `cited` and `sources` are ids of contexts; seconds are wall-clock."""

    id: str
    answerable: bool
    text: str
    kind: str
    f1: float
    exact: float
    contained: float
    cited: tuple[str, ...]
    gold: tuple[str, ...]
    supported: tuple[bool, ...]
    prompt_tokens: int
    completion_tokens: int
    confidence: float | None
    first_token_seconds: float
    total_seconds: float


def answer_all(
    assistant: Assistant, collection: str, questions: Iterable[ExamQuestion], extractive: bool
) -> Iterator[Answered]:
    """Ask every question in retrieval mode; yield each as it was answered."""
    options = AnswerOptions(extractive=extractive)
    scope = Scope(collection)
    for item in questions:
        yield _judged(item, assistant.answer(Question(item.text, _history(item), "rag", scope, options=options)))


def summary(answers: Sequence[Answered]) -> dict[str, Any]:
    """Every figure with its 95 % bootstrap interval."""
    asked = [answer for answer in answers if answer.answerable]
    others = [answer for answer in answers if not answer.answerable]
    given = [answer for answer in asked if answer.kind != "refusal"]
    cited = [float(uri in answer.gold) for answer in given for uri in answer.cited]
    held = [float(supported) for answer in given for supported in answer.supported]
    figures: dict[str, Sequence[float]] = {
        "f1": [answer.f1 for answer in asked],
        "exact_match": [answer.exact for answer in asked],
        "contained": [answer.contained for answer in asked],
        "refused_of_answerable": [float(answer.kind == "refusal") for answer in asked],
        "answered_of_unanswerable": [float(answer.kind != "refusal") for answer in others],
        "citation_precision": cited,
        "citation_recall": [float(bool(set(answer.cited) & set(answer.gold))) for answer in given],
        "citations_supported": held,
        "characters": [float(len(_CITATION.sub("", answer.text))) for answer in given],
        "completion_tokens": [float(answer.completion_tokens) for answer in answers],
        "prompt_tokens": [float(answer.prompt_tokens) for answer in answers],
        "first_token_seconds": [answer.first_token_seconds for answer in answers],
        "total_seconds": [answer.total_seconds for answer in answers],
    }
    answered = [_sureness(answer) for answer in asked], [_sureness(answer) for answer in others]
    kinds = {kind: sum(answer.kind == kind for answer in answers) for kind in sorted({a.kind for a in answers})}
    told = {name: mean_with_interval(values) for name, values in figures.items()}
    return {"questions": len(answers), "kinds": kinds} | told | ({"refusals": trade_off(*answered)} if others else {})


def trade_off(answerable: Sequence[float], unanswerable: Sequence[float]) -> dict[str, Any]:
    """What a threshold on the model's confidence can reach, and the area under the curve with its 95 % interval.

    For each share of the answerable that is refused: how many of the unanswerable are still answered.
    """
    thresholds = {share: float(np.quantile(answerable, share, method="lower")) for share in REFUSED_SHARES}
    curve = {
        f"refused {share:.0%}": {
            "refused_of_answerable": round(fmean(value < least for value in answerable), 4),
            "answered_of_unanswerable": round(fmean(value >= least for value in unanswerable), 4),
            "least_confidence": round(least, 4),
        }
        for share, least in thresholds.items()
    }
    wins = [fmean((one > other) + (one == other) / 2 for other in unanswerable) for one in answerable]
    low, high = bootstrap_interval(wins)
    return {"auc": [round(fmean(wins), 4), round(low, 4), round(high, 4)], "curve": curve}


def _sureness(answer: Answered) -> float:
    """The model's confidence; where it was not asked, 0 for a refusal and 1 for an answer."""
    if answer.confidence is not None:
        return answer.confidence
    return 0.0 if answer.kind in ("refusal", "failed") else 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `python -m evaluation answers`."""
    parser.add_argument("--contexts", type=Path, required=True, metavar="C.jsonl")
    parser.add_argument("--questions", type=Path, required=True, metavar="Q.jsonl")
    parser.add_argument("--limit", type=int, default=0, help="a fixed sample of so many questions; 0: all")
    parser.add_argument(
        "--extractive", action="store_true", help="answer in sentences of the passages, without a model"
    )
    parser.add_argument("--adapter", default="", help="`none`: the bare model; empty: the grounded one if it is there")
    parser.add_argument("--reporting", action="store_true", help="only the articles the bundled adapter never saw")
    parser.add_argument(
        "--half",
        choices=["all", "tuning", "kept"],
        default="all",
        help="by a hash of the ids: tune on one, report the other",
    )
    parser.add_argument("--details", type=Path, help="write every answer to this JSONL file")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Answer and measure; returns the JSON object that is printed."""
    from inference.runtime import open_engine
    from orchestrator.build import assistant_over

    library = cached_library(settings)
    collection = collection_of(library, read_contexts(options.contexts))
    engine = open_engine(settings)
    adapter = None if not options.adapter else "" if options.adapter == NO_ADAPTER else options.adapter
    assistant = assistant_over(settings, engine, library.searcher(), grounded=adapter)
    try:
        answers = _kept(answer_all(assistant, collection, _chosen(options), options.extractive), options.details)
    finally:
        engine.close()
    return {"questions_file": options.questions.name, "extractive": options.extractive} | summary(answers)


def _kept(answers: Iterable[Answered], details: Path | None) -> list[Answered]:
    """All of them; written to `details` one by one, so that a run that is cut short leaves what it has."""
    if details is None:
        return list(answers)
    kept = []
    with details.open("w", encoding="utf-8") as file:
        for answer in answers:
            file.write(json.dumps(asdict(answer), ensure_ascii=False) + "\n")
            file.flush()
            kept.append(answer)
    return kept


def is_kept(item: ExamQuestion) -> bool:
    """Whether a question is in the half that nothing is tuned on, by a hash of its id."""
    return hashlib.sha256(item.id.encode()).digest()[-1] % 2 == 1


def _chosen(options: argparse.Namespace) -> list[ExamQuestion]:
    from training.grounded import is_held_out

    kept = read_questions(options.questions)
    if options.reporting:
        titles = {passage.id: passage.title or passage.id for passage in read_contexts(options.contexts)}
        kept = [item for item in kept if item.context_ids and is_held_out(titles.get(item.context_ids[0], ""))]
    if options.half != "all":
        kept = [item for item in kept if is_kept(item) == (options.half == "kept")]
    limit = min(options.limit or len(kept), len(kept))
    return [kept[place * len(kept) // limit] for place in range(limit)]


def _history(item: ExamQuestion) -> tuple[Message, ...]:
    turns = item.fields.get("turns", ())[:-1]
    return tuple(Message("user" if turn["speaker"] == "user" else "assistant", turn["text"]) for turn in turns)


def _judged(item: ExamQuestion, events: Iterable[AnswerEvent]) -> Answered:
    """Collect the events of one answer and compare it with what was expected."""
    record = read_answer(events)
    if record.failure is not None:
        print(f"{item.id}: {record.failure.message.en}", file=sys.stderr)  # noqa: T201 a failed question is shown at once
    return _row(item, record.end, record.uris, record.prompt_tokens)


def _row(item: ExamQuestion, end: AnswerCompleted | None, uris: dict[int, str], tokens: int) -> Answered:
    refused = end is None or end.kind == "refusal"
    text = end.text if end is not None else ""
    said = "" if refused else _CITATION.sub("", text)
    citations = end.citations if end is not None else ()
    return Answered(
        id=item.id,
        answerable=item.answerable,
        text=text,
        kind=end.kind if end is not None else "failed",
        f1=token_f1(said, item.answers),
        exact=exact_match(said, item.answers),
        contained=contained(said, item.answers),
        cited=tuple(uris.get(citation.number, "") for citation in citations),
        gold=item.context_ids,
        supported=tuple(citation.supported for citation in citations),
        prompt_tokens=tokens,
        completion_tokens=end.usage.completion_tokens if end is not None else 0,
        confidence=end.confidence if end is not None else None,
        first_token_seconds=end.timings.first_token if end is not None else 0.0,
        total_seconds=end.timings.total if end is not None else 0.0,
    )
