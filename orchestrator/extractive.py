"""An answer without a model: the sentences of the passages that answer best, word for word, with citations."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from core.language import sentence_spans
from orchestrator.events import Citation, Source
from orchestrator.words import terms

MOST_SENTENCES = 2


@dataclass(frozen=True)
class Sentence:
    """A sentence of a source: `start` and `end` are offsets in the text of its chunk."""

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
    ranked = ranked_sentences(question, [source for source in sources if source.used])
    text, citations = "", []
    for sentence in ranked[:most]:
        start = len(text) + (1 if text else 0)
        text += (" " if text else "") + f"{sentence.text} [{sentence.source}]"
        citations.append(_citation(sentence, start))
    return ExtractiveAnswer(text, tuple(citations))


def ranked_sentences(question: str, sources: Sequence[Source]) -> list[Sentence]:
    """Return all sentences of `sources`, best first."""
    wanted = Counter(terms(question))
    pool = [(source, span) for source in sources for span in sentence_spans(source.chunk.chunk.text)]
    rarity = _rarity([terms(source.chunk.chunk.text[slice(*span)]) for source, span in pool])
    sentences = [_scored(source, span, wanted, rarity) for source, span in pool]
    return sorted(sentences, key=lambda sentence: -sentence.score)


def _scored(source: Source, span: tuple[int, int], wanted: Counter[str], rarity: dict[str, float]) -> Sentence:
    text = " ".join(source.chunk.chunk.text[slice(*span)].split())
    here = set(terms(text))
    score = sum(rarity.get(term, 0.0) for term in wanted if term in here)
    return Sentence(source.number, text, *span, score=score / source.number**0.25)


def _rarity(sentences: Sequence[Sequence[str]]) -> dict[str, float]:
    counts = Counter(term for sentence in sentences for term in set(sentence))
    return {term: math.log(1 + len(sentences) / count) for term, count in counts.items()}


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
