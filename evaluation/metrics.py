"""The measures of the exams. All are between 0 and 1, higher is better."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from core.language import HAN

_PUNCTUATION = re.compile(r"[^\w\s]|_")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_TOKEN = re.compile(rf"[{HAN}]|[^\W{HAN}]+")


def hit(ranking: Sequence[str], relevant: Collection[str], k: int) -> float:
    """1 where one of the first `k` is relevant, else 0."""
    return float(any(item in relevant for item in ranking[:k]))


def recall(ranking: Sequence[str], relevant: Collection[str], k: int) -> float:
    """The share of the relevant ones that stand among the first `k`."""
    return sum(item in relevant for item in set(ranking[:k])) / len(relevant) if relevant else 0.0


def reciprocal_rank(ranking: Sequence[str], relevant: Collection[str], k: int) -> float:
    """1 over the rank of the first relevant one among the first `k`, else 0."""
    return next((1.0 / rank for rank, item in enumerate(ranking[:k], start=1) if item in relevant), 0.0)


def ndcg(ranking: Sequence[str], relevant: Collection[str], k: int) -> float:
    """Normalised discounted cumulative gain at `k`, each relevant one of gain 1 (Järvelin & Kekäläinen 2002)."""
    gain = sum(1.0 / math.log2(rank + 1) for rank, item in enumerate(ranking[:k], start=1) if item in relevant)
    best = sum(1.0 / math.log2(rank + 1) for rank in range(1, min(k, len(relevant)) + 1))
    return gain / best if best else 0.0


def bootstrap_interval(values: Sequence[float], samples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the mean, by resampling with replacement."""
    if not values:
        return 0.0, 0.0
    data = np.asarray(values, np.float64)
    generator = np.random.default_rng(seed)
    means = [data[generator.integers(0, len(data), len(data))].mean() for _ in range(samples)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def normalise(text: str) -> str:
    """Lower case, without punctuation and English articles, blanks made single (SQuAD's rule)."""
    plain = _PUNCTUATION.sub(" ", unicodedata.normalize("NFKC", text).lower())
    return " ".join(_ARTICLES.sub(" ", plain).split())


def answer_tokens(text: str) -> list[str]:
    """English words and single Chinese characters, normalised."""
    return _TOKEN.findall(normalise(text))


def token_f1(answer: str, expected: Sequence[str]) -> float:
    """The best harmonic mean of precision and recall in tokens over the expected answers."""
    return max((_f1(answer_tokens(answer), answer_tokens(gold)) for gold in expected), default=0.0)


def exact_match(answer: str, expected: Sequence[str]) -> float:
    """1 where the answer equals an expected one, both normalised."""
    return float(any(answer_tokens(answer) == answer_tokens(gold) for gold in expected))


def contained(answer: str, expected: Sequence[str]) -> float:
    """1 where an expected answer stands in the answer as a run of whole tokens."""
    tokens = answer_tokens(answer)
    return float(any(_runs_in(answer_tokens(gold), tokens) for gold in expected))


def _f1(answer: list[str], gold: list[str]) -> float:
    if not answer or not gold:
        return float(answer == gold)
    shared = sum((Counter(answer) & Counter(gold)).values())
    if not shared:
        return 0.0
    precision, found = shared / len(answer), shared / len(gold)
    return 2 * precision * found / (precision + found)


def _runs_in(gold: list[str], tokens: list[str]) -> bool:
    size = len(gold)
    return size > 0 and any(tokens[place : place + size] == gold for place in range(len(tokens) - size + 1))
