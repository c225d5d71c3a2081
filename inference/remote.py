"""A chat model on a server: any OpenAI-compatible endpoint (vLLM, llama-server, Ollama) behind the same seam.

What a server does not offer is said plainly: tokens are counted by estimate, and token ids, log-probabilities, adapters
and operations beside the model are refused. A tool call arrives as the text that our own models write for one.
"""

import http.client
import json
import threading
import time
import urllib.parse
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from numpy.typing import NDArray

from core.config import Settings
from core.errors import ModelBusyError, ModelError, ModelNotFoundError, PromptTooLongError
from core.language import Bilingual
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
from inference.text_length import estimated_tokens

CONNECT_SECONDS = 10.0
READ_SECONDS = 300.0
DONE = "[DONE]"


@dataclass(frozen=True)
class Endpoint:
    """Where the server is: `url` up to and with `/v1`, the model's name there, a key that may be empty."""

    url: str
    model: str
    api_key: str = ""


class RemoteEngine:
    """A ChatEngine over HTTP. The server has its own queue; requests go out at once."""

    def __init__(self, endpoint: Endpoint, n_ctx: int = 4096) -> None:
        self._endpoint = endpoint
        self._n_ctx = n_ctx
        self._template = ChatTemplate(CHATML)
        self._info: ModelInfo | None = None

    @property
    def info(self) -> ModelInfo:
        """The server's first model where no name was given; sizes that it does not tell are 0."""
        if self._info is None:
            name = self._endpoint.model or self._first_model()
            place = urllib.parse.urlsplit(self._endpoint.url).netloc
            self._info = ModelInfo(
                name=name, path="", sha256="", architecture="remote", quantisation="unknown", n_parameters=0,
                n_layers=0, n_embd=0, n_vocab=0, n_ctx=self._n_ctx, n_ctx_train=self._n_ctx,
                languages=("en", "zh"), device=f"remote: {place}", details={"url": self._endpoint.url},
            )  # fmt: skip
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
        if request.adapter:
            _unavailable("adapters", "适配器")
        started = time.perf_counter()
        first, usage, reason = 0.0, Usage(), "stop"
        with _Stream(self._endpoint, self._body(request)) as stream:
            calls = _Calls()
            for chunk in stream.chunks(is_cancelled):
                usage = _usage(chunk) or usage
                text, ended = _delta(chunk)
                calls.take(chunk)
                text += calls.finish() if ended else ""
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

    def _first_model(self) -> str:
        with _Stream(self._endpoint, None) as stream:
            models = json.loads(stream.read())["data"]
        if not models:
            raise ModelNotFoundError(
                Bilingual(
                    en=f"{self._endpoint.url} offers no model. Set FOURFOLD_REMOTE_MODEL.",
                    zh=f"{self._endpoint.url} 没有提供任何模型。请设置 FOURFOLD_REMOTE_MODEL。",
                )
            )
        return str(models[0]["id"])

    def _body(self, request: GenerationRequest) -> dict[str, Any]:
        messages = request.messages or (Message("user", request.prompt),)
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self.info.name,
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
        return body


class _Calls:
    """Puts the pieces of a streamed tool call together; the first call only, as with our own models."""

    def __init__(self) -> None:
        self._name = ""
        self._arguments = ""

    def take(self, chunk: Mapping[str, Any]) -> None:
        """Take what the chunk holds of a call."""
        for choice in chunk.get("choices") or []:
            for piece in choice.get("delta", {}).get("tool_calls") or []:
                if piece.get("index", 0) == 0:
                    function = piece.get("function") or {}
                    self._name += function.get("name") or ""
                    self._arguments += function.get("arguments") or ""

    def finish(self) -> str:
        """The call as text, once; empty where there was none."""
        if not self._name:
            return ""
        name, self._name = self._name, ""
        return f'{{"name": {json.dumps(name, ensure_ascii=False)}, "arguments": {self._arguments or "{}"}}}'


