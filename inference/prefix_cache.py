"""Conversations kept warm: what a prompt shares with an earlier one is not computed again.

One sequence is live in the context. When a prompt leaves it, its KV cache is copied aside (about 23 MB and 5 ms for
1,000 tokens of the default model) and comes back when a later prompt shares more with it than with the live one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.engine import LoadedModel
from inference.prompt_states import LEAST_TOKENS, PromptStates

# Below this many tokens a copy costs more than it saves.
WORTH_KEEPING = 64


@dataclass(frozen=True)
class WarmState:
    """The KV cache of `tokens` under `adapter`, as bytes."""

    tokens: tuple[int, ...]
    adapter: str
    state: NDArray[np.uint8]


class PrefixCache:
    """The tokens in the live KV cache, and earlier states within `budget_bytes`, least recently used out first."""

    def __init__(self, model: LoadedModel, budget_bytes: int, states: PromptStates | None = None) -> None:
        self._states = states
        self._model = model
        self._budget = budget_bytes
        self._warm: list[WarmState] = []
        self._adapter = ""
        self.live: list[int] = []

    @property
    def warm_bytes(self) -> int:
        """Memory of the states that are set aside."""
        return sum(warm.state.nbytes for warm in self._warm)

    def prepare(self, tokens: Sequence[int], adapter: str) -> int:
        """Make the live KV cache hold the longest known prefix of `tokens`, at most all but one; return its length.

        `adapter` tells the adapter in force and its version: a prefix computed under another is never used.
        """
        if not self._model.options.reuse:
            self.forget()
        live = common_prefix(self.live, tokens) if adapter == self._adapter else 0
        best = max(self._candidates(adapter), key=lambda warm: common_prefix(warm.tokens, tokens), default=None)
        reachable = common_prefix(best.tokens, tokens) if best else 0
        switch = best is not None and reachable >= live + WORTH_KEEPING
        if switch or len(self.live) - live >= WORTH_KEEPING or adapter != self._adapter:
            self._set_aside()
        left = len(self.live)
        if switch and best is not None:
            live = self._bring_back(best, reachable)
        elif live < LEAST_TOKENS:
            live = self._from_disk(tokens, adapter, live)
        self._adapter = adapter
        kept = self.cut(min(live, len(tokens) - 1))
        if kept < min(left, len(tokens) - 1):
            self._keep_beginning()
        return kept

    def extend(self, tokens: Sequence[int]) -> None:
        """Note that `tokens` were computed after the live ones."""
        self.live.extend(tokens)

    def cut(self, length: int) -> int:
        """Keep the first `length` tokens of the live cache; a memory that cannot forget a part starts anew."""
        if length < len(self.live) and (length == 0 or not self._model.truncate(length)):
            self._model.clear()
            length = 0
        self.live = self.live[:length]
        return length

    def forget(self) -> None:
        """Drop everything, the states that are set aside too."""
        self._warm.clear()
        self.live.clear()
        self._model.clear()

    def _candidates(self, adapter: str) -> list[WarmState]:
        return [warm for warm in self._warm if warm.adapter == adapter]

    def _set_aside(self) -> None:
        if len(self.live) < WORTH_KEEPING:
            return
        tokens = tuple(self.live)
        covered = any(
            warm.adapter == self._adapter and common_prefix(warm.tokens, tokens) == len(tokens) for warm in self._warm
        )
        if covered:
            return
        # A state that is the beginning of this one says nothing more.
        self._warm = [
            warm
            for warm in self._warm
            if warm.adapter != self._adapter or common_prefix(warm.tokens, tokens) < len(warm.tokens)
        ]
        self._warm.append(WarmState(tokens, self._adapter, self._model.save_state()))
        while self._warm and self.warm_bytes > self._budget:
            self._warm.pop(0)

    def _bring_back(self, warm: WarmState, reachable: int) -> int:
        self._warm = [other for other in self._warm if other is not warm] + [warm]
        if not self._model.restore_state(warm.state):
            self.live = []
            return 0
        self.live = list(warm.tokens)
        return reachable

    def _from_disk(self, tokens: Sequence[int], adapter: str, live: int) -> int:
        stored = self._states.find(tokens, adapter, live) if self._states else None
        state = self._states.read(stored) if self._states and stored else None
        if stored is None or state is None:
            return live
        self._set_aside()
        restored = self._model.restore_state(state)
        self.live = list(stored.tokens) if restored else []
        return len(self.live)

    def _keep_beginning(self) -> None:
        """Two prompts parted here: what they share, others will share too."""
        if self._states and self._states.is_worth_keeping(self.live, self._adapter):
            self._states.keep(self.live, self._adapter, self._model.save_state())


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """Number of leading tokens that two sequences share."""
    shortest = min(len(left), len(right))
    a, b = np.asarray(left[:shortest]), np.asarray(right[:shortest])
    different = np.flatnonzero(a != b)
    return int(different[0]) if different.size else shortest
