"""The HTTP API in OpenAI's form: `/v1/chat/completions`, `/v1/embeddings`, `/v1/models`, on this machine only.

The models are the four modes and `auto`. Where the client brings tools, a JSON schema or a grammar, the model answers
alone. Citations come in the extra field `fourfold`: of the answer, or of the last chunk of a stream.
"""

import base64
import json
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from app.api_answers import Answers, Delta, End, Failure, OpenAiForm, Part, failure_of
from app.api_gate import LOOPBACK, PERSON, Gate, Who, whoever_has, whoever_logs_in
from app.api_schema import EMBEDDING_MODEL, MODES, ChatRequest, EmbeddingRequest
from app.identity import Person, ProxyLogin, check
from core.config import Settings
from core.errors import FourfoldError, SettingError
from core.language import Bilingual
from core.types import SamplingSettings
from inference.protocol import ChatEngine
from orchestrator.assistant import Assistant
from retrieval.protocol import Embedder

if TYPE_CHECKING:
    from app.people import People

T = TypeVar("T")

# More than the engine's queue holds: who finds it full gets a 429, not a wait for a thread.
THREADS = 256
MOST_TEXTS = 2048


@dataclass(frozen=True)
class Parts:
    """What answers one person's requests."""

    assistant: Assistant
    engine: ChatEngine
    embedder: Embedder


def create_api(assistant: Assistant, engine: ChatEngine, embedder: Embedder, token: str, settings: Settings) -> FastAPI:
    """The application for one person. Every request needs `Authorization: Bearer <token>` and our own Host."""
    parts = Parts(assistant, engine, embedder)
    return _api(lambda _person: parts, whoever_has(token), settings)


def create_shared_api(people: "People", login: ProxyLogin | None) -> FastAPI:
    """The application for several people: each request is answered out of its person's own container."""

    def parts_of(person: Person) -> Parts:
        parts = people.of(person).parts()
        return Parts(parts.assistant, parts.engine, parts.library.embedder)

    return _api(parts_of, whoever_logs_in(people.settings, login), people.settings)


def _api(parts_of: Callable[[Person], Parts], who: Who, settings: Settings) -> FastAPI:
    sampling = SamplingSettings(temperature=settings.temperature, seed=settings.seed, max_tokens=settings.max_tokens)
    api = FastAPI(title="Fourfold", docs_url=None, redoc_url=None, openapi_url=None)
    public = urlsplit(settings.public_url).hostname or ""
    proxied = settings.public_url if settings.login != "none" else None
    api.add_middleware(Gate, who=who, hosts=(*LOOPBACK, settings.host, public), public_url=proxied)
    limiter = anyio.CapacityLimiter(THREADS)

    @api.get("/v1/models")
    def models() -> dict[str, Any]:
        names = [*MODES, EMBEDDING_MODEL]
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "fourfold"} for name in names]
        return {"object": "list", "data": listed}

    @api.post("/v1/chat/completions")
    async def chat(body: ChatRequest, request: Request) -> Response:
        if body.model not in MODES:
            return _error(404, "model_not_found", f"There is no model {body.model!r}; there are {', '.join(MODES)}.")
        try:
            # The first question of a person may wait for the model.
            ready = await anyio.to_thread.run_sync(parts_of, request.scope[PERSON], limiter=limiter)
        except FourfoldError as error:
            return _failure(failure_of(error))
        cancelled = threading.Event()
        parts = Answers(ready.assistant, ready.engine, sampling).parts(body, cancelled.is_set)
        if body.stream:
            return await _streamed(body, parts, cancelled, request, limiter)
        return await _whole(body, parts, cancelled, request, limiter)

    @api.post("/v1/embeddings")
    async def embeddings(body: EmbeddingRequest, request: Request) -> Response:
        if len(body.texts) > MOST_TEXTS:
            return _error(400, "too_many_texts", f"At most {MOST_TEXTS} texts in one request.")
        person = request.scope[PERSON]
        return await anyio.to_thread.run_sync(lambda: _embeddings(parts_of, person, body), limiter=limiter)

    return api


def serve(settings: Settings) -> None:
    """Serve until interrupted. Without the setting `api_token` a new token is made and printed at each start."""
    from app.people import People
    from orchestrator.build import build_assistant
    from retrieval.embedder import open_embedder
    from retrieval.library import Library

    login = check(settings)
    if settings.login != "none":
        _run(create_shared_api(People(settings), login), settings, "")
        return
    if settings.host not in ("127.0.0.1", "localhost", "::1") and not settings.api_token:
        raise SettingError(
            Bilingual(
                en=f"FOURFOLD_HOST is {settings.host}: for other machines set FOURFOLD_API_TOKEN first.",
                zh=f"FOURFOLD_HOST 为 {settings.host}：若要供其他机器访问，请先设置 FOURFOLD_API_TOKEN。",
            )
        )
    token = settings.api_token or secrets.token_urlsafe(24)
    embedder = open_embedder(settings)
    assistant = build_assistant(settings, searcher=Library(settings, embedder).searcher())
    api = create_api(assistant, assistant.services.engine, embedder, token, settings)
    _run(api, settings, f"  API key: {token}")


