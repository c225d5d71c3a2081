"""KV caches of single passages: one that was read before is put into its place in another prompt instead of read again.

An approximation, and so an option that is off by default. A stored passage was read right behind what every such prompt
begins with (the system's instructions) and knows nothing of the passages that now stand before it. Two mends hold the
answers: the first tokens of every passage are read in their place, and so is the whole of the last one, where answering
puts the best. Figures in evaluation/DECISIONS.md.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from inference.engine import LoadedModel
from inference.prefix_cache import PrefixCache

# Read anew at the beginning of each passage: its number, its title.
FIRST_TOKENS = 8
# Below this many tokens reading is as quick.
WORTH_STORING = 32
BUDGET_BYTES = 256 * 1024 * 1024

Range = tuple[int, int]
# The adapter, what every prompt begins with, a passage without its first tokens: its number may change.
_Key = tuple[str, tuple[int, ...], tuple[int, ...]]


class StoredPassages:
    """The stored passages of one model within `budget_bytes`, least recently used out first."""

    def __init__(self, model: LoadedModel, cache: PrefixCache, budget_bytes: int = BUDGET_BYTES) -> None:
        self._model = model
        self._cache = cache
        self._budget = budget_bytes
        self._states: OrderedDict[_Key, NDArray[np.uint8]] = OrderedDict()

    @property
    def bytes(self) -> int:
        """Memory of what is stored."""
        return sum(state.nbytes for state in self._states.values())

    def lay_out(
        self, tokens: Sequence[int], passages: Sequence[Range], adapter: str, read: Callable[[Sequence[int]], None]
    ) -> tuple[int, int]:
        """Bring the live cache up to the end of the last but one of `passages` (ranges of `tokens`, in order).

        `read` computes tokens behind the live ones and notes them in the cache. Returns how many of the live tokens
        stayed and how many were put there without being read.
        """
        known = len(self._cache.live)
        ahead = [it for it in passages[:-1] if known <= it[0] + FIRST_TOKENS and self._fits(it)]
        if not ahead:
            return known, 0
        head = tuple(tokens[: passages[0][0]])
        read(tokens[known : len(head)])
        keys = [(adapter, head, tuple(tokens[start + FIRST_TOKENS : end])) for start, end in ahead]
        self._store_missing(keys, [tokens[slice(*passage)] for passage in ahead])
        return known, sum(self._put(tokens, it, key, read) for it, key in zip(ahead, keys, strict=True))

    def _fits(self, passage: Range) -> bool:
        return WORTH_STORING <= passage[1] - passage[0] <= self._model.n_batch

    def _store_missing(self, keys: Sequence[_Key], passages: Sequence[Sequence[int]]) -> None:
        """Read each new passage alone behind the beginning, the rest set aside meanwhile, at the cost of reading it."""
        for key in keys:
            if key in self._states:
                self._states.move_to_end(key)
        new = [(key, passage) for key, passage in zip(keys, passages, strict=True) if key not in self._states]
        if not new:
            return
        live, aside = list(self._cache.live), self._model.save_state()
        begin = self._cache.cut(len(keys[0][1]))
        for key, passage in new:
            self._model.decode(passage, begin)
            self._states[key] = self._model.save_state()
            self._model.truncate(begin)
        self._cache.live = live if self._model.restore_state(aside) else []
        while len(self._states) > 1 and self.bytes > self._budget:
            self._states.popitem(last=False)

    def _put(self, tokens: Sequence[int], passage: Range, key: _Key, read: Callable[[Sequence[int]], None]) -> int:
        """Put a stored passage into its place behind what stands before it; 0 where it has to be read."""
        start, end = passage
        state = self._states.get(key)
        if state is None:
            return 0
        begin = start + FIRST_TOKENS
        read(tokens[len(self._cache.live) : begin])
        if not self._model.attach(state, begin, end, start - len(key[1])):
            return 0
        self._cache.extend(tokens[begin:end])
        return end - begin


def token_ranges(model: LoadedModel, text: str, tokens: Sequence[int], passages: Sequence[Range]) -> list[Range]:
    """Ranges of `tokens` for ranges of characters of `text`; none where a passage begins or ends inside a token."""
    ends = list(accumulate((len(model.piece(token, special=True)) for token in tokens), initial=0))
    places = {end: place for place, end in enumerate(ends)}
    if ends[-1] != len(text.encode("utf-8")):
        # A vocabulary whose pieces are not the text byte for byte.
        return []
    found = [tuple(places.get(len(text[:at].encode("utf-8")), -1) for at in passage) for passage in passages]
    return [(start, end) for start, end in found] if all(min(it) >= 0 for it in found) else []
