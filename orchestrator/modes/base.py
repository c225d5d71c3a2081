"""What a mode is: it takes a turn and yields the events after the route, up to the end of the answer."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from core.config import Settings
from core.language import Bilingual
from core.types import SamplingSettings
from inference.protocol import ChatEngine
from orchestrator.events import AnswerCompleted, AnswerEvent
from orchestrator.generation import Generated
from orchestrator.prompts.texts import CUT_AT_LIMIT, LANGUAGE_NOT_WRITTEN, fill
from orchestrator.turn import Turn

# Passages asked of a search: those used, and those shown as considered.
CONSIDERED = 20


class AnswerMode(Protocol):
    """One of the four architectures."""

    def answer(self, turn: Turn) -> Iterator[AnswerEvent]:
        """Yield the events of the answer, AnswerCompleted or AnswerFailed last; may raise FourfoldError."""
        ...


def sampling_of(turn: Turn, settings: Settings) -> SamplingSettings:
    """The sampling that the question asks for, else that of the settings."""
    # Free writing of a small model runs in circles without it; an answer from passages has to repeat their words.
    repeat_penalty = settings.repeat_penalty if turn.route.mode == "prompt" else 1.0
    return turn.question.options.sampling or SamplingSettings(
        temperature=settings.temperature,
        repeat_penalty=repeat_penalty,
        seed=settings.seed,
        max_tokens=settings.max_tokens,
    )


def writes(engine: ChatEngine, language: str) -> bool:
    """Whether the model writes `language`; one of which nothing is known is trusted."""
    known = engine.info.languages
    return not known or language in known


def plain_completion(
    turn: Turn, engine: ChatEngine, generated: Generated, notices: Sequence[Bilingual] = (), adapter: str = ""
) -> AnswerCompleted:
    """The end of an answer that cites nothing."""
    return AnswerCompleted(
        text=generated.text,
        kind="model",
        usage=generated.usage,
        timings=turn.timings(generated.timings),
        notices=(*notices, *limit_notices(turn, engine, generated)),
        stopped=generated.reason == "cancelled",
        model=engine.info.name,
        adapter=adapter,
        seed=generated.seed,
    )


def limit_notices(turn: Turn, engine: ChatEngine, generated: Generated) -> tuple[Bilingual, ...]:
    """What a reader should know of how the answer came about: cut short, or in a language the model hardly writes."""
    notices: list[Bilingual] = []
    if generated.reason == "length":
        notices.append(fill(CUT_AT_LIMIT, tokens=generated.usage.completion_tokens))
    if not writes(engine, turn.language):
        notices.append(fill(LANGUAGE_NOT_WRITTEN, model=engine.info.name))
    return tuple(notices)
