"""The smallest language model: count which word follows which. P(eat | run) = count(run eat) / count(run ...).

It has the same task as the large one, the next word, so the same chart draws both.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.language import HAN
from interpretability.model_file import Floats

# A dog's day in six words.
DOG_TEXT = (
    "dog run eat sleep. dog run play run eat. dog bark run eat sleep. dog play bark run sleep. "
    "dog eat sleep. dog run run eat play. dog run bark sleep."
)
_WORD = re.compile(rf"[{HAN}]|[^\W\d_{HAN}]+(?:['’][^\W\d_]+)*|[.!?。！？]")
_STOPS = frozenset(".!?。！？")


@dataclass(frozen=True)
class BigramModel:
    """`counts[a][b]`: how often `b` came right after `a`. Sentences end the chain."""

    counts: Mapping[str, Mapping[str, int]]

    def next_words(self, word: str) -> tuple[tuple[str, float], ...]:
        """(word, probability) of everything that ever followed, best first; empty for a word never seen."""
        followers = self.counts.get(word, {})
        total = sum(followers.values())
        ranked = sorted(followers.items(), key=lambda item: (-item[1], item[0]))
        return tuple((follower, count / total) for follower, count in ranked)

    def probability(self, word: str, given: str) -> float:
        """P(word | given); 0 for what was never seen: the model cannot generalise."""
        return dict(self.next_words(given)).get(word, 0.0)

    def table(self, words: Sequence[str]) -> Floats:
        """P(column | row) for the words given, (n, n); a row sums to 1 where all followers are among them."""
        return np.asarray([[self.probability(column, row) for column in words] for row in words], dtype=np.float32)

    def frequent(self, k: int) -> tuple[str, ...]:
        """The `k` words that are seen most often, before another word or after one."""
        totals = Counter({word: sum(followers.values()) for word, followers in self.counts.items()})
        followed: Counter[str] = Counter()
        for followers in self.counts.values():
            followed.update(followers)
        totals |= followed  # the larger of the two: a word inside a sentence is counted on both sides
        return tuple(sorted(totals, key=lambda word: (-totals[word], word))[:k])

    def generate(self, word: str, n: int, seed: int = 0) -> tuple[str, ...]:
        """Go on from `word` for at most `n` words, drawing by probability."""
        chance = np.random.default_rng(seed)
        words = [word]
        while len(words) <= n and (options := self.next_words(words[-1])):
            probabilities = np.asarray([probability for _, probability in options])
            words.append(options[int(chance.choice(len(options), p=probabilities / probabilities.sum()))][0])
        return tuple(words)


def words_of(text: str) -> list[str]:
    """Words in lower case, a Han character counting as a word, sentence ends as themselves."""
    return [match.group().lower() for match in _WORD.finditer(text)]


def train_bigram(texts: Iterable[str]) -> BigramModel:
    """Count every pair of neighbours inside a sentence."""
    counts: dict[str, Counter[str]] = {}
    for text in texts:
        words = words_of(text)
        for first, second in itertools.pairwise(words):
            if first not in _STOPS and second not in _STOPS:
                counts.setdefault(first, Counter())[second] += 1
    return BigramModel(counts)
