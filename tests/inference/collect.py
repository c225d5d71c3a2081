"""What the tests of the engine ask again and again."""

from collections.abc import Iterable

from core.types import Message, SamplingSettings
from inference.protocol import GeneratedText, GenerationEvent, GenerationFinished, GenerationRequest


def text_of(events: Iterable[GenerationEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, GeneratedText))


def finished(events: Iterable[GenerationEvent]) -> GenerationFinished:
    last = list(events)[-1]
    assert isinstance(last, GenerationFinished)
    return last


def chat(text: str, max_tokens: int = 24, **options: object) -> GenerationRequest:
    sampling = SamplingSettings(max_tokens=max_tokens, **options)  # type: ignore[arg-type]
    return GenerationRequest(messages=(Message("user", text),), sampling=sampling)
