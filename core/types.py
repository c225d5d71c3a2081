"""The frozen values that travel between the layers.

Words mean one thing each: a `score` rises with relevance, a `distance` falls; a `source` is a passage shown to the
model under a number; a `citation` is a `[n]` in an answer; spans are half-open character offsets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Mode = Literal["auto", "prompt", "tools", "rag", "finetuned"]
ConcreteMode = Literal["prompt", "tools", "rag", "finetuned"]
Role = Literal["system", "user", "assistant", "tool"]
EvidenceLevel = Literal["strong", "weak", "none"]

CONCRETE_MODES: tuple[ConcreteMode, ...] = ("prompt", "tools", "rag", "finetuned")
DEFAULT_COLLECTION = "default"


@dataclass(frozen=True)
class Page:
    """The text of one page, slide or sheet; `number` counts from 1, or is None where the format has no pages."""

    text: str
    number: int | None = None
    label: str = ""


@dataclass(frozen=True)
class Document:
    """One file, read. `text` of the whole document is its pages joined by `PAGE_BREAK`; spans count in that text."""

    uri: str
    title: str
    pages: tuple[Page, ...]
    content_hash: str
    media_type: str = "text/plain"
    language: str = "en"
    metadata: Mapping[str, Any] = field(default_factory=dict)


PAGE_BREAK = "\n\n"


@dataclass(frozen=True)
class Chunk:
    """A passage of a document: the unit that is embedded, searched and cited.

    `start` and `end` are offsets into the document's text; `page` is the number of the page on which it begins;
    `position` is its place among the chunks of the document, from 0.
    """

    id: str
    document_id: str
    text: str
    position: int
    start: int
    end: int
    page: int | None = None
    heading_path: tuple[str, ...] = ()
    title: str = ""
    uri: str = ""
    language: str = "en"
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def embedded_text(self) -> str:
        """The text that is embedded and indexed: title and headings first, a table's header, then the passage."""
        names = [name for name in (self.title, *self.heading_path) if name]
        unique = list(dict.fromkeys(names))
        lines = (" › ".join(unique), str(self.metadata.get("table_header", "")), self.text)
        return "\n".join(line for line in lines if line)


@dataclass(frozen=True)
class ScoredChunk:
    """A chunk and its score (higher is better). `legs` tells what each leg gave: {"dense": 0.61, "lexical": 12.3}.

    `ranks` are the places in each leg, from 1; `shares` what each leg put into `score`, which is their sum.
    """

    chunk: Chunk
    score: float
    legs: Mapping[str, float] = field(default_factory=dict)
    ranks: Mapping[str, int] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)


# A signal of the evidence, 0..1: how much of the collection had vectors, where a passage that was found had none yet.
EMBEDDED_SHARE = "embedded"
# Another: by how many of their standard deviations a question stands above foreign ones.
DISTANCE = "distance"


@dataclass(frozen=True)
class Evidence:
    """How sure the collection is that it holds the answer. `value` is calibrated to 0..1, higher is better."""

    level: EvidenceLevel
    value: float
    signals: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Scope:
    """Where to search. An empty filter lets everything through.

    Several values of one filter are alternatives (OR); several filters must all hold (AND).
    """

    collection: str = DEFAULT_COLLECTION
    document_ids: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    modified_after: float | None = None
    modified_before: float | None = None

    @property
    def is_filtered(self) -> bool:
        """Whether anything but the collection narrows the search."""
        return self != Scope(collection=self.collection)


@dataclass(frozen=True)
class Retrieval:
    """The answer of a search: the chunks, best first, with the evidence and what each step took in milliseconds."""

    query: str
    chunks: tuple[ScoredChunk, ...]
    evidence: Evidence
    searched: int
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ToolCall:
    """A call that a model proposed: `arguments` as parsed JSON."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Message:
    """One turn of a chat."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""


@dataclass(frozen=True)
class SamplingSettings:
    """How the next token is drawn. `temperature` 0 is greedy; `seed` None lets the runtime choose and report one."""

    temperature: float = 0.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int | None = 42
    max_tokens: int = 512
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class DecidedCall:
    """A call of an answer that paused: run before the pause (`result` is there), or now decided by a person.

    `call` holds the arguments as the person left them; `failed` belongs to `result`. `always`: this tool need not be
    asked for again in the conversation.
    """

    call: ToolCall
    allowed: bool = True
    result: str | None = None
    failed: bool = False
    always: bool = False


@dataclass(frozen=True)
class AnswerOptions:
    """Switches of one answer. `sampling` None and `top_k` 0 mean: as the settings say; `system` "" : our own.

    `resumed` continues an answer that waited for a person; `allowed_tools` run without asking in this conversation.
    """

    rewrite: bool = True
    step_by_step: bool = False
    extractive: bool = False
    system: str = ""
    top_k: int = 0
    sampling: SamplingSettings | None = None
    resumed: tuple[DecidedCall, ...] = ()
    allowed_tools: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """What a person asks, with everything that the answer may depend on. `history` is oldest first."""

    text: str
    history: tuple[Message, ...] = ()
    mode: Mode = "auto"
    scope: Scope = field(default_factory=Scope)
    conversation_id: str = ""
    adapter: str = ""
    options: AnswerOptions = field(default_factory=AnswerOptions)


@dataclass(frozen=True)
class Usage:
    """Token counts of one generation; `cached_tokens` of the prompt were not computed again.

    `stored_tokens` were put together from passages that had been read before, elsewhere: not quite what reading them
    here would give.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    stored_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class Timings:
    """Wall-clock seconds of one answer; zero where a phase did not take place."""

    queued: float = 0.0
    route: float = 0.0
    retrieve: float = 0.0
    first_token: float = 0.0
    generate: float = 0.0
    total: float = 0.0
