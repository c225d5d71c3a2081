"""Writes an answer into the history while it is given: partial text as tokens arrive, the receipt at the end."""

import time
from collections.abc import Generator, Iterator
from typing import Any

from orchestrator.events import AnswerCompleted, AnswerEvent, AnswerFailed, TextDelta, ThinkingDelta
from orchestrator.history import History, Status
from orchestrator.serialise import to_json

SAVE_EVERY_SECONDS = 0.25


def record(history: History, answer_id: str, events: Iterator[AnswerEvent]) -> Generator[AnswerEvent, None, None]:
    """Pass `events` through and keep them under the message `answer_id` (of `History.begin_answer`).

    The receipt is `{"events": [...]}`: every event but the deltas, as `orchestrator.serialise` writes them, and
    `"thinking"`, the chain of thought. Whatever ends the stream (an end, an error, the reader's `close`), the text
    so far is kept.
    """
    text, thinking, status = "", "", "interrupted"
    kept: list[dict[str, Any]] = []
    saved_at = 0.0
    try:
        for event in events:
            if isinstance(event, TextDelta):
                text += event.text
                saved_at = _save_when_due(history, answer_id, text, saved_at)
            elif isinstance(event, ThinkingDelta):
                thinking += event.text
            else:
                kept.append(to_json(event))
                text, status = _after(event, text, status)
            yield event
    finally:
        receipt = {"events": kept, "thinking": thinking}
        history.finish_answer(answer_id, text, _status(status), receipt)
        _close(events)


def _save_when_due(history: History, answer_id: str, text: str, saved_at: float) -> float:
    """Keep the text so far where the last time is long enough ago; returns when it was last kept."""
    if time.monotonic() - saved_at < SAVE_EVERY_SECONDS:
        return saved_at
    history.save_partial(answer_id, text)
    return time.monotonic()


def _after(event: AnswerEvent, text: str, status: str) -> tuple[str, str]:
    if isinstance(event, AnswerCompleted):
        return event.text, "stopped" if event.stopped else "done"
    if isinstance(event, AnswerFailed):
        return event.partial or text, "failed"
    return text, status


def _status(name: str) -> Status:
    known: dict[str, Status] = {"done": "done", "stopped": "stopped", "failed": "failed"}
    return known.get(name, "interrupted")


def _close(events: Iterator[AnswerEvent]) -> None:
    close = getattr(events, "close", None)
    if close is not None:
        close()
