"""What an answer is made of: the events that `Assistant.answer` yields, in this order.

RouteChosen · QueryRewritten? · SourcesFound? · ContextAssembled · (ToolProposed · ToolFinished)* · Queued* ·
ThinkingDelta* · TextDelta* · AnswerCompleted        or AnswerFailed in place of the last one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.language import Bilingual
from core.types import ConcreteMode, Evidence, Message, ScoredChunk, Timings, ToolCall, Usage

Origin = Literal["template", "system", "history", "source", "tool", "question"]
AnswerKind = Literal["model", "extractive", "refusal", "tool_result"]


@dataclass(frozen=True)
class Signal:
    """One reason for a route: what was seen, and by how much it spoke for the mode (any sign)."""

    name: str
    weight: float
    text: Bilingual


@dataclass(frozen=True)
class Route:
    """Which architecture answers, and why. `confidence` is 0..1; `runner_up` is the second choice."""

    mode: ConcreteMode
    signals: tuple[Signal, ...]
    confidence: float
    runner_up: ConcreteMode | None = None
    chosen_by: Literal["user", "rules", "probe", "vote"] = "rules"


@dataclass(frozen=True)
class RouteChosen:
    """The receipt of the router."""

    route: Route


@dataclass(frozen=True)
class QueryRewritten:
    """A follow-up made standalone."""

    original: str
    rewritten: str


@dataclass(frozen=True)
class Source:
    """A passage under its number, from 1; `used` tells whether it went into the context, `reason` why or why not."""

    number: int
    chunk: ScoredChunk
    used: bool = True
    reason: Bilingual = field(default_factory=lambda: Bilingual("", ""))


@dataclass(frozen=True)
class SourcesFound:
    """What retrieval brought: `searched` chunks in all, the sources considered, the evidence."""

    sources: tuple[Source, ...]
    evidence: Evidence
    searched: int
    milliseconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PromptSpan:
    """A piece of the rendered prompt (character offsets) and where it comes from; `source` is a source's number."""

    start: int
    end: int
    origin: Origin
    tokens: int
    source: int | None = None


@dataclass(frozen=True)
class ContextAssembled:
    """The exact prompt, who wrote which part of it, and what was left out and why."""

    prompt: str
    spans: tuple[PromptSpan, ...]
    tokens_by_origin: Mapping[str, int]
    budget_tokens: int
    left_out: tuple[Bilingual, ...] = ()
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True)
class ToolProposed:
    """The model wants to call a tool. `risk` decides whether it waits for a person.

    `always`: a person allowed this tool for the whole conversation.
    """

    call: ToolCall
    risk: Literal["read", "write", "network"]
    needs_approval: bool
    always: bool = False


@dataclass(frozen=True)
class ToolFinished:
    """A tool's result, or its failure as text that the model reads."""

    call: ToolCall
    result: str
    failed: bool = False
    seconds: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Queued:
    """The model is busy; `position` requests are before this one."""

    position: int


@dataclass(frozen=True)
class ThinkingDelta:
    """A piece of the model's chain of thought, shown folded and never cited."""

    text: str


@dataclass(frozen=True)
class TextDelta:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True)
class Citation:
    """A `[n]` in the answer: where it stands, the source it names, and whether that source supports its sentence.

    `start`/`end` are offsets in the answer's text, `sentence_start`/`sentence_end` those of the sentence it
    supports. `passage_start`/`passage_end` mark, inside the chunk's text, the sentence that fits best. `weight` is
    filled by leave-one-out scoring, in nats.
    """

    number: int
    start: int
    end: int
    sentence_start: int
    sentence_end: int
    supported: bool
    passage_start: int
    passage_end: int
    weight: float | None = None


@dataclass(frozen=True)
class UnsupportedSentence:
    """A sentence of the answer that no source in the context supports, with the reason."""

    start: int
    end: int
    reason: Bilingual


@dataclass(frozen=True)
class AnswerCompleted:
    """The end of a good answer, with its receipt. `stopped` is true where the person cancelled it.

    `confidence` is how sure the model was that the passages hold an answer, 0..1, where it was asked.
    `pending` are calls that wait for a person: the answer goes on with `orchestrator.approval.resume`.
    """

    text: str
    kind: AnswerKind
    usage: Usage
    timings: Timings
    citations: tuple[Citation, ...] = ()
    unsupported: tuple[UnsupportedSentence, ...] = ()
    notices: tuple[Bilingual, ...] = ()
    stopped: bool = False
    model: str = ""
    adapter: str = ""
    seed: int | None = None
    answer_id: str = ""
    pending: tuple[ToolProposed, ...] = ()
    confidence: float | None = None


@dataclass(frozen=True)
class AnswerFailed:
    """The end of an answer that could not be given; `partial` keeps what was written.

    `retry_after_seconds` is set where the model was busy and the same question may be asked again.
    """

    message: Bilingual
    partial: str = ""
    retry_after_seconds: float | None = None


AnswerEvent = (
    RouteChosen
    | QueryRewritten
    | SourcesFound
    | ContextAssembled
    | ToolProposed
    | ToolFinished
    | Queued
    | ThinkingDelta
    | TextDelta
    | AnswerCompleted
    | AnswerFailed
)
