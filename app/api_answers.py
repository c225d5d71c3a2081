"""From our events to OpenAI's objects: pieces of an answer, its end, and the sources it cites."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.api_schema import MODES, ChatRequest
from core.errors import (
    CollectionNotFoundError,
    FourfoldError,
    ModelBusyError,
    ModelNotFoundError,
    PromptTooLongError,
)
from core.types import AnswerOptions, Message, Question, SamplingSettings, Scope, ToolCall, Usage
from inference.function_calling import call_grammar, parse_call
from inference.protocol import ChatEngine, GeneratedText, GenerationFinished, GenerationRequest
from orchestrator.assistant import Assistant
from orchestrator.events import (
    AnswerCompleted,
    AnswerFailed,
    Citation,
    RouteChosen,
    Source,
    SourcesFound,
    TextDelta,
)

Cancelled = Callable[[], bool]


@dataclass(frozen=True)
class Delta:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True)
class End:
    """The end of an answer; `text` is the whole of it, `extra` our own field `fourfold`."""

    text: str
    reason: str
    usage: Usage
    model: str
    tool_calls: tuple[ToolCall, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """Why there is no answer."""

    status: int
    code: str
    error: FourfoldError


Part = Delta | End | Failure


class Answers:
    """Answers requests with the assistant, or with the model alone where the client brings tools or a schema."""

    def __init__(self, assistant: Assistant, engine: ChatEngine, sampling: SamplingSettings) -> None:
        self._assistant = assistant
        self._engine = engine
        self._sampling = sampling

    def parts(self, request: ChatRequest, is_cancelled: Cancelled) -> Iterator[Part]:
        """The pieces of one answer; End or Failure comes last."""
        direct = request.tools or request.json_schema is not None or request.grammar
        try:
            yield from self._of_model(request, is_cancelled) if direct else self._of_assistant(request, is_cancelled)
        except FourfoldError as error:
            yield failure_of(error)

    def _of_assistant(self, request: ChatRequest, is_cancelled: Cancelled) -> Iterator[Part]:
        mode, sources = "", tuple[Source, ...]()
        for event in self._assistant.answer(_question(request, self._sampling), is_cancelled):
            if isinstance(event, RouteChosen):
                mode = event.route.mode
            elif isinstance(event, SourcesFound):
                sources = event.sources
            elif isinstance(event, TextDelta):
                yield Delta(event.text)
            elif isinstance(event, AnswerCompleted):
                extra = _extra(event, mode, sources)
                yield End(event.text, "stop", event.usage, event.model, extra=extra)
            elif isinstance(event, AnswerFailed):
                yield _failed(event)

    def _of_model(self, request: ChatRequest, is_cancelled: Cancelled) -> Iterator[Part]:
        tools = () if request.choice == "none" else tuple(request.tools)
        generation = GenerationRequest(
            messages=tuple(message.to_message() for message in request.messages),
            tools=tools,
            sampling=request.sampling(self._sampling),
            json_schema=request.json_schema,
            grammar=call_grammar(tools, request.choice) if tools else request.grammar,
            adapter=request.adapter,
            conversation_id=request.conversation_id,
        )
        text = ""
        for event in self._engine.generate(generation, is_cancelled):
            if isinstance(event, GeneratedText):
                text += event.text
                # Whether text or a call is coming is known only when a call has come to its end.
                if not tools or text.lstrip()[:1] not in ("", "{", "<"):
                    yield Delta(event.text)
            elif isinstance(event, GenerationFinished):
                call = parse_call(text, f"call_{uuid.uuid4().hex[:12]}") if tools else None
                reason = "tool_calls" if call else "length" if event.reason == "length" else "stop"
                yield End("" if call else text, reason, event.usage, request.model, (call,) if call else ())


class OpenAiForm:
    """Writes the parts of one answer as OpenAI's objects."""

    def __init__(self, model: str) -> None:
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex[:24]}", "created": int(time.time()), "model": model}

    def whole(self, end: End) -> dict[str, Any]:
        """The object of an answer that is not streamed."""
        message: dict[str, Any] = {"role": "assistant", "content": None if end.tool_calls else end.text}
        if end.tool_calls:
            message["tool_calls"] = [_call(call) for call in end.tool_calls]
        choice = {"index": 0, "message": message, "finish_reason": end.reason, "logprobs": None}
        usage, extra = usage_of(end.usage), {"fourfold": dict(end.extra)}
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": usage, **extra}

    def chunk(self, delta: Mapping[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
        """One object of a stream."""
        choice = {"index": 0, "delta": dict(delta), "finish_reason": reason, "logprobs": None}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice], **more}

    def last(self, end: End, sent: str, include_usage: bool) -> Iterator[dict[str, Any]]:
        """The objects that end a stream, of which the text `sent` has gone out."""
        if end.tool_calls:
            calls = [{"index": index, **_call(call)} for index, call in enumerate(end.tool_calls)]
            yield self.chunk({"tool_calls": calls})
        elif not sent and end.text:
            yield self.chunk({"content": end.text})
        extra = dict(end.extra)
        if sent and not end.tool_calls and sent != end.text:
            # A check changed the answer after it had been streamed: the client gets the text that stands.
            extra["text"] = end.text
        yield self.chunk({}, end.reason, fourfold=extra)
        if include_usage:
            yield {**self.chunk({}), "choices": [], "usage": usage_of(end.usage)}


