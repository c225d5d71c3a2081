"""The one engine as a person of a shared server meets it: their turns, their adapters, and no way to close it."""

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from core.types import Message
from inference.extensions import ExtensibleEngine
from inference.protocol import GenerationEvent, GenerationRequest, JsonSchema, ModelInfo

_caller: ContextVar[str] = ContextVar("caller", default="")


def caller() -> str:
    """Who asks on this thread, where the engine serves several people; else empty."""
    return _caller.get()


@contextlib.contextmanager
def asking_as(owner: str) -> Iterator[None]:
    """Requests that are made in the block take their turns as those of `owner`."""
    before = _caller.set(owner)
    try:
        yield
    finally:
        _caller.reset(before)


class PersonalEngine:
    """An ExtensibleEngine (`inference.extensions`) over one that others use too.

    `has_own_adapters`: adapter names are those of the owner's folder, which no name can leave; false for a server,
    whose adapters are its own.
    """

    def __init__(self, engine: ExtensibleEngine, owner: str, has_own_adapters: bool = True) -> None:
        self._engine = engine
        self._owner = owner
        self._has_own_adapters = has_own_adapters

    @property
    def info(self) -> ModelInfo:
        """What is known of the model; loads it when it is not loaded yet."""
        return self._engine.info

    def render(self, messages: Sequence[Message], tools: Sequence[JsonSchema] = ()) -> str:
        """Render the chat with the model's own template."""
        return self._engine.render(messages, tools)

    def tokenize(self, text: str) -> list[int]:
        """Token ids of `text`."""
        return self._engine.tokenize(text)

    def count_tokens(self, text: str) -> int:
        """Length of `tokenize(text)`."""
        return self._engine.count_tokens(text)

    def generate(
        self, request: GenerationRequest, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Generator[GenerationEvent, None, None]:
        """Yield events, the last one GenerationFinished; closing the iterator stops the computation."""
        events = iter(self._engine.generate(replace(request, adapter=self._adapter(request.adapter)), is_cancelled))
        try:
            # The place in the queue is taken with the first event.
            with asking_as(self._owner):
                first = next(events, None)
            if first is not None:
                yield first
                yield from events
        finally:
            close = getattr(events, "close", None)
            if close is not None:
                close()

    def log_probabilities(self, prompt: str, continuation: str, adapter: str = "") -> list[float]:
        """Natural-log probability of each token of `continuation` given `prompt` and the tokens before it."""
        with asking_as(self._owner):
            return self._engine.log_probabilities(prompt, continuation, self._adapter(adapter))

    def call(
        self, operation: str, params: Mapping[str, Any], is_cancelled: Callable[[], bool] = lambda: False
    ) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Run an operation beside the model, in its turn. Only for code of ours: `params` may name files."""
        with asking_as(self._owner):
            return self._engine.call(operation, params, is_cancelled)

    def close(self) -> None:
        """Nothing: the others go on."""

    def _adapter(self, name: str) -> str:
        return f"{self._owner}/{name}" if name and self._has_own_adapters else name
