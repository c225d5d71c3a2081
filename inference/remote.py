"""A chat model on a server: any OpenAI-compatible endpoint (vLLM, llama-server, Ollama) behind the same seam.

What a server does not offer is said plainly: tokens are counted by estimate, and token ids, log-probabilities and
operations beside the model are refused. A tool call arrives as the text that our own models write for one, a thought
told apart by the server as one that they write. Adapters are those that the server was started with, by its names.
"""

import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, NoReturn

from numpy.typing import NDArray

from core.config import Settings
from core.errors import ModelError, ModelNotFoundError
from core.language import Bilingual
from core.model_server import Address, ModelServer
from core.text_length import estimated_tokens
from core.types import Message, Timings, Usage
from inference.chat_template import CHATML, ChatTemplate, as_dict
from inference.protocol import (
    FinishReason,
    GeneratedText,
    GenerationEvent,
    GenerationFinished,
    GenerationRequest,
    JsonSchema,
    ModelInfo,
)

OPENING, CLOSING = "<think>", "</think>"


@dataclass(frozen=True)
class Endpoint:
    """Where the server is: `url` up to and with `/v1`, the model's name there, a key that may be empty."""

    url: str
    model: str
    api_key: str = field(default="", repr=False)


class RemoteEngine:
    """A ChatEngine over HTTP. The server has its own queue; requests go out at once."""

    def __init__(self, endpoint: Endpoint, n_ctx: int = 4096) -> None:
        self._endpoint = endpoint
        self._server = ModelServer(Address(endpoint.url, endpoint.api_key))
        self._n_ctx = n_ctx
        self._template = ChatTemplate(CHATML)
        self._info: ModelInfo | None = None

    @property
    def info(self) -> ModelInfo:
        """The server's first model where no name was given; sizes that it does not tell are 0.

        `details["adapters"]` are those that it offers for this model: names, with the numbers of llama-server for them.
        """
        if self._info is None:
            try:
                models = self._server.get("/models")["data"]
            except ModelError:
                if not self._endpoint.model:
                    raise
                # The name is enough to ask; the rest is told once the server answers.
                return self._describe([])
            self._info = self._describe(models)
        return self._info

    def render(self, messages: Sequence[Message], tools: Sequence[JsonSchema] = ()) -> str:
        """The chat in ChatML: a picture of the prompt, for the server renders with a template that we do not see."""
        return self._template.render(messages, tools)

    def tokenize(self, text: str) -> list[int]:
        """Refused: a remote model's token ids are not known here. Raises ModelError."""
        _unavailable("token ids", "词元编号")

    def count_tokens(self, text: str) -> int:
        """An estimate from words and characters, on the high side."""
        return estimated_tokens(text)

    def generate(
        self, request: GenerationRequest, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Generator[GenerationEvent, None, None]:
        """Stream the answer. Closing the iterator or cancelling closes the connection, which frees the server."""
        started = time.perf_counter()
        first, usage, reason = 0.0, Usage(), "stop"
        pieces = _Pieces()
        for chunk in self._server.stream("/chat/completions", self._body(request), is_cancelled):
            usage = _usage(chunk) or usage
            text, ended = pieces.take(chunk)
            reason = ended or reason
            if text:
                first = first or time.perf_counter() - started
                yield GeneratedText(text)
        total = time.perf_counter() - started
        final: FinishReason = "cancelled" if is_cancelled() else "length" if reason == "length" else "stop"
        yield GenerationFinished(final, usage, Timings(first_token=first, generate=total - first, total=total))

    def log_probabilities(self, prompt: str, continuation: str, adapter: str = "") -> list[float]:
        """Refused. Raises ModelError."""
        _unavailable("log-probabilities", "对数概率")

    def call(
        self,
        operation: str,
        params: Mapping[str, Any],
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Refused. Raises ModelError."""
        _unavailable("a look inside the model", "查看模型内部")

    def close(self) -> None:
        """Nothing is held here."""

    def _describe(self, models: Sequence[Mapping[str, Any]]) -> ModelInfo:
        if not models and not self._endpoint.model:
            raise ModelNotFoundError(
                Bilingual(
                    en=f"{self._endpoint.url} offers no model. Set FOURFOLD_REMOTE_MODEL.",
                    zh=f"{self._endpoint.url} 没有提供任何模型。请设置 FOURFOLD_REMOTE_MODEL。",
                )
            )
        name = self._endpoint.model or str(models[0]["id"])
        about = next((model for model in models if model.get("id") == name), {})
        # What llama-server tells of a file; other servers tell less.
        sizes: Mapping[str, Any] = about.get("meta") or {}
        told = int(about.get("max_model_len") or sizes.get("n_ctx") or 0)
        n_ctx = min(told, self._n_ctx) if told else self._n_ctx
        details = {"url": self._endpoint.url, "adapters": _vllm_adapters(models, name) | self._loras()}
        return ModelInfo(
            name=PurePath(name).name, path="", sha256="", architecture="remote", quantisation="unknown",
            # Unknown even where told: a model on a server calls tools by the server's own way, however small it is.
            n_parameters=0, n_layers=0, n_embd=int(sizes.get("n_embd") or 0),
            n_vocab=int(sizes.get("n_vocab") or 0), n_ctx=n_ctx,
            n_ctx_train=int(sizes.get("n_ctx_train") or n_ctx), languages=("en", "zh"),
            device=f"remote: {self._server.address.place}", details={**details, "id": name},
        )  # fmt: skip

    def _loras(self) -> dict[str, str | int]:
        """The adapters that a llama-server was started with, as their files are called, and its numbers for them."""
        root = Address(self._endpoint.url.rstrip("/").removesuffix("/v1"), self._endpoint.api_key)
        try:
            listed = ModelServer(root).get("/lora-adapters")
        except ModelError:
            # Other servers do not know this page.
            return {}
        fitting = [item for item in listed if isinstance(item, dict) and "path" in item]
        return {PurePath(str(item["path"])).stem: int(item["id"]) for item in fitting}

    def _with_adapter(self, name: str) -> dict[str, Any]:
        """What a request says to be answered under that adapter, or none. Raises ModelError where it is unknown."""
        offered: Mapping[str, Any] = self.info.details["adapters"]
        numbers = {key: value for key, value in offered.items() if isinstance(value, int)}
        if not name or name in numbers:
            # llama-server puts every adapter into force that nobody speaks of.
            scales = [{"id": value, "scale": float(key == name)} for key, value in numbers.items()]
            return {"lora": scales} if scales else {}
        if name in offered:
            return {"model": name}
        known = ", ".join(offered)
        raise ModelError(
            Bilingual(
                en=f"The model server has no adapter {name!r}; it offers: {known or 'none'}. Start it with one.",
                zh=f"模型服务器没有适配器“{name}”；它提供：{known or '无'}。请在启动服务器时加载适配器。",
            )
        )

    def _body(self, request: GenerationRequest) -> dict[str, Any]:
        messages = request.messages or (Message("user", request.prompt),)
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self.info.details["id"],
            "messages": [_wire(message) for message in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
        }
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if request.tools:
            body["tools"] = [dict(tool) for tool in request.tools]
        if request.json_schema is not None:
            schema = {"name": "answer", "schema": dict(request.json_schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body | self._with_adapter(request.adapter)


class _Pieces:
    """From the pieces of a stream to text as our own models write it.

    A thought is put between its markers; of tool calls the first is put together, as with our own models.
    """

    def __init__(self) -> None:
        self._thinking = False
        self._name = ""
        self._arguments = ""

    def take(self, chunk: Mapping[str, Any]) -> tuple[str, str]:
        """The text that the chunk makes certain, and the reason of the end where it is the last."""
        choice: Mapping[str, Any] = next(iter(chunk.get("choices") or ()), {})
        delta: Mapping[str, Any] = choice.get("delta") or {}
        for piece in delta.get("tool_calls") or ():
            self._take_call(piece)
        ended = str(choice.get("finish_reason") or "")
        thought = str(delta.get("reasoning_content") or delta.get("reasoning") or "")
        text = self._thought(thought) + self._answer(str(delta.get("content") or ""), bool(ended))
        return text + (self._call() if ended else ""), ended

    def _thought(self, text: str) -> str:
        if not text or self._thinking:
            return text
        self._thinking = True
        return OPENING + text

    def _answer(self, text: str, ended: bool) -> str:
        if not self._thinking or not (text or ended):
            return text
        self._thinking = False
        return CLOSING + text

    def _take_call(self, piece: Mapping[str, Any]) -> None:
        if piece.get("index", 0) == 0:
            function = piece.get("function") or {}
            self._name += function.get("name") or ""
            self._arguments += function.get("arguments") or ""

    def _call(self) -> str:
        """The call as text, once; empty where there was none."""
        if not self._name:
            return ""
        name, self._name = self._name, ""
        return f'{{"name": {json.dumps(name, ensure_ascii=False)}, "arguments": {self._arguments or "{}"}}}'


def open_remote(settings: Settings) -> RemoteEngine:
    """The engine of the endpoint that the settings name."""
    return RemoteEngine(Endpoint(settings.remote_url, settings.remote_model, settings.remote_api_key), settings.n_ctx)


def _wire(message: Message) -> dict[str, Any]:
    plain = as_dict(message)
    for call in plain.get("tool_calls", ()):
        # OpenAI's API wants the arguments as text, chat templates want them as an object.
        call["function"]["arguments"] = json.dumps(call["function"]["arguments"], ensure_ascii=False)
    return plain


def _vllm_adapters(models: Sequence[Mapping[str, Any]], base: str) -> dict[str, str | int]:
    """The adapters that vLLM lists beside the model that they belong to."""
    return {str(model["id"]): str(model["id"]) for model in models if model.get("parent") == base}


def _usage(chunk: Mapping[str, Any]) -> Usage | None:
    plain = chunk.get("usage")
    if not plain:
        return None
    cached = (plain.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Usage(int(plain.get("prompt_tokens", 0)), int(plain.get("completion_tokens", 0)), int(cached))


def _unavailable(what: str, what_zh: str) -> NoReturn:
    raise ModelError(
        Bilingual(
            en=f"A remote model does not offer {what}. Unset FOURFOLD_REMOTE_URL to use a model on this machine.",
            zh=f"远程模型不提供{what_zh}。取消设置 FOURFOLD_REMOTE_URL 即可使用本机模型。",
        )
    )
