"""Does the search know when it has nothing? Answerable questions beside questions that the collection cannot answer."""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from core.config import Settings
from core.types import EvidenceLevel, Scope
from evaluation.datasets import read_contexts, read_questions
from evaluation.metrics import bootstrap_interval
from evaluation.retrieval import cached_library, collection_of
from retrieval.protocol import Searcher

LEVELS: tuple[EvidenceLevel, ...] = ("strong", "weak", "none")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this evaluation."""
    parser.add_argument("--contexts", type=Path, required=True, help="JSONL of contexts")
    parser.add_argument("--questions", type=Path, required=True, help="JSONL of questions that the contexts answer")
    parser.add_argument("--foreign", type=Path, nargs="+", required=True, help="JSONL of questions about other things")
    parser.add_argument("--limit", type=int, help="so many questions of each file, spread evenly")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Measure; the aim is `none` for few of the answerable, `none` or `weak` for most of the foreign."""
    library = cached_library(settings)
    scope = Scope(collection_of(library, read_contexts(options.contexts)))
    answerable = [
        question.text
        for question in read_questions(options.questions, options.limit)
        if question.context_ids and question.answerable
    ]
    foreign = [question.text for path in options.foreign for question in read_questions(path, options.limit)]
    searcher = library.searcher()
    return {
        "evaluation": "evidence",
        "contexts": str(options.contexts),
        "answerable": levels(searcher, answerable, scope),
        "foreign": levels(searcher, foreign, scope),
    }


def levels(searcher: Searcher, questions: Sequence[str], scope: Scope) -> dict[str, Any]:
    """The share of questions at each level, and the interval of the share that is not `strong`."""
    found = [searcher.retrieve(question, scope, 5).evidence for question in questions]
    counts = Counter(evidence.level for evidence in found)
    not_strong = [float(evidence.level != "strong") for evidence in found]
    return {
        "n": len(found),
        **{level: round(counts[level] / max(1, len(found)), 4) for level in LEVELS},
        "not_strong_interval": [round(bound, 4) for bound in bootstrap_interval(not_strong)],
        "mean_value": round(fmean([evidence.value for evidence in found] or [0.0]), 4),
    }
