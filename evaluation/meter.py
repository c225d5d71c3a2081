"""`python -m evaluation meter`: the grounding meter of true answers against that of answers to foreign passages.

Each answer is scored twice: under its own context among others of the set, and under foreign contexts only. The
figure is the area under the curve: how often the true one of a random pair has the higher meter.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.config import Settings
from core.grounded_prompt import INSTRUCTION, NumberedPassage, grounded_parts
from core.language import language_of, sentence_spans
from core.types import Timings, Usage
from evaluation.datasets import ExamQuestion, Passage, read_contexts, read_questions
from evaluation.metrics import bootstrap_interval
from inference.protocol import ChatEngine
from orchestrator.context import Draft, Piece, assemble, draft
from orchestrator.events import AnswerCompleted
from orchestrator.grounding import GroundingScorer

# As many as a small model reads.
N_PASSAGES = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `python -m evaluation meter`."""
    parser.add_argument("--contexts", type=Path, required=True, metavar="C.jsonl")
    parser.add_argument("--questions", type=Path, required=True, metavar="Q.jsonl")
    parser.add_argument("--limit", type=int, default=60, help="so many questions, spread evenly")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Score and compare; returns the JSON object that is printed."""
    from inference.runtime import open_engine

    contexts = {passage.id: passage for passage in read_contexts(options.contexts)}
    questions = [item for item in read_questions(options.questions, options.limit) if item.answers and item.context_ids]
    engine = open_engine(settings)
    try:
        pairs = [meters(engine, item, contexts) for item in questions]
    finally:
        engine.close()
    true, foreign = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    wins = [float(np.mean([one > other for other in foreign])) for one in true]
    low, high = bootstrap_interval(wins)
    return {
        "questions": len(pairs),
        "auc": round(area_under_curve(true, foreign), 4),
        "auc_interval": [round(low, 4), round(high, 4)],
        "nats_per_token_true": round(float(np.median(true)), 4),
        "nats_per_token_foreign": round(float(np.median(foreign)), 4),
    }


def meters(engine: ChatEngine, item: ExamQuestion, contexts: dict[str, Passage]) -> tuple[float, float]:
    """Nats per token of the answering sentence with its own context beside another, and with two others."""
    own = contexts[item.context_ids[0]]
    ids = sorted(contexts)
    place = ids.index(own.id)
    # Half-way round the set stand other articles, so that foreign passages are foreign.
    others = [contexts[ids[(place + len(ids) // 2 + step) % len(ids)]] for step in range(N_PASSAGES)]
    answer = answering_sentence(own.text, item.answers[0])
    return _meter(engine, item.text, [own, *others[1:]], answer), _meter(engine, item.text, others, answer)


def answering_sentence(text: str, answer: str) -> str:
    """The sentence of `text` that holds `answer`, or the answer itself."""
    sentences = (text[start:end] for start, end in sentence_spans(text))
    return next((re.sub(r"\s+", " ", sentence) for sentence in sentences if answer in sentence), answer)


def area_under_curve(true: Sequence[float], foreign: Sequence[float]) -> float:
    """The share of (true, foreign) pairs in which the true one is higher, a tie counting half."""
    first, second = np.asarray(true)[:, None], np.asarray(foreign)[None, :]
    return float((first > second).mean() + (first == second).mean() / 2)


def _meter(engine: ChatEngine, question: str, passages: Sequence[Passage], answer: str) -> float:
    language = language_of(question)
    numbered = [NumberedPassage(number, item.title, item.text) for number, item in enumerate(passages, start=1)]
    pieces = tuple(
        Piece(part.text, "source" if part.source else "question", part.source)
        for part in grounded_parts(question, numbered, language)
    )
    drafts = [draft("system", INSTRUCTION.in_(language), "system"), Draft("user", pieces)]
    context = assemble(engine, drafts, engine.info.n_ctx)
    end = AnswerCompleted(answer, "model", Usage(), Timings())
    # The weights of single sources are not asked for here: no time is left for them.
    return GroundingScorer(engine).score(context, end, budget_seconds=0.0).nats_per_token
