"""Text as the model gets it: pieces with ids and bytes, how byte-pair merges made them, and what they cost."""

import itertools
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from interpretability.model_file import ModelFile


@dataclass(frozen=True)
class Token:
    """One token: `data` are its bytes, which may be a part of a character; `text` shows them, `�` where incomplete."""

    id: int
    data: bytes

    @property
    def text(self) -> str:
        """The bytes as text."""
        return self.data.decode("utf-8", "replace")

    @property
    def is_part_of_character(self) -> bool:
        """Whether the bytes alone are no complete text."""
        return "�" in self.text


@dataclass(frozen=True)
class Merge:
    """One step of byte-pair encoding: two neighbours become one. A lower `rank` is applied first."""

    left: str
    right: str
    rank: int
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Bill:
    """What a prompt costs: tokens by where they come from, and the price at rates per million tokens."""

    tokens_by_origin: Mapping[str, int]
    answer_tokens: int
    input_rate: float
    output_rate: float

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the whole prompt."""
        return sum(self.tokens_by_origin.values())

    @property
    def price(self) -> float:
        """Price in the currency of the rates."""
        return (self.prompt_tokens * self.input_rate + self.answer_tokens * self.output_rate) / 1e6

    def share(self, origin: str) -> float:
        """Share of the prompt's tokens, 0..1."""
        return self.tokens_by_origin.get(origin, 0) / max(1, self.prompt_tokens)


@dataclass(frozen=True)
class Density:
    """How far a token reaches in a text: characters and UTF-8 bytes per token."""

    characters: int
    n_bytes: int
    tokens: int

    @property
    def characters_per_token(self) -> float:
        """0 for an empty text."""
        return self.characters / self.tokens if self.tokens else 0.0


# One sentence in both languages: the difference in tokens is the model's, not the content's.
PARALLEL = (
    "A language model reads text as a sequence of tokens and predicts the next one.",
    "语言模型把文本读作一串词元，并预测下一个词元。",
)


def density(text: str, count_tokens: Callable[[str], int]) -> Density:
    """Measure one text with the model's own tokenizer."""
    return Density(len(text), len(text.encode("utf-8")), count_tokens(text))


def bill(
    parts: Sequence[tuple[str, int]], answer_tokens: int = 0, input_rate: float = 0.0, output_rate: float = 0.0
) -> Bill:
    """Add up (origin, tokens) pairs, in the order in which the origins first appear. Rates are per million tokens."""
    totals: dict[str, int] = {}
    for origin, tokens in parts:
        totals[origin] = totals.get(origin, 0) + tokens
    return Bill(totals, answer_tokens, input_rate, output_rate)


def by_origin(tokens: Sequence[Token], spans: Sequence[tuple[int, int, str]]) -> list[tuple[str, int]]:
    """(origin, tokens) in order, for `spans` (start, end, origin) of characters in the text that `tokens` spell.

    What lies between the spans is the template's. A token across a border counts where it ends.
    """
    text = b"".join(token.data for token in tokens).decode("utf-8", "replace")
    pieces, at = [], 0
    for start, end, origin in spans:
        pieces += [(start, "template"), (end, origin)]
        at = end
    pieces.append((max(at, len(text)), "template"))
    ends = list(itertools.accumulate(len(token.data) for token in tokens))
    counts, done = [], 0
    for place, origin in pieces:
        reached = bisect_right(ends, len(text[:place].encode("utf-8", "replace")))
        counts.append((origin, max(0, reached - done)))
        done = max(done, reached)
    return [(origin, count) for origin, count in counts if count]


def replay_merges(model: ModelFile, token: Token) -> tuple[Merge, ...]:
    """The merges that made `token` from single bytes, in order; empty where the model does not work by merges.

    No merge ever crosses the border of a final token, so replaying each token alone gives the very steps that the
    tokenizer took inside the whole word.
    """
    ranks = merge_ranks(model)
    shown = _byte_alphabet()
    parts = [shown[byte] for byte in token.data]
    steps: list[Merge] = []
    while len(parts) > 1:
        candidates = [(ranks.get(pair, -1), index) for index, pair in enumerate(itertools.pairwise(parts))]
        possible = [candidate for candidate in candidates if candidate[0] >= 0]
        if not possible:
            return ()
        rank, at = min(possible)
        left, right = parts[at], parts[at + 1]
        parts[at : at + 2] = [left + right]
        steps.append(Merge(_plain(left), _plain(right), rank, tuple(map(_plain, parts))))
    return tuple(steps)


def merge_ranks(model: ModelFile) -> dict[tuple[str, str], int]:
    """The merges of the file by rank, in the byte alphabet; empty for a vocabulary without merges."""
    return _merge_ranks(tuple(model.metadata.get("tokenizer.ggml.merges", ())))


@lru_cache(maxsize=2)
def _merge_ranks(merges: tuple[str, ...]) -> dict[tuple[str, str], int]:
    pairs = (merge.split(" ", 1) for merge in merges)
    return {(pair[0], pair[1]): rank for rank, pair in enumerate(pairs) if len(pair) == 2}


@lru_cache(maxsize=1)
def _byte_alphabet() -> tuple[str, ...]:
    """The printable character for each byte that byte-level BPE uses (GPT-2, `bytes_to_unicode`)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte) if byte in printable else chr(next(others)) for byte in range(256))


def _plain(shown: str) -> str:
    """Byte alphabet -> the text that it stands for."""
    byte_of = {character: byte for byte, character in enumerate(_byte_alphabet())}
    return bytes(byte_of[character] for character in shown).decode("utf-8", "replace")
