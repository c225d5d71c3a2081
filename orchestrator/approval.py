"""An answer that waits for a person, and how it goes on: its state is its own events, which the history keeps."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from core.types import DecidedCall, Question, ToolCall
from orchestrator.events import AnswerCompleted, AnswerEvent, ToolFinished, ToolProposed


def pending_calls(events: Iterable[AnswerEvent]) -> tuple[ToolCall, ...]:
    """The calls that wait for a decision; empty where the answer is complete."""
    return tuple(proposed.call for event in events if isinstance(event, AnswerCompleted) for proposed in event.pending)


def always_allowed(events: Iterable[AnswerEvent]) -> tuple[str, ...]:
    """The tools that a person allowed for the whole conversation, from the events of its answers."""
    named = (event.call.name for event in events if isinstance(event, ToolProposed) and event.always)
    return tuple(dict.fromkeys(named))


def resume(question: Question, events: Sequence[AnswerEvent], decisions: Sequence[DecidedCall]) -> Question:
    """The question that continues the answer with `events`: what ran is not run again, what waited is decided.

    A pending call without a decision counts as refused. The events may come from the history of another process.
    """
    lasting = always_allowed(events)
    done = [
        DecidedCall(event.call, result=event.result, failed=event.failed, always=event.call.name in lasting)
        for event in events
        if isinstance(event, ToolFinished)
    ]
    decided = {decision.call.id: decision for decision in decisions}
    waiting = [decided.get(call.id, DecidedCall(call, allowed=False)) for call in pending_calls(events)]
    return replace(question, mode="tools", options=replace(question.options, resumed=(*done, *waiting)))
