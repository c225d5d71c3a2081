"""One question on its way: what every mode needs to know of it."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from core.language import Language, language_of
from core.types import Question, Retrieval, Timings, ToolCall
from orchestrator.events import Route, ToolProposed

# Asked before a call that does more than read: the call to run, edited or not, or None to refuse.
Approve = Callable[[ToolProposed], ToolCall | None]

_ASKED_FOR: tuple[tuple[re.Pattern[str], Language], ...] = (
    (re.compile(r"\b(?:answer|reply|respond|write|say it|translate)\b[^.?!]{0,40}\b(?:in|into) chinese\b", re.I), "zh"),
    (re.compile(r"\b(?:answer|reply|respond|write|say it|translate)\b[^.?!]{0,40}\b(?:in|into) english\b", re.I), "en"),
    (re.compile(r"(?:用|以|译成|翻译成|翻成)\s*(?:中文|汉语|简体中文)"), "zh"),
    (re.compile(r"(?:用|以|译成|翻译成|翻成)\s*(?:英文|英语)"), "en"),
)
_LETTER = re.compile(r"[^\W\d_]")


def never_cancelled() -> bool:
    """Tell that nobody stopped the answer."""
    return False


class PersonNeeded(Exception):
    """Raised by an `Approve` that cannot ask now; the answer ends with the call pending."""


def waits_for_a_person(_proposed: ToolProposed) -> ToolCall | None:
    """Pause: the person is asked after the stream has ended, perhaps after a restart."""
    raise PersonNeeded


@dataclass(frozen=True)
class Turn:
    """A question with its route, the standalone query, the language of the reply and what the router found already.

    `started` is `time.monotonic()` at the question; `route_seconds` what choosing took.
    """

    question: Question
    route: Route
    query: str
    language: Language
    started: float = field(default_factory=time.monotonic)
    route_seconds: float = 0.0
    retrieval: Retrieval | None = None
    retrieve_seconds: float = 0.0
    is_cancelled: Callable[[], bool] = never_cancelled
    approve: Approve = waits_for_a_person

    def timings(self, generation: Timings | None = None, retrieve: float | None = None) -> Timings:
        """The seconds of the whole turn up to now; `generation` are those that the model reported."""
        model = generation or Timings()
        return Timings(
            queued=model.queued,
            route=self.route_seconds,
            retrieve=self.retrieve_seconds if retrieve is None else retrieve,
            first_token=model.first_token,
            generate=model.generate,
            total=time.monotonic() - self.started,
        )


def reply_language(question: Question) -> Language:
    """The language the question asks for, else its own, else that of the last turn with letters."""
    for pattern, language in _ASKED_FOR:
        if pattern.search(question.text):
            return language
    texts = [question.text, *(turn.content for turn in reversed(question.history))]
    return next((language_of(text) for text in texts if _LETTER.search(text)), "en")
