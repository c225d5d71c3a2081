"""How an answer is marked, and how sure a mean of marks is."""

import math
import random
import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from core.language import HAN

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = re.compile(f"[{re.escape(string.punctuation)}，。！？；：、“”‘’（）《》]")
_WORD = re.compile(rf"[{HAN}]|[^\s{HAN}]+")
_CITATION = re.compile(r"\s*\[\d{1,3}\]")


@dataclass(frozen=True)
class Score:
    """A mean of `n` marks from 0 to 1, with the limits of its 95 % interval."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}] n={self.n}"


def words(text: str) -> list[str]:
    """The words of an answer as SQuAD counts them: no case, articles or punctuation; a Han character is a word."""
    plain = _ARTICLE.sub(" ", _PUNCTUATION.sub(" ", _CITATION.sub("", text).lower()))
    return _WORD.findall(plain)


def token_f1(answer: str, wanted: str) -> float:
    """The harmonic mean of precision and recall over words; 1 where both are empty."""
    ours, theirs = words(answer), words(wanted)
    if not ours or not theirs:
        return float(ours == theirs)
    common = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * common / (len(ours) + len(theirs))


def label_mark(answer: str, wanted: str, labels: Sequence[str]) -> float:
    """1 where the answer is the label, or names it and no other label; else 0."""
    said = " ".join(words(answer))
    known = {label: " ".join(words(label)) for label in labels}
    if said == known.get(wanted):
        return 1.0
    named = [label for label, plain in known.items() if plain and re.search(rf"(?<!\w){re.escape(plain)}(?!\w)", said)]
    return float(named == [wanted])


def accuracy(marks: Sequence[float]) -> Score:
    """The share of marks that are 1, with Wilson's interval."""
    n = len(marks)
    if not n:
        return Score(0.0, 0.0, 1.0, 0)
    z, share = 1.96, sum(marks) / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Score(share, max(0.0, middle - half), min(1.0, middle + half), n)


def mean_score(marks: Sequence[float], seed: int = 0) -> Score:
    """The mean of marks of any kind, with a bootstrap interval."""
    n = len(marks)
    if not n:
        return Score(0.0, 0.0, 1.0, 0)
    draw = random.Random(seed)  # noqa: S311 - a reproducible resampling, no secret
    means = sorted(sum(draw.choices(marks, k=n)) / n for _ in range(1000))
    return Score(sum(marks) / n, means[25], means[974], n)
