"""Runs one generation and turns it into answer events; what it came to is the generator's return value."""

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass

from core.types import Timings, Usage
from inference.protocol import (
    ChatEngine,
    FinishReason,
    GeneratedText,
    GenerationFinished,
    GenerationRequest,
    WaitingInQueue,
)
from orchestrator.events import AnswerEvent, Queued, TextDelta, ThinkingDelta
from orchestrator.thinking import OPENING, ThinkingSplitter


@dataclass(frozen=True)
class Generated:
    """A finished generation: the answer, the thoughts apart from it, what it took; the pieces as they came."""

    text: str
    thinking: str
    reason: FinishReason
    usage: Usage
    timings: Timings
    seed: int | None
    pieces: tuple[GeneratedText, ...] = ()


def generate(
    engine: ChatEngine, request: GenerationRequest, is_cancelled: Callable[[], bool]
) -> Generator[AnswerEvent, None, Generated]:
    """Yield Queued, ThinkingDelta and TextDelta; return the whole. Closing it stops the computation."""
    splitter = ThinkingSplitter(inside=request.prompt.rstrip().endswith(OPENING))
    text, thinking, end = "", "", GenerationFinished("cancelled", Usage(), Timings())
    pieces: list[GeneratedText] = []
    with closing(_stream(engine, request, is_cancelled, splitter, pieces)) as stream:
        for event in stream:
            if isinstance(event, GenerationFinished):
                end = event
                continue
            text += event.text if isinstance(event, TextDelta) else ""
            thinking += event.text if isinstance(event, ThinkingDelta) else ""
            yield event
    return Generated(text.strip(), thinking, end.reason, end.usage, end.timings, end.seed, tuple(pieces))


def _stream(
    engine: ChatEngine,
    request: GenerationRequest,
    is_cancelled: Callable[[], bool],
    splitter: ThinkingSplitter,
    pieces: list[GeneratedText],
) -> Generator[Queued | TextDelta | ThinkingDelta | GenerationFinished, None, None]:
    events = engine.generate(request, is_cancelled)
    try:
        for event in events:
            if isinstance(event, WaitingInQueue):
                yield Queued(event.position)
            elif isinstance(event, GeneratedText):
                pieces.append(event)
                yield from splitter.feed(event.text)
            else:
                yield from splitter.finish()
                yield event
    finally:
        close = getattr(events, "close", None)
        if close is not None:
            close()
