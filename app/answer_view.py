"""What a page needs to know of an answer, folded from its events: the same for a running answer and a stored one."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from core.language import Bilingual
from orchestrator.events import (
    AnswerCompleted,
    AnswerEvent,
    AnswerFailed,
    ContextAssembled,
    QueryRewritten,
    Queued,
    Route,
    RouteChosen,
    Source,
    SourcesFound,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolProposed,
)
from orchestrator.grounding import Grounding, with_weights
from orchestrator.history import StoredMessage
from orchestrator.serialise import from_json, grounding_from_json

# What the answer stands on, in the receipt of a stored answer, once it was weighed.
GROUNDING = "grounding"


@dataclass(frozen=True)
class ToolStep:
    """A proposed call and, once it ended, its result."""

    proposed: ToolProposed | None
    finished: ToolFinished | None = None


@dataclass(frozen=True)
class AnswerView:
    """An answer as far as it is known. `queue_position` is None where the model is not waited for."""

    text: str = ""
    thinking: str = ""
    route: Route | None = None
    rewritten: str = ""
    found: SourcesFound | None = None
    context: ContextAssembled | None = None
    tools: tuple[ToolStep, ...] = ()
    queue_position: int | None = None
    completed: AnswerCompleted | None = None
    failed: Bilingual | None = None
    interrupted: bool = field(default=False)
    grounding: Grounding | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.completed is not None or self.failed is not None or self.interrupted

    @property
    def used_sources(self) -> tuple[Source, ...]:
        """The sources that stood in the context."""
        return tuple(source for source in self.found.sources if source.used) if self.found else ()

    def source(self, number: int) -> Source | None:
        """The source under a number, or None."""
        sources = self.found.sources if self.found else ()
        return next((source for source in sources if source.number == number), None)


def fold(view: AnswerView, event: AnswerEvent) -> AnswerView:
    """The view after one more event."""
    match event:
        case TextDelta():
            return replace(view, text=view.text + event.text, queue_position=None)
        case ThinkingDelta():
            return replace(view, thinking=view.thinking + event.text, queue_position=None)
        case AnswerCompleted():
            return replace(view, completed=event, text=event.text, queue_position=None)
        case AnswerFailed():
            return replace(view, failed=event.message, text=event.partial or view.text, queue_position=None)
        case _:
            return replace(view, **_step(view, event))


def _step(view: AnswerView, event: AnswerEvent) -> dict[str, Any]:
    match event:
        case RouteChosen():
            return {"route": event.route}
        case QueryRewritten():
            return {"rewritten": event.rewritten}
        case SourcesFound():
            return {"found": event}
        case ContextAssembled():
            return {"context": event}
        case Queued():
            return {"queue_position": event.position}
        case ToolProposed():
            return {"tools": (*view.tools, ToolStep(event))}
        case ToolFinished():
            return {"tools": _with_result(view.tools, event)}
        case _:
            return {}


def _with_result(steps: tuple[ToolStep, ...], result: ToolFinished) -> tuple[ToolStep, ...]:
    for place, step in enumerate(steps):
        if step.proposed is not None and step.finished is None and step.proposed.call.id == result.call.id:
            return (*steps[:place], replace(step, finished=result), *steps[place + 1 :])
    return (*steps, ToolStep(None, result))


def view_of_events(events: Iterable[AnswerEvent]) -> AnswerView:
    """Fold all events of an answer."""
    view = AnswerView()
    for event in events:
        view = fold(view, event)
    return view


def events_of_view(view: AnswerView) -> list[AnswerEvent]:
    """The events that a bill is made from: the prompt, the thoughts, the end."""
    thoughts = ThinkingDelta(view.thinking) if view.thinking else None
    return [event for event in (view.context, thoughts, view.completed) if event is not None]


def events_of_message(message: StoredMessage) -> list[AnswerEvent]:
    """The events that a stored answer kept: all but the deltas."""
    events = []
    for data in message.receipt.get("events", ()):
        try:
            events.append(from_json(data))
        except ValueError:
            # Written by another version: the text still stands, only this part of the receipt is not shown.
            continue
    return events


def view_of_message(message: StoredMessage) -> AnswerView:
    """The view of a stored answer; what this version cannot read of its receipt is left out."""
    view = view_of_events(events_of_message(message))
    view = replace(view, text=message.text, thinking=message.receipt.get("thinking", ""))
    view = _weighed(view, message.receipt.get(GROUNDING))
    return view if view.is_over else replace(view, interrupted=True)


def _weighed(view: AnswerView, told: Any) -> AnswerView:
    """The view with what the answer stands on, and each citation with its weight; as it is where nothing is known."""
    if told is None or view.completed is None:
        return view
    try:
        found = grounding_from_json(told)
    except ValueError:
        return view
    return replace(view, grounding=found, completed=with_weights(view.completed, found))
