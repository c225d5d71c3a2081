"""What a mode is: it takes a turn and yields the events after the route, up to the end of the answer."""

import re
from collections.abc import Iterator, Sequence
from typing import Protocol

from core.config import Settings
from core.language import Bilingual
from core.types import SamplingSettings
from inference.protocol import ChatEngine
from orchestrator.events import AnswerCompleted, AnswerEvent
from orchestrator.generation import Generated
from orchestrator.prompts.texts import CLAIMED_DOCUMENTS, CUT_AT_LIMIT, LANGUAGE_NOT_WRITTEN, STEP_BY_STEP, fill
from orchestrator.turn import Turn

_CLAIMS_DOCUMENTS = re.compile(
    r"\b(?:according to|based on|as (?:stated|described|mentioned) in) (?:the|your|my) "
    r"(?:documents?|files?|passages?|sources?|handbook|manual|context)\b|\b(?:the|your) documents? (?:say|state)s?\b|"
    r"根据(?:您的|你的|所提供的|提供的|上述|以上)?(?:文档|文件|资料|段落|手册|上下文)|文档(?:中)?(?:提到|指出|显示|说明)",
    re.IGNORECASE,
)
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


def step_by_step(turn: Turn, instruction: str) -> str:
    """Return `instruction`, with the request to think aloud first where the question's switch is on."""
    return f"{instruction}\n{STEP_BY_STEP.in_(turn.language)}" if turn.question.options.step_by_step else instruction


def writes(engine: ChatEngine, language: str) -> bool:
    """Whether the model writes `language`; one of which nothing is known is trusted."""
    known = engine.info.languages
    return not known or language in known


def plain_completion(
    turn: Turn, engine: ChatEngine, generated: Generated, notices: Sequence[Bilingual] = (), adapter: str = ""
) -> AnswerCompleted:
    """The end of an answer that cites nothing; one that claims to rest on documents is told to have seen none."""
    claims = (CLAIMED_DOCUMENTS,) if _CLAIMS_DOCUMENTS.search(generated.text) else ()
    return AnswerCompleted(
        text=generated.text,
        kind="model",
        usage=generated.usage,
        timings=turn.timings(generated.timings),
        notices=(*notices, *claims, *limit_notices(turn, engine, generated)),
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
        notices.append(LANGUAGE_NOT_WRITTEN)
    return tuple(notices)
