"""What an evaluation wants to know of the events of one answer."""

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.events import AnswerCompleted, AnswerEvent, AnswerFailed, ContextAssembled, SourcesFound


@dataclass(frozen=True)
class AnswerRecord:
    """The document of each source by its number, the prompt's tokens, and how it ended: `end`, or `failure`."""

    uris: dict[int, str]
    prompt_tokens: int
    end: AnswerCompleted | None
    failure: AnswerFailed | None


def read_answer(events: Iterable[AnswerEvent]) -> AnswerRecord:
    """Read the events of one answer to their end."""
    uris: dict[int, str] = {}
    tokens = 0
    end: AnswerCompleted | None = None
    failure: AnswerFailed | None = None
    for event in events:
        if isinstance(event, SourcesFound):
            uris = {source.number: source.chunk.chunk.uri for source in event.sources}
        elif isinstance(event, ContextAssembled):
            tokens = sum(event.tokens_by_origin.values())
        elif isinstance(event, AnswerCompleted):
            end = event
        elif isinstance(event, AnswerFailed):
            failure = event
    return AnswerRecord(uris, tokens, end, failure)
