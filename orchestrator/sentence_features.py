"""What tells whether a sentence answers a question, as numbers, in English and Chinese alike.

Overlap with the question (whole terms, single characters or words, runs of three characters), the overlap of the
neighbours (an answer often follows the sentence that names the subject), the place of the sentence, the rank of its
passage, and whether it holds the kind of thing that is asked for: a date, a number, a name, a place, a reason, a work.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.language import HAN, sentence_spans
from orchestrator.words import normal, terms

_UNIT = re.compile(f"[{HAN}]|[a-z]+|[0-9][0-9.,]*")
_EMPTY_UNITS = frozenset("的了是在和与为有哪什么谁多少几何时候个些上下对于被由其他这那及以而之一") | frozenset(
    ["the", "a", "an", "of", "in", "on", "to", "is", "was", "were", "are", "did", "do", "does", "what", "who", "which"]
)
_KINDS: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = tuple(
    (re.compile(asked, re.I), re.compile(held))
    for asked, held in (
        (
            r"哪年|哪一年|什么时候|何时|什么时间|哪天|几月|几年|年份|日期|世纪|\bwhen\b|\byears?\b|\bcentury\b|\bdate\b",
            r"\d{1,4}\s*年|\d+\s*[月日]|世纪|\b[12]\d{3}\b|\b\d+(?:st|nd|rd|th) century",
        ),
        (
            r"多少|几[个名位次种部座条项天人]|多[大长高远久快]|\bhow (?:many|much|old|long|far|large|big|tall)\b",
            r"\d|[一二三四五六七八九十百千万两][个名位次种部座条项天人]|\b(?:one|two|three|four|five|six|seven|eight|nine|ten)\b",
        ),
        (r"谁|何人|哪位|什么人|名字|\bwho(?:m|se)?\b", r"[·•]|\w [A-Z][a-z]+"),
        (
            r"哪里|哪儿|何处|何地|在哪|位于|哪个(?:国家|城市|省|县|州)|\bwhere\b|\bwhich (?:country|city|state)\b",
            r"[国省市县区州城镇村岛路]|位于|\b(?:in|at|near) [A-Z]",
        ),
        (r"为什么|为何|原因|\bwhy\b", r"因|由于|所以|导致|使得|\b(?:because|due to|since|caused?)\b"),
        (r"哪部|哪本|什么书|作品|歌曲|专辑|电影|小说|游戏|哪首|\b(?:book|album|film|song|novel|title)\b", r"[《“\"]"),
    )
)
N_FEATURES = 26


@dataclass(frozen=True)
class Candidate:
    """A sentence of a passage: `passage` is the place of its passage by rank, `start` and `end` offsets in its text."""

    passage: int
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class _Asked:
    """The question, taken apart once."""

    threes: set[str]
    terms: Mapping[str, float]
    units: Mapping[str, float]
    kinds: tuple[int, ...]


# A Markdown heading names what follows; quoted as an answer it says nothing.
_HEADING = re.compile(r"#{1,6} [^\n]*")


def candidates(passages: Sequence[str]) -> list[Candidate]:
    """Return the sentences of `passages` in order; a heading is none unless there is nothing else."""
    return [
        Candidate(place, text[start:end], start, end)
        for place, text in enumerate(passages)
        for start, end in _statements(text) or sentence_spans(text) or [(0, len(text))]
    ]


def _statements(text: str) -> list[tuple[int, int]]:
    return [(start, end) for start, end in sentence_spans(text) if not _HEADING.fullmatch(text, start, end)]


def sentence_features(question: str, sentences: Sequence[Candidate], scores: Sequence[float]) -> NDArray[np.float64]:
    """Return float64 (len(sentences), N_FEATURES). `scores` are those of the passages, higher is better."""
    held_terms = [set(terms(item.text)) for item in sentences]
    held_units = [_units(item.text) for item in sentences]
    asked = _Asked(
        _threes(question),
        _weights(set(terms(question)), held_terms),
        _weights(_units(question) - _EMPTY_UNITS, held_units),
        tuple(index for index, (pattern, _) in enumerate(_KINDS) if pattern.search(question)),
    )
    overlap = [_share(asked.terms, held) for held in held_terms]
    shared = [_share(asked.units, held) for held in held_units]
    sizes = Counter(item.passage for item in sentences)
    rows = []
    for at, item in enumerate(sentences):
        before = at - 1 if at and sentences[at - 1].passage == item.passage else None
        after = at + 1 if at + 1 < len(sentences) and sentences[at + 1].passage == item.passage else None
        near = held_units[at] | (held_units[before] if before is not None else set())
        rows.append(
            [
                *_overlaps(asked, item, held_terms[at], overlap[at], shared[at]),
                overlap[before] if before is not None else 0.0,
                shared[before] if before is not None else 0.0,
                overlap[after] if after is not None else 0.0,
                shared[after] if after is not None else 0.0,
                _share(asked.units, near),
                *_place(item, at - _first(sentences, at), sizes[item.passage], scores),
                *_kinds(asked, item, shared[at], shared[before] if before is not None else 0.0),
            ]
        )
    return np.array(rows, dtype=np.float64).reshape(len(sentences), N_FEATURES)


def _overlaps(asked: _Asked, item: Candidate, held: set[str], overlap: float, shared: float) -> list[float]:
    best = float(item.passage == 0)
    rarest = max((weight for term, weight in asked.terms.items() if term in held), default=0.0)
    threes = len(asked.threes & _threes(item.text)) / max(len(asked.threes), 1)
    return [overlap, overlap * best, shared, shared * best, rarest / 4, threes, len(held - set(asked.terms)) / 50]


def _place(item: Candidate, position: int, size: int, scores: Sequence[float]) -> list[float]:
    top = max(scores, default=1.0) or 1.0
    return [
        scores[item.passage] / top,
        float(item.passage == 0),
        float(item.passage == 1),
        position / size,
        float(position == 0),
        size / 10,
        math.log1p(len(item.text)) / 5,
    ]


def _kinds(asked: _Asked, item: Candidate, shared: float, shared_before: float) -> list[float]:
    """Dates, numbers, names, places: 1 asked and held, -1 asked and not held, 0 not asked; any kind; with overlap."""
    values = [0.0] * len(_KINDS)
    for index in asked.kinds:
        values[index] = 1.0 if _KINDS[index][1].search(item.text) else -1.0
    any_kind = max((values[index] for index in asked.kinds), default=0.0)
    return [*values[:4], any_kind, any_kind * shared, any_kind * shared_before]


def _first(sentences: Sequence[Candidate], at: int) -> int:
    """Place of the first sentence of the passage of `sentences[at]`."""
    while at and sentences[at - 1].passage == sentences[at].passage:
        at -= 1
    return at


def _units(text: str) -> set[str]:
    return set(_UNIT.findall(normal(text).lower()))


def _weights(wanted: set[str], held: Sequence[set[str]]) -> dict[str, float]:
    """Rarity of each term among the sentences; one that none holds weighs like the rarest."""
    counts = {term: sum(term in one for one in held) for term in wanted}
    return {term: math.log(1 + len(held) / max(count, 1)) for term, count in counts.items()}


def _share(weights: Mapping[str, float], held: set[str]) -> float:
    total = sum(weights.values())
    return sum(weight for term, weight in weights.items() if term in held) / total if total else 0.0


def _threes(text: str) -> set[str]:
    """Runs of three characters: they reward word order, which single terms do not."""
    plain = normal(text).lower()
    return {plain[at : at + 3] for at in range(len(plain) - 2)}