def _run(api: FastAPI, settings: Settings, told: str) -> None:
    import uvicorn

    print(f"http://{settings.host}:{settings.api_port}/v1{told}", flush=True)  # noqa: T201
    # The address of a connection is the connection's own: no header changes what the login looks at.
    uvicorn.run(
        api,
        host=settings.host,
        port=settings.api_port,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
    )


async def _next(parts: Iterator[Part], limiter: anyio.CapacityLimiter) -> Part | None:
    # Abandoned where the client goes away: the event loop must not wait for a prompt to be read.
    return await anyio.to_thread.run_sync(lambda: next(parts, None), abandon_on_cancel=True, limiter=limiter)


async def _while_connected(request: Request, cancelled: threading.Event, work: Callable[[], Any]) -> Any:
    """Await `work()`; set `cancelled` when the client hangs up meanwhile."""
    result: list[Any] = []
    async with anyio.create_task_group() as group:

        async def watch() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                continue
            cancelled.set()

        group.start_soon(watch)
        result.append(await work())
        group.cancel_scope.cancel()
    return result[0]


async def _whole(
    body: ChatRequest,
    parts: Iterator[Part],
    cancelled: threading.Event,
    request: Request,
    limiter: anyio.CapacityLimiter,
) -> Response:
    async def last_part() -> Part | None:
        return await anyio.to_thread.run_sync(lambda: _last(parts), limiter=limiter)

    part = await _while_connected(request, cancelled, last_part)
    if isinstance(part, End):
        return JSONResponse(OpenAiForm(body.model).whole(part))
    return _failure(part)


async def _streamed(
    body: ChatRequest,
    parts: Iterator[Part],
    cancelled: threading.Event,
    request: Request,
    limiter: anyio.CapacityLimiter,
) -> Response:
    """The first part decides between a stream and an error with a status of its own."""
    first = await _while_connected(request, cancelled, lambda: _next(parts, limiter))
    if not isinstance(first, Delta | End):
        return _failure(first)
    form = OpenAiForm(body.model)
    include_usage = bool(body.stream_options.get("include_usage"))

    async def lines() -> AsyncIterator[str]:
        part: Part | None = first
        sent = ""
        try:
            yield _line(form.chunk({"role": "assistant", "content": ""}))
            while part is not None:
                sent += part.text if isinstance(part, Delta) else ""
                for line in _lines_of(part, form, sent, include_usage):
                    yield line
                part = await _next(parts, limiter)
            yield "data: [DONE]\n\n"
        finally:
            cancelled.set()

    return StreamingResponse(lines(), media_type="text/event-stream")


def _lines_of(part: Part, form: OpenAiForm, sent: str, include_usage: bool) -> list[str]:
    """One part of an answer as server-sent events; `sent` is the text up to and with this part."""
    if isinstance(part, Delta):
        return [_line(form.chunk({"content": part.text}))]
    if isinstance(part, End):
        return [_line(chunk) for chunk in form.last(part, sent, include_usage)]
    return [_line({"error": {"message": str(part.error), "code": part.code}})]


def _last(parts: Iterator[Part]) -> Part | None:
    last = None
    for part in parts:
        last = part
    return last


def _line(chunk: dict[str, Any]) -> str:
    return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"


def _failure(part: Part | None) -> JSONResponse:
    if not isinstance(part, Failure):
        return _error(499, "cancelled", "The client closed the request.")
    response = _error(part.status, part.code, str(part.error), zh=part.error.message.zh)
    seconds = getattr(part.error, "retry_after_seconds", None)
    if seconds is not None:
        response.headers["Retry-After"] = str(int(seconds + 0.999))
    return response


def _error(status: int, code: str, message: str, **more: str) -> JSONResponse:
    kind = "rate_limit_error" if status == 429 else "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse({"error": {"message": message, "type": kind, "code": code, **more}}, status)


def _embeddings(parts_of: Callable[[Person], Parts], person: Person, body: EmbeddingRequest) -> JSONResponse:
    try:
        embedder = parts_of(person).embedder
        vectors = embedder.embed_documents(body.texts)
        tokens = sum(embedder.count_tokens(body.texts))
    except FourfoldError as error:
        return _error(503, "unavailable", str(error), zh=error.message.zh)
    as_text = body.encoding_format == "base64"
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode() if as_text else row.tolist(),
        }
        for index, row in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JSONResponse({"object": "list", "model": EMBEDDING_MODEL, "data": data, "usage": usage})
