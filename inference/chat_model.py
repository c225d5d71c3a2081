"""The engine as LangChain's BaseChatModel, so that it fits into any chain, agent or tool of that world."""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, SkipValidation

from core.types import Message, SamplingSettings, ToolCall, Usage
from inference.function_calling import call_grammar, parse_call
from inference.protocol import ChatEngine, GeneratedText, GenerationFinished, GenerationRequest

# LangChain's names for a forced call.
_FORCED = {"any", "required", "true"}


class FourfoldChatModel(BaseChatModel):
    """A chat model over any ChatEngine. Tool calls are constrained by a grammar and always fit their schema.

    Parameters given to one call (`temperature`, `max_tokens`, `seed`, `stop`, `json_schema`, `adapter`) win over the
    model's own.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="ignore")

    engine: SkipValidation[ChatEngine]
    temperature: float = 0.0
    max_tokens: int = 512
    seed: int | None = 42
    stop: list[str] | None = None
    adapter: str = ""

    @property
    def _llm_type(self) -> str:
        return "fourfold"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return LangSmithParams(
            ls_provider="fourfold",
            ls_model_name=str(kwargs.get("model") or self.engine.info.name),
            ls_model_type="chat",
            ls_temperature=kwargs.get("temperature", self.temperature),
            ls_max_tokens=kwargs.get("max_tokens", self.max_tokens),
            ls_stop=stop or self.stop or [],
        )

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Let the model call `tools`; `tool_choice` is `auto`, `any` or the name of the tool that must be called."""
        choice = str(tool_choice or "auto")
        return self.bind(
            tools=[convert_to_openai_tool(tool) for tool in tools],
            tool_choice="required" if choice.lower() in _FORCED else choice,
            **kwargs,
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs)
        collect = bool(request.tools)
        held = ""
        for event in self.engine.generate(request):
            if isinstance(event, GeneratedText):
                # What begins like a call is held back until it can be read as a whole.
                if collect and (held or event.text.lstrip().startswith(("{", "<"))):
                    held += event.text
                    continue
                yield _chunk(event.text, run_manager)
            elif isinstance(event, GenerationFinished):
                if held:
                    yield _call_or_text(held, run_manager)
                yield self._last_chunk(event)

    def _request(self, messages: list[BaseMessage], stop: list[str] | None, given: dict[str, Any]) -> GenerationRequest:
        tools = tuple(given.get("tools") or ())
        choice = str(given.get("tool_choice") or "auto")
        tools = () if choice == "none" else tools
        sampling = SamplingSettings(
            temperature=given.get("temperature", self.temperature),
            max_tokens=given.get("max_tokens", self.max_tokens),
            seed=given.get("seed", self.seed),
            stop=tuple(stop or self.stop or ()),
        )
        return GenerationRequest(
            messages=tuple(from_langchain(message) for message in messages),
            tools=tools,
            sampling=sampling,
            json_schema=given.get("json_schema"),
            grammar=call_grammar(tools, choice) if tools else "",
            adapter=str(given.get("adapter", self.adapter)),
        )

    def _last_chunk(self, event: GenerationFinished) -> ChatGenerationChunk:
        metadata = {
            "model_name": self.engine.info.name,
            "finish_reason": event.reason,
            "seed": event.seed,
            "first_token_seconds": event.timings.first_token,
        }
        message = AIMessageChunk(
            content="",
            usage_metadata=_usage(event.usage),
            response_metadata=metadata,
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message, generation_info={"finish_reason": event.reason})


def from_langchain(message: BaseMessage) -> Message:
    """Our message of LangChain's; of content in blocks only the text is kept."""
    text = str(message.text)
    if isinstance(message, SystemMessage):
        return Message("system", text)
    if isinstance(message, ToolMessage):
        return Message("tool", text, tool_call_id=message.tool_call_id, name=message.name or "")
    if isinstance(message, AIMessage):
        calls = tuple(ToolCall(call["id"] or "", call["name"], call["args"]) for call in message.tool_calls)
        return Message("assistant", text, tool_calls=calls)
    return Message("user", text, name=message.name or "")


def _chunk(text: str, run_manager: CallbackManagerForLLMRun | None) -> ChatGenerationChunk:
    chunk = ChatGenerationChunk(message=AIMessageChunk(content=text))
    if run_manager is not None:
        run_manager.on_llm_new_token(text, chunk=chunk)
    return chunk


def _call_or_text(text: str, run_manager: CallbackManagerForLLMRun | None) -> ChatGenerationChunk:
    call = parse_call(text, f"call_{uuid.uuid4().hex[:12]}")
    if call is None:
        # Cut off by `max_tokens` in the middle of a call: shown as it is, never guessed at.
        return _chunk(text, run_manager)
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
    part = tool_call_chunk(name=call.name, args=arguments, id=call.id, index=0)
    return ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[part]))


def _usage(usage: Usage) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        input_token_details=InputTokenDetails(cache_read=usage.cached_tokens),
    )