def usage_of(usage: Usage) -> dict[str, Any]:
    """Token counts in OpenAI's form."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def failure_of(error: FourfoldError) -> Failure:
    """The HTTP status and code of an error."""
    if isinstance(error, ModelBusyError):
        return Failure(429, "model_busy", error)
    if isinstance(error, PromptTooLongError):
        return Failure(400, "context_length_exceeded", error)
    if isinstance(error, CollectionNotFoundError | ModelNotFoundError):
        return Failure(404, "not_found", error)
    return Failure(503, "unavailable", error)


def _failed(event: AnswerFailed) -> Failure:
    if event.retry_after_seconds is not None:
        return failure_of(ModelBusyError(event.message, event.retry_after_seconds))
    return failure_of(FourfoldError(event.message))


def _question(request: ChatRequest, default: SamplingSettings) -> Question:
    """The last user message is the question; what came before it is the history."""
    messages = [message.to_message() for message in request.messages]
    last = max((place for place, message in enumerate(messages) if message.role == "user"), default=-1)
    asked = messages[last] if last >= 0 else Message("user", "")
    system = "\n".join(message.content for message in messages if message.role == "system")
    return Question(
        text=asked.content,
        history=tuple(message for message in messages[: max(last, 0)] if message.role in ("user", "assistant")),
        mode=MODES[request.model],
        scope=Scope(collection=request.collection),
        conversation_id=request.conversation_id,
        adapter=request.adapter,
        options=AnswerOptions(system=system, sampling=request.sampling(default)),
    )


def _extra(event: AnswerCompleted, mode: str, sources: tuple[Source, ...]) -> dict[str, Any]:
    by_number = {source.number: source for source in sources}
    return {
        "mode": mode,
        "kind": event.kind,
        "citations": [_citation(citation, by_number.get(citation.number)) for citation in event.citations],
        "unsupported": [{"start": sentence.start, "end": sentence.end} for sentence in event.unsupported],
        "notices": [{"en": notice.en, "zh": notice.zh} for notice in event.notices],
    }


def _citation(citation: Citation, source: Source | None) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "number": citation.number,
        "start": citation.start,
        "end": citation.end,
        "supported": citation.supported,
    }
    if source is not None:
        chunk = source.chunk.chunk
        passage = chunk.text[citation.passage_start : citation.passage_end] or chunk.text
        plain |= {"title": chunk.title, "uri": chunk.uri, "page": chunk.page, "passage": passage}
    return plain


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}
