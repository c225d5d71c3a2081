"""What clients of the HTTP API may send: OpenAI's form, and four fields of our own."""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from core.types import DEFAULT_COLLECTION, Message, Mode, SamplingSettings, ToolCall

MODES: dict[str, Mode] = {
    "fourfold-auto": "auto",
    "fourfold-prompt": "prompt",
    "fourfold-tools": "tools",
    "fourfold-rag": "rag",
    "fourfold-finetuned": "finetuned",
}
EMBEDDING_MODEL = "fourfold-embedding"


class FunctionCall(BaseModel):
    """A call that the model made in an earlier turn; `arguments` is an object as JSON text."""

    name: str
    arguments: str = "{}"

    @field_validator("arguments")
    @classmethod
    def _is_an_object(cls, text: str) -> str:
        try:
            read = json.loads(text)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if not isinstance(read, dict):
            raise ValueError("not an object")
        return text


class PastCall(BaseModel):
    """The same with its id."""

    id: str = ""
    function: FunctionCall


class ChatMessage(BaseModel):
    """One turn; content is text or a list of parts, of which only text is read."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[PastCall] = Field(default_factory=list)
    tool_call_id: str = ""
    name: str = ""

    def to_message(self) -> Message:
        """Our own form."""
        role = "system" if self.role == "developer" else self.role
        calls = tuple(
            ToolCall(call.id, call.function.name, json.loads(call.function.arguments)) for call in self.tool_calls
        )
        return Message(role, self.text, calls, self.tool_call_id, self.name)

    @property
    def text(self) -> str:
        """The text of the content."""
        if isinstance(self.content, list):
            return "\n".join(str(part.get("text", "")) for part in self.content if part.get("type") == "text")
        return self.content or ""


class ChatRequest(BaseModel):
    """The body of `/v1/chat/completions`. Ours: `collection`, `adapter`, `conversation_id`, `grammar`."""

    model_config = ConfigDict(extra="ignore")

    model: str = "fourfold-auto"
    messages: list[ChatMessage] = Field(min_length=1, max_length=2000)
    stream: bool = False
    stream_options: dict[str, Any] = Field(default_factory=dict)
    temperature: float | None = Field(None, ge=0, le=5)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=0, le=2**32 - 1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    stop: str | list[str] | None = None
    tools: list[dict[str, Any]] = Field(default_factory=list)
    tool_choice: str | dict[str, Any] = "auto"
    response_format: dict[str, Any] = Field(default_factory=dict)
    collection: str = DEFAULT_COLLECTION
    adapter: str = ""
    conversation_id: str = ""
    grammar: str = ""

    @property
    def json_schema(self) -> dict[str, Any] | None:
        """The schema that the answer must obey, or None."""
        kind = self.response_format.get("type")
        if kind == "json_object":
            return {"type": "object"}
        schema: dict[str, Any] | None = self.response_format.get("json_schema", {}).get("schema")
        return schema if kind == "json_schema" else None

    @property
    def choice(self) -> str:
        """`auto`, `required`, `none`, or the name of the tool that must be called."""
        if isinstance(self.tool_choice, dict):
            return str(self.tool_choice.get("function", {}).get("name", "required"))
        return self.tool_choice

    def sampling(self, default: SamplingSettings) -> SamplingSettings:
        """The settings of this request over the default ones."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return SamplingSettings(
            temperature=default.temperature if self.temperature is None else self.temperature,
            top_p=default.top_p if self.top_p is None else self.top_p,
            seed=default.seed if self.seed is None else self.seed,
            max_tokens=self.max_completion_tokens or self.max_tokens or default.max_tokens,
            stop=stop,
        )


class EmbeddingRequest(BaseModel):
    """The body of `/v1/embeddings`."""

    model_config = ConfigDict(extra="ignore")

    model: str = EMBEDDING_MODEL
    input: str | list[str]
    encoding_format: Literal["float", "base64"] = "float"

    @property
    def texts(self) -> list[str]:
        """The texts, one vector each."""
        return [self.input] if isinstance(self.input, str) else self.input
