"""The seam of the model runtime: what the layers above may ask of any chat model, real, remote or fake."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from core.types import Message, SamplingSettings, Timings, Usage

FinishReason = Literal["stop", "length", "cancelled"]
JsonSchema = Mapping[str, Any]
# Parameters from which on a model is trusted to choose and to write freely.
LEAST_OF_A_WRITER = 1_000_000_000


@dataclass(frozen=True)
class ModelInfo:
    """What is known of the loaded model. `languages` are those it writes; `sha256` is of the file, empty if remote."""

    name: str
    path: str
    sha256: str
    architecture: str
    quantisation: str
    n_parameters: int
    n_layers: int
    n_embd: int
    n_vocab: int
    n_ctx: int
    n_ctx_train: int
    languages: tuple[str, ...]
    device: str
    gpu_layers: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_small(self) -> bool:
        """Whether the model copies better than it writes: fewer than a billion parameters, where that is known."""
        return 0 < self.n_parameters < LEAST_OF_A_WRITER


@dataclass(frozen=True)
class GenerationRequest:
    """One generation. Either `messages` (rendered with the model's own template) or `prompt` (already rendered).

    `json_schema` forces the output to be valid JSON of that schema; `grammar` is a GBNF/Lark text for other
    constraints; `adapter` names a LoRA adapter (empty: the base model); `top_logprobs` > 0 asks for that many.
    `passages` are the (start, end) of passages in `prompt`, in characters, whose stored KV caches may be used.
    """

    messages: tuple[Message, ...] = ()
    prompt: str = ""
    tools: tuple[JsonSchema, ...] = ()
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    json_schema: JsonSchema | None = None
    grammar: str = ""
    adapter: str = ""
    top_logprobs: int = 0
    conversation_id: str = ""
    passages: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class WaitingInQueue:
    """`position` requests stand before this one."""

    position: int


@dataclass(frozen=True)
class GeneratedText:
    """A piece of text and the tokens it is made of; `logprob` is the last token's natural-log probability."""

    text: str
    token_ids: tuple[int, ...] = ()
    logprob: float | None = None
    top_logprobs: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class GenerationFinished:
    """The last event of every generation that did not raise."""

    reason: FinishReason
    usage: Usage
    timings: Timings
    seed: int | None = None


GenerationEvent = WaitingInQueue | GeneratedText | GenerationFinished


class ChatEngine(Protocol):
    """A chat model behind one queue. Thread-safe. All methods may raise ModelError and its children."""

    @property
    def info(self) -> ModelInfo:
        """What is known of the model; loads it when it is not loaded yet."""
        ...

    def render(self, messages: Sequence[Message], tools: Sequence[JsonSchema] = ()) -> str:
        """Render the chat with the model's own template, ending where the assistant's answer begins."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """Token ids of `text`; special tokens are recognised, none is added."""
        ...

    def count_tokens(self, text: str) -> int:
        """Length of `tokenize(text)`."""
        ...

    def generate(
        self, request: GenerationRequest, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[GenerationEvent]:
        """Yield events, the last one GenerationFinished.

        Closing the iterator stops the computation and frees the queue; so does `is_cancelled` turning true (then
        the reason is `cancelled`).
        """
        ...

    def log_probabilities(self, prompt: str, continuation: str, adapter: str = "") -> list[float]:
        """Natural-log probability of each token of `continuation` given `prompt` and the tokens before it."""
        ...

    def close(self) -> None:
        """Give the memory back. The engine may be used again and then loads again."""
        ...
