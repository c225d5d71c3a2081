"""A chat engine without a model: scripted answers behind the real seam, for tests and for demonstrations."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from core.types import Message, Timings, Usage
from inference.chat_template import CHATML, ChatTemplate
from inference.protocol import (
    FinishReason,
    GeneratedText,
    GenerationEvent,
    GenerationFinished,
    GenerationRequest,
    JsonSchema,
    ModelInfo,
)

Answer = str | Exception
Script = Sequence[Answer] | Callable[[GenerationRequest], Answer]

# A token is a word with the space before it, one Chinese character, or one other sign.
_TOKEN = re.compile(r" ?[^\W\u3400-\u9fff]+|\s|.", re.DOTALL)

FAKE_INFO = ModelInfo(
    name="Fake",
    path="",
    sha256="",
    architecture="fake",
    quantisation="none",
    n_parameters=0,
    n_layers=1,
    n_embd=8,
    n_vocab=0,
    n_ctx=4096,
    n_ctx_train=4096,
    languages=("en", "zh"),
    device="CPU, because this is a fake",
)


class FakeEngine:
    """Gives the scripted answers in turn (the last one again and again), or what a function makes of the request.

    An exception among the answers is raised. `requests` keeps what was asked. A token has the log-probability that
    `score` gives for (prompt, continuation), -1.0 without it. Thread-safe.
    """

    def __init__(
        self,
        answers: Script = ("Fake answer.",),
        info: ModelInfo = FAKE_INFO,
        score: Callable[[str, str], float] = lambda _prompt, _continuation: -1.0,
        operations: Mapping[str, Callable[[Mapping[str, Any]], tuple[dict[str, Any], dict[str, NDArray[Any]]]]]
        | None = None,
    ) -> None:
        self.info = info
        self.requests: list[GenerationRequest] = []
        self._answers = answers
        self._score = score
        self._operations = dict(operations or {})
        self._template = ChatTemplate(CHATML)
        self._ids: dict[str, int] = {}
        self._lock = threading.Lock()

    def render(self, messages: Sequence[Message], tools: Sequence[JsonSchema] = ()) -> str:
        """The chat in ChatML."""
        return self._template.render(messages, tools)

    def tokenize(self, text: str) -> list[int]:
        """One id per word, Chinese character or sign; the same piece always has the same id."""
        with self._lock:
            return [self._ids.setdefault(piece, len(self._ids)) for piece in _TOKEN.findall(text)]

    def count_tokens(self, text: str) -> int:
        """Length of `tokenize(text)`."""
        return len(self.tokenize(text))

    def generate(
        self, request: GenerationRequest, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[GenerationEvent]:
        """The next scripted answer, token by token, within `max_tokens` and before the first stop string."""
        answer = self._next(request)
        if isinstance(answer, Exception):
            raise answer
        prompt_tokens = self.count_tokens(request.prompt or self.render(request.messages, request.tools))
        text, reason = _stopped(answer, request.sampling.stop)
        given = 0
        for piece in _TOKEN.findall(text):
            if is_cancelled():
                reason = "cancelled"
                break
            if given == request.sampling.max_tokens:
                reason = "length"
                break
            given += 1
            yield GeneratedText(piece, tuple(self.tokenize(piece)))
        yield GenerationFinished(reason, Usage(prompt_tokens, given), Timings(), request.sampling.seed)

    def log_probabilities(self, prompt: str, continuation: str, adapter: str = "") -> list[float]:
        """The same value for every token of `continuation`."""
        return [self._score(prompt, continuation)] * self.count_tokens(continuation)

    def call(
        self,
        operation: str,
        params: Mapping[str, Any],
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Run one of the `operations` given at the start. Raises KeyError for another."""
        return self._operations[operation](params)

    def close(self) -> None:
        """Nothing to give back."""

    def _next(self, request: GenerationRequest) -> Answer:
        with self._lock:
            self.requests.append(request)
            if callable(self._answers):
                return self._answers(request)
            return self._answers[min(len(self.requests), len(self._answers)) - 1]


def _stopped(answer: str, stop: Sequence[str]) -> tuple[str, FinishReason]:
    found = [at for at in (answer.find(text) for text in stop if text) if at >= 0]
    return answer[: min(found)] if found else answer, "stop"
