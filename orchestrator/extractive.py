"""An answer without a model: the sentences of the passages that answer best, word for word, with citations.

A linear model (`sentence_weights.json`, in the order of `orchestrator.sentence_features`) scores each sentence, less a
price for its length. `python -m evaluation sentences` fits it; `evaluation/DECISIONS.md` has figures.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.events import Citation, Source
from orchestrator.markup import inert
from orchestrator.sentence_features import candidates, sentence_features

MOST_SENTENCES = 2
MOST_PASSAGES = 3
# Score that a sentence of the mean length of its rivals pays.
LENGTH_PRICE = 0.3
WEIGHTS = Path(__file__).parent / "sentence_weights.json"


@dataclass(frozen=True)
class Sentence:
    """A sentence of a source: `start` and `end` are offsets in the text of its chunk; `score` rises with fitness."""

    source: int
    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class ExtractiveAnswer:
    """Sentences of the sources, joined, each with its citation."""

    text: str
    citations: tuple[Citation, ...]


def extractive_answer(question: str, sources: Sequence[Source], most: int = MOST_SENTENCES) -> ExtractiveAnswer:
    """Return the best `most` sentences of the used `sources` (best first), each followed by `[n]`."""
    text, citations = "", []
    for sentence in ranked_sentences(question, [source for source in sources if source.used])[:most]:
        start = len(text) + (1 if text else 0)
        text += (" " if text else "") + f"{sentence.text} [{sentence.source}]"
        citations.append(_citation(sentence, start))
    return ExtractiveAnswer(text, tuple(citations))


def ranked_sentences(question: str, sources: Sequence[Source]) -> list[Sentence]:
    """Return the sentences of the best `MOST_PASSAGES` of `sources`, best first, the same words only once."""
    best = sources[:MOST_PASSAGES]
    pool = candidates([source.chunk.chunk.text for source in best])
    if not pool:
        return []
    scores = sentence_features(question, pool, [source.chunk.score for source in best]) @ load_weights()
    scores = scores - price_of_length([item.text for item in pool])
    found: dict[str, Sentence] = {}
    for place in np.argsort(-scores, kind="stable"):
        item = pool[place]
        text = " ".join(inert(item.text).split())
        found.setdefault(text, Sentence(best[item.passage].number, text, item.start, item.end, float(scores[place])))
    return list(found.values())


def price_of_length(sentences: Sequence[str]) -> NDArray[np.float64]:
    """What each sentence pays for its length, float64 (n,): short answers are read, long ones are not."""
    lengths = np.array([len(sentence) for sentence in sentences], dtype=np.float64)
    return LENGTH_PRICE * lengths / max(float(lengths.mean()) if len(lengths) else 0.0, 1.0)


@cache
def load_weights() -> NDArray[np.float64]:
    """The fitted weights, float64 (N_FEATURES,)."""
    return np.array(json.loads(WEIGHTS.read_text(encoding="utf-8"))["weights"])


def _citation(sentence: Sentence, start: int) -> Citation:
    mark = f"[{sentence.source}]"
    end = start + len(sentence.text) + 1 + len(mark)
    return Citation(
        number=sentence.source,
        start=end - len(mark),
        end=end,
        sentence_start=start,
        sentence_end=end,
        supported=True,
        passage_start=sentence.start,
        passage_end=sentence.end,
    )