class _Stream:
    """One HTTP exchange: a POST to the chat where there is a body, else a GET of the models."""

    def __init__(self, endpoint: Endpoint, body: Mapping[str, Any] | None) -> None:
        parts = urllib.parse.urlsplit(endpoint.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._url = endpoint.url
        self._connection = kind(parts.netloc, timeout=CONNECT_SECONDS)
        self._path = parts.path.rstrip("/") + ("/models" if body is None else "/chat/completions")
        self._body = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        self._headers = {"Content-Type": "application/json"}
        if endpoint.api_key:
            self._headers["Authorization"] = f"Bearer {endpoint.api_key}"

    def __enter__(self) -> "_Stream":
        method = "GET" if self._body is None else "POST"
        try:
            self._connection.request(method, self._path, self._body, self._headers)
            if self._connection.sock:
                self._connection.sock.settimeout(READ_SECONDS)
            self._response = self._connection.getresponse()
        except OSError as error:
            self._connection.close()
            raise _unreachable(self._url, error) from error
        if self._response.status != 200:
            detail = self._response.read(2000).decode("utf-8", errors="replace")
            self._connection.close()
            raise _refused(self._url, self._response.status, detail, self._response.headers.get("Retry-After", ""))
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def read(self) -> bytes:
        """The whole body."""
        return self._response.read()

    def chunks(self, is_cancelled: Callable[[], bool]) -> Iterator[Mapping[str, Any]]:
        """The objects of a server-sent stream; ends early when cancelled, also while the server is silent."""
        watcher = _Watcher(is_cancelled, self._connection)
        try:
            for line in self._response:
                if is_cancelled():
                    return
                data = line.decode("utf-8", errors="replace").strip().removeprefix("data:").strip()
                if data == DONE:
                    return
                if data.startswith("{"):
                    yield json.loads(data)
        except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:
            # The watcher closed the connection under the reader: that is the cancel, not a failure.
            if not is_cancelled():
                raise _unreachable(self._url, error) from error
        finally:
            watcher.stop()


class _Watcher:
    """Closes the connection when the caller no longer wants the answer."""

    def __init__(self, is_cancelled: Callable[[], bool], connection: http.client.HTTPConnection) -> None:
        self._stopped = threading.Event()

        def watch() -> None:
            while not self._stopped.wait(0.02):
                if is_cancelled() and connection.sock is not None:
                    connection.sock.close()
                    return

        threading.Thread(target=watch, daemon=True).start()

    def stop(self) -> None:
        """End the watch."""
        self._stopped.set()


def open_remote(settings: Settings) -> RemoteEngine:
    """The engine of the endpoint that the settings name."""
    return RemoteEngine(Endpoint(settings.remote_url, settings.remote_model, settings.remote_api_key), settings.n_ctx)


def _wire(message: Message) -> dict[str, Any]:
    plain = as_dict(message)
    for call in plain.get("tool_calls", ()):
        # OpenAI's API wants the arguments as text, chat templates want them as an object.
        call["function"]["arguments"] = json.dumps(call["function"]["arguments"], ensure_ascii=False)
    return plain


def _delta(chunk: Mapping[str, Any]) -> tuple[str, str]:
    choices = chunk.get("choices") or [{}]
    return str(choices[0].get("delta", {}).get("content") or ""), str(choices[0].get("finish_reason") or "")


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


def _unreachable(url: str, error: Exception) -> ModelError:
    return ModelError(
        Bilingual(
            en=f"The server at {url} does not answer ({error}). Start it or change FOURFOLD_REMOTE_URL.",
            zh=f"{url} 处的服务器没有响应（{error}）。请启动它，或修改 FOURFOLD_REMOTE_URL。",
        )
    )


def _refused(url: str, status: int, detail: str, retry_after: str) -> ModelError:
    message = Bilingual(
        en=f"The server at {url} refused the request with status {status}: {detail[:300]}",
        zh=f"{url} 处的服务器拒绝了请求，状态码 {status}：{detail[:300]}",
    )
    if status in (429, 503):
        return ModelBusyError(message, float(retry_after) if retry_after.isdigit() else 5.0)
    if "context" in detail and status == 400:
        return PromptTooLongError(message)
    return ModelNotFoundError(message) if status == 404 else ModelError(message)
