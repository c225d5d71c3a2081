"""`python -m evaluation sentences`: are the best two sentences of a search the answer? Fits the weights, too.

No model takes part: passages are found by keywords among all contexts of a set, their sentences ranked as
`orchestrator.extractive` does. A set named for fitting and for reporting is cut by the hash of its titles: even ones
fit, odd ones report. The weights maximise the probability that softmax gives to the sentences that hold the answer
among all sentences of their question (a conditional logit, McFadden 1974), with an L2 penalty.
"""

import argparse
import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.config import Settings
from core.types import Scope
from evaluation.datasets import ExamQuestion, read_contexts, read_questions
from evaluation.figures import mean_with_interval
from evaluation.metrics import contained
from evaluation.retrieval import collection_of
from orchestrator.extractive import MOST_PASSAGES, MOST_SENTENCES, WEIGHTS, load_weights, price_of_length
from orchestrator.sentence_features import candidates, sentence_features
from retrieval.fakes import HashEmbedder
from retrieval.library import Library
from retrieval.retriever import HybridSearcher

Matrix = NDArray[np.float64]
PENALTY = 1e-3
STEPS = 300
RATE = 0.05


@dataclass(frozen=True)
class Ranked:
    """The sentences of one question: features float64 (n, N_FEATURES), and whether each holds an answer, (n,)."""

    texts: tuple[str, ...]
    features: Matrix
    holds: Matrix
    answers: tuple[str, ...]
    is_even: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `python -m evaluation sentences`."""
    parser.add_argument("--fit", nargs="*", default=[], metavar="SET", help="sets to fit on; without: as shipped")
    parser.add_argument("--report", nargs="+", default=["xquad_zh", "cmrc2018"], metavar="SET")
    parser.add_argument("--limit", type=int, default=1000, help="a fixed sample of so many questions of each set")
    parser.add_argument("--write", action="store_true", help="keep the fitted weights as those of the program")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Rank, fit and measure; returns the JSON object that is printed."""
    names = list(dict.fromkeys([*options.fit, *options.report]))
    folder = settings.eval_data / "qa"
    with tempfile.TemporaryDirectory() as home:
        library = Library(settings.model_copy(update={"home": Path(home)}), HashEmbedder())
        sets = {name: ranked_sets(library, folder, name, options.limit) for name in names}
    fitting = [one for name in options.fit for one in sets[name] if name not in options.report or one.is_even]
    weights = fit(fitting) if fitting else load_weights()
    if options.write and fitting:
        WEIGHTS.write_text(json.dumps({"weights": [round(float(value), 4) for value in weights]}) + "\n", "utf-8")
    reported = {
        name: figures([one for one in sets[name] if name not in options.fit or not one.is_even], weights)
        for name in options.report
    }
    return {"fitted_on": len(fitting), "sets": reported}


def ranked_sets(library: Library, folder: Path, name: str, limit: int) -> list[Ranked]:
    """The sentences of the best passages of each question of a set."""
    contexts = read_contexts(folder / f"{name}.contexts.jsonl")
    titles = {context.id: context.title or context.id for context in contexts}
    searcher = HybridSearcher(library, "lexical")
    scope = Scope(collection_of(library, contexts))
    return [_ranked(searcher, scope, item, titles) for item in read_questions(folder / f"{name}.dev.jsonl", limit)]


def fit(questions: Sequence[Ranked]) -> Matrix:
    """Return the weights, float64 (N_FEATURES,), by Adam over standardised features; the problem is nearly convex."""
    kept = [one for one in questions if one.holds.any()]
    inputs = np.vstack([one.features for one in kept])
    scale = inputs.std(axis=0) + 1e-6
    inputs = (inputs - inputs.mean(axis=0)) / scale
    holds = np.concatenate([one.holds for one in kept])
    owner = np.repeat(np.arange(len(kept)), [len(one.holds) for one in kept])
    weights, mean, square = (np.zeros(inputs.shape[1]) for _ in range(3))
    for step in range(1, STEPS + 1):
        likely = _softmax_by(inputs @ weights, owner, np.ones_like(holds))
        wanted = _softmax_by(inputs @ weights, owner, holds)
        slope = inputs.T @ (likely - wanted) / len(kept) + PENALTY * weights
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        weights = weights - RATE * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return np.asarray(weights / scale)


def figures(questions: Sequence[Ranked], weights: Matrix) -> dict[str, Any]:
    """The share whose first one and two sentences hold an answer, and the mean length of the two in characters."""
    best = [_best(one, weights) for one in questions]
    held = {
        count: [contained(" ".join(texts[:count]), one.answers) for texts, one in zip(best, questions, strict=True)]
        for count in range(1, MOST_SENTENCES + 1)
    }
    lengths = [float(sum(map(len, texts))) for texts in best]
    named = {f"contained_in_{count}": mean_with_interval(values) for count, values in held.items()}
    return named | {"characters": mean_with_interval(lengths)}


def _ranked(searcher: HybridSearcher, scope: Scope, item: ExamQuestion, titles: dict[str, str]) -> Ranked:
    found = searcher.retrieve(item.text, scope, MOST_PASSAGES).chunks
    pool = candidates([one.chunk.text for one in found])
    features = sentence_features(item.text, pool, [one.score for one in found])
    holds = np.array([contained(one.text, item.answers) for one in pool], dtype=np.float64)
    title = titles.get(item.context_ids[0], "") if item.context_ids else item.id
    even = hashlib.sha256(title.encode()).digest()[-1] % 2 == 0
    return Ranked(tuple(one.text for one in pool), features, holds, item.answers, even)


def _best(one: Ranked, weights: Matrix) -> list[str]:
    scores = one.features @ weights - price_of_length(one.texts)
    return [one.texts[place] for place in np.argsort(-scores, kind="stable")[:MOST_SENTENCES]]


def _softmax_by(scores: Matrix, owner: NDArray[np.int64], mask: Matrix) -> Matrix:
    """Softmax within each owner, over the rows that `mask` lets in."""
    top = np.full(owner[-1] + 1, -np.inf)
    np.maximum.at(top, owner, scores)
    raised = np.exp(scores - top[owner]) * mask
    total = np.bincount(owner, raised, len(top))
    return np.asarray(raised / np.maximum(total, 1e-12)[owner])
