"""`python -m evaluation mtrag`: follow-ups of real conversations, searched with the rewrite and by the last turn alone.

Questions carry `turns`; the first turn of a conversation, and one to which no passage belongs, is passed over. The
difference is paired: the same turn, both ways.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from core.config import Settings
from core.types import Message, Question, Scope
from evaluation.datasets import ExamQuestion, read_contexts, read_questions
from evaluation.figures import mean_with_interval
from evaluation.metrics import hit, ndcg, recall
from evaluation.retrieval import cached_library, collection_of
from orchestrator.query_rewriter import search_text, standalone_query
from retrieval.fakes import HashEmbedder
from retrieval.library import Library
from retrieval.protocol import Searcher
from retrieval.retriever import HybridSearcher, Leg

K = 10
Measure = Callable[[Sequence[str], Sequence[str]], float]
MEASURES: dict[str, Measure] = {
    "ndcg@10": lambda ranking, relevant: ndcg(ranking, relevant, K),
    "recall@10": lambda ranking, relevant: recall(ranking, relevant, K),
    "hit@1": lambda ranking, relevant: hit(ranking, relevant, 1),
    "hit@5": lambda ranking, relevant: hit(ranking, relevant, 5),
}


@dataclass(frozen=True)
class Searched:
    """One later turn: what was asked, what was searched instead, and the ranking (uris) of each."""

    question: str
    rewritten: str
    alone: tuple[str, ...]
    with_rewrite: tuple[str, ...]
    relevant: tuple[str, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `python -m evaluation mtrag`."""
    parser.add_argument("--contexts", type=Path, required=True, metavar="C.jsonl")
    parser.add_argument("--questions", type=Path, required=True, metavar="Q.jsonl")
    parser.add_argument("--leg", choices=get_args(Leg), default="hybrid")
    parser.add_argument("--limit", type=int, default=0, help="a fixed sample of so many conversations; 0: all")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Search both ways and measure; returns the JSON object that is printed."""
    library = cached_library(settings)
    if options.leg == "lexical":
        # Keywords need no encoder, and embedding all contexts is most of the work.
        library = Library(library.settings, HashEmbedder())
    collection = collection_of(library, read_contexts(options.contexts))
    turns = later_turns(read_questions(options.questions, options.limit or None))
    searcher = HybridSearcher(library, options.leg, arranged=False)
    searched = [search_both(searcher, item, collection) for item in turns]
    return {"evaluation": "mtrag", "leg": options.leg} | summary(searched)


def later_turns(questions: Sequence[ExamQuestion]) -> list[ExamQuestion]:
    """Those with a question before them and passages that belong to them."""
    return [item for item in questions if len(item.fields.get("turns", ())) > 1 and item.context_ids]


def history_of(item: ExamQuestion) -> tuple[Message, ...]:
    """The turns before the last one."""
    turns = item.fields.get("turns", ())[:-1]
    return tuple(Message("user" if turn["speaker"] == "user" else "assistant", turn["text"]) for turn in turns)


def search_both(searcher: Searcher, item: ExamQuestion, collection: str) -> Searched:
    """Search for the last turn as it stands, and for what it is rewritten to."""
    rewritten = standalone_query(Question(item.text, history_of(item)))
    alone = _ranking(searcher, item.text, collection)
    other = alone if rewritten == item.text else _ranking(searcher, search_text(item.text, rewritten), collection)
    return Searched(item.text, rewritten, alone, other, item.context_ids)


def summary(searched: Sequence[Searched]) -> dict[str, Any]:
    """Each measure both ways and the paired difference, over all turns and over those that were rewritten."""
    changed = [one for one in searched if one.rewritten != one.question]
    return {"turns": len(searched), "all": _both(searched), "rewritten": _both(changed)}


def _both(searched: Sequence[Searched]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, measure in MEASURES.items():
        alone = [measure(one.alone, one.relevant) for one in searched]
        other = [measure(one.with_rewrite, one.relevant) for one in searched]
        found[name] = {
            "last_turn_alone": mean_with_interval(alone),
            "with_rewrite": mean_with_interval(other),
            "difference": mean_with_interval([b - a for a, b in zip(alone, other, strict=True)]),
        }
    return found


def _ranking(searcher: Searcher, text: str, collection: str) -> tuple[str, ...]:
    return tuple(scored.chunk.uri for scored in searcher.retrieve(text, Scope(collection), K).chunks)
