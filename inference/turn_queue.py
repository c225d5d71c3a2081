"""The one queue before the model: bounded, fair, with a position that can be told."""

import itertools
import threading
import time
from collections.abc import Hashable
from typing import Generic, TypeVar

from core.errors import ModelBusyError
from core.language import Bilingual

T = TypeVar("T")

# What the first request is expected to take before any was measured, in seconds.
FIRST_GUESS = 5.0
SMOOTHING = 0.2


class Ticket(Generic[T]):
    """A place in the queue: tickets are served by round, and within a round in the order of their numbers."""

    def __init__(self, item: T, round_: int, number: int, key: Hashable = None) -> None:
        self.item = item
        self.key = key
        self.round = round_
        self.number = number
        self.begun = 0.0


class TurnQueue(Generic[T]):
    """Round-robin over callers, first come first served within each. Thread-safe."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._changed = threading.Condition()
        self._waiting: list[Ticket[T]] = []
        self._active: Ticket[T] | None = None
        self._numbers = itertools.count()
        self._round = 0
        self._next_round: dict[Hashable, int] = {}
        self._mean_seconds = FIRST_GUESS

    def enter(self, item: T, key: Hashable = None, shared: bool = False) -> Ticket[T]:
        """Take a place. Without a key the caller is its own. Raises ModelBusyError where the queue is full.

        Where the queue is `shared` by people, none of them may hold more than half of it.
        """
        with self._changed:
            held = sum(ticket.key == key for ticket in self._waiting) if shared else 0
            if len(self._waiting) >= self._size or held >= max(1, self._size // 2):
                raise self._busy()
            number = next(self._numbers)
            ticket = Ticket(item, self._round_of(("single", number) if key is None else key), number, key)
            self._waiting.append(ticket)
            self._changed.notify_all()
            return ticket

    def leave(self, ticket: Ticket[T]) -> bool:
        """Give up a place; false where its turn had come already."""
        with self._changed:
            if ticket not in self._waiting:
                return False
            self._waiting.remove(ticket)
            self._changed.notify_all()
            return True

    def position(self, ticket: Ticket[T]) -> int:
        """How many requests are served before this one; 0 when it is its turn."""
        with self._changed:
            order = self._order()
            return order.index(ticket) + (self._active is not None) if ticket in order else 0

    def next(self, timeout: float | None) -> Ticket[T] | None:
        """Wait for the next turn and begin it; None after `timeout` seconds. One thread calls this."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting, timeout):
                return None
            ticket = self._order()[0]
            self._waiting.remove(ticket)
            self._active, self._round = ticket, ticket.round
            ticket.begun = time.perf_counter()
            return ticket

    def done(self) -> None:
        """End the turn that runs."""
        with self._changed:
            if self._active is not None:
                seconds = time.perf_counter() - self._active.begun
                self._mean_seconds += SMOOTHING * (seconds - self._mean_seconds)
            self._active = None

    def _order(self) -> list[Ticket[T]]:
        return sorted(self._waiting, key=lambda ticket: (ticket.round, ticket.number))

    def _round_of(self, key: Hashable) -> int:
        """Everybody's first request comes before anybody's second: the round in which a new request takes part."""
        self._next_round = {name: number for name, number in self._next_round.items() if number > self._round}
        number = self._next_round.get(key, self._round)
        self._next_round[key] = number + 1
        return number

    def _busy(self) -> ModelBusyError:
        seconds = max(1.0, round(self._mean_seconds * len(self._waiting), 1))
        return ModelBusyError(
            Bilingual(
                en=f"The model is busy: {len(self._waiting)} requests are waiting. Try again in {seconds:.0f} s.",
                zh=f"模型正忙：已有 {len(self._waiting)} 个请求在等待。请在 {seconds:.0f} 秒后重试。",
            ),
            retry_after_seconds=seconds,
        )
