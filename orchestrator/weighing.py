"""Weighs finished answers in the background: what each stands on, found while the model has nothing else to do.

One thread, one answer at a time, the newest first. It waits while the model answers; an answer whose weighing was
broken off by a new question is taken up again when that has ended.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from inference.protocol import ChatEngine
from orchestrator.events import AnswerCompleted, ContextAssembled
from orchestrator.grounding import Grounding, GroundingScorer

BUDGET_SECONDS = 30.0
MOST_WAITING = 32
MOST_TRIES = 3
LOOK_EVERY_SECONDS = 0.2

_log = logging.getLogger(__name__)


@dataclass
class _Waiting:
    """An answer to be weighed and how often that was tried."""

    answer_id: str
    context: ContextAssembled
    answer: AnswerCompleted
    tries: int = 0


class Weigher:
    """Gives every answer its `Grounding`; `keep(answer_id, grounding)` is told on the weigher's own thread."""

    def __init__(
        self,
        engine: Callable[[], ChatEngine],
        keep: Callable[[str, Grounding], None],
        is_busy: Callable[[], bool],
        budget_seconds: float = BUDGET_SECONDS,
    ) -> None:
        self._engine = engine
        self._keep = keep
        self._is_busy = is_busy
        self._budget = budget_seconds
        self._waiting: deque[_Waiting] = deque(maxlen=MOST_WAITING)
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._scorer: GroundingScorer | None = None

    def ask(self, answer_id: str, context: ContextAssembled | None, answer: AnswerCompleted | None) -> bool:
        """Have an answer weighed; false where there is nothing to weigh: no passage, no words of a model, cut off."""
        if context is None or answer is None or answer.kind != "model" or answer.stopped or not answer.text.strip():
            return False
        if all(span.source is None for span in context.spans):
            return False
        with self._changed:
            self._waiting.append(_Waiting(answer_id, context, answer))
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._work, name="weighing", daemon=True)
                self._thread.start()
            self._changed.notify()
        return True

    def close(self) -> None:
        """Weigh no more."""
        self._closed.set()
        with self._changed:
            self._waiting.clear()
            self._changed.notify()

    def _work(self) -> None:
        while not self._closed.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed.is_set())
            while self._is_busy() and not self._closed.wait(LOOK_EVERY_SECONDS):
                pass
            with self._changed:
                item = self._waiting.pop() if self._waiting else None
            if item is not None:
                self._weigh(item)

    def _weigh(self, item: _Waiting) -> None:
        try:
            self._scorer = self._scorer or GroundingScorer(self._engine())
            found = self._scorer.score(item.context, item.answer, self._budget, self._is_busy)
            if not found.complete and item.tries + 1 < MOST_TRIES and self._is_busy():
                item.tries += 1
                with self._changed:
                    self._waiting.appendleft(item)
                return
            self._keep(item.answer_id, found)
        except Exception as error:  # noqa: BLE001 - the one thread must live for the answers that come after
            # A server that tells no probabilities, a model that went away, a conversation that was deleted: the answer
            # stands, only not weighed.
            _log.info("answer %s was not weighed: %r", item.answer_id, error)
