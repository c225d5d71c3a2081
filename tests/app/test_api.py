"""The HTTP API through a real socket: the official `openai` client, and requests that a foreign page would make."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import uvicorn

from app.api import create_api
from core.config import load_settings
from core.errors import ModelBusyError
from core.language import Bilingual
from core.types import Chunk, Evidence, Question, ScoredChunk, Timings, Usage
from inference.fakes import FakeEngine
from inference.protocol import GeneratedText, GenerationRequest
from orchestrator.events import (
    AnswerCompleted,
    AnswerEvent,
    AnswerFailed,
    Citation,
    Route,
    RouteChosen,
    Source,
    SourcesFound,
    TextDelta,
)

TOKEN = "only-for-this-test"
TEXT = "The tower is in Paris [1]."
ADD = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}},
}


class ScriptedAssistant:
    """The door of the orchestrator with a script behind it; questions are kept."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.closed = threading.Event()

    def answer(self, question: Question, is_cancelled: Any = lambda: False) -> Iterator[AnswerEvent]:
        self.questions.append(question)
        if question.text == "busy":
            yield AnswerFailed(Bilingual("The model is busy.", "模型正忙。"), retry_after_seconds=7.2)
            return
        yield RouteChosen(Route("rag", (), 1.0))
        chunk = ScoredChunk(Chunk("c", "d", "It stands in Paris.", 0, 0, 19, page=3, title="Towers"), 1.0)
        yield SourcesFound((Source(1, chunk),), Evidence("strong", 0.9), 10)
        yield TextDelta(TEXT[:9])
        while question.text == "endless" and not is_cancelled():
            time.sleep(0.005)
        if is_cancelled():
            self.closed.set()
        yield TextDelta(TEXT[9:])
        citation = Citation(1, 22, 25, 0, 26, True, 0, 19)
        yield AnswerCompleted(TEXT, "model", Usage(20, 8, 12), Timings(), (citation,), model="fake")


class TinyEmbedder:
    """Two texts of two numbers each; enough to see the order and the bytes."""

    name, dimension, max_tokens, languages = "tiny", 2, 16, ("en",)

    def count_tokens(self, texts: list[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def embed_documents(self, texts: list[str]) -> np.ndarray[Any, Any]:
        return np.array([[len(text), 0.5] for text in texts], dtype=np.float32)


def model_alone(request: GenerationRequest) -> str | Exception:
    asked = request.messages[-1].content
    if asked == "full":
        return ModelBusyError(Bilingual("busy", "忙"), 3.0)
    if request.tools:
        return '{"name": "add", "arguments": {"a": 1}}' if "Use" in asked else "No call."
    return '{"city": "巴黎"}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    assistant, engine = ScriptedAssistant(), FakeEngine(model_alone)
    settings = load_settings(home=tmp_path_factory.mktemp("api"))
    api = create_api(assistant, engine, TinyEmbedder(), TOKEN, settings)  # type: ignore[arg-type]
    running = uvicorn.Server(uvicorn.Config(api, port=0, log_level="error"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    yield SimpleNamespace(url=f"http://127.0.0.1:{port}", assistant=assistant, engine=engine)
    running.should_exit = True
    thread.join(5)


@pytest.fixture
def client(server: SimpleNamespace) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url + "/v1", api_key=TOKEN, max_retries=0)


def ask(client: openai.OpenAI, text: str, **options: Any) -> Any:
    return client.chat.completions.create(
        **{"model": "fourfold-rag", "messages": [{"role": "user", "content": text}], **options}
    )


def test_the_models_are_the_modes_and_the_encoder(client: openai.OpenAI):
    names = [model.id for model in client.models.list()]
    modes = ["auto", "prompt", "tools", "rag", "finetuned", "embedding"]
    assert names == [f"fourfold-{mode}" for mode in modes]


def test_an_answer_with_usage_and_citations(client: openai.OpenAI, server: SimpleNamespace):
    history = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
    ]
    answer = ask(
        client,
        "",
        messages=[*history, {"role": "user", "content": "Where?"}],
        temperature=0.5,
        extra_body={"collection": "towers"},
    )
    assert answer.choices[0].message.content == TEXT
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (20, 8)
    assert answer.usage.prompt_tokens_details.cached_tokens == 12
    citation = answer.fourfold["citations"][0]
    assert citation == {
        "number": 1, "start": 22, "end": 25, "supported": True,
        "title": "Towers", "uri": "", "page": 3, "passage": "It stands in Paris.",
    }  # fmt: skip
    question = server.assistant.questions[-1]
    assert (question.text, question.mode, question.scope.collection) == ("Where?", "rag", "towers")
    assert [message.content for message in question.history] == ["Hi", "Hello"]
    assert question.options.system == "Be brief."
    assert question.options.sampling.temperature == 0.5


def test_a_stream_gives_pieces_then_the_end_then_usage(client: openai.OpenAI):
    chunks = list(ask(client, "Where?", stream=True, stream_options={"include_usage": True}))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert pieces == [TEXT[:9], TEXT[9:]]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-2].fourfold["citations"][0]["title"] == "Towers"
    assert chunks[-1].usage.total_tokens == 28


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_or_not(client: openai.OpenAI, stream: bool):
    if stream:
        chunks = list(ask(client, "Use it", tools=[ADD], stream=True))
        call = next(chunk.choices[0].delta.tool_calls[0] for chunk in chunks if chunk.choices[0].delta.tool_calls)
        assert chunks[-1].choices[0].finish_reason == "tool_calls"
    else:
        message = ask(client, "Use it", tools=[ADD]).choices[0].message
        assert message.content is None
        call = message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == ("add", {"a": 1})
    assert ask(client, "Say", tools=[ADD]).choices[0].message.content == "No call."


def test_json_by_schema(client: openai.OpenAI, server: SimpleNamespace):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}
    answer = ask(client, "Where?", response_format=form)
    assert json.loads(answer.choices[0].message.content) == {"city": "巴黎"}
    assert server.engine.requests[-1].json_schema == schema


def test_embeddings_in_both_encodings(client: openai.OpenAI):
    # The client asks for base64 by itself and decodes it.
    vectors = client.embeddings.create(model="fourfold-embedding", input=["a", "bcd"])
    assert [item.embedding for item in vectors.data] == [[1.0, 0.5], [3.0, 0.5]]
    plain = client.embeddings.create(model="fourfold-embedding", input="ab", encoding_format="float")
    assert plain.data[0].embedding == [2.0, 0.5]


def test_without_the_token_nothing_is_told(server: SimpleNamespace):
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=server.url + "/v1", api_key="wrong", max_retries=0).models.list()
    for path in ("/v1/models", "/docs", "/openapi.json", "/nowhere"):
        assert httpx.get(server.url + path).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:8765", "Origin": "http://127.0.0.1"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:8501"}, 200),
        ({"Host": "localhost"}, 200),
    ],
)
def test_foreign_hosts_and_origins_are_refused_even_with_the_token(
    server: SimpleNamespace, headers: dict[str, str], status: int
):
    answer = httpx.get(server.url + "/v1/models", headers={"Authorization": f"Bearer {TOKEN}", **headers})
    assert answer.status_code == status


@pytest.mark.parametrize("arguments", ["[1]", "3", "{", '"x"', "[" * 100_000, ""])
def test_arguments_that_are_no_object_are_told_as_the_clients_mistake(server: SimpleNamespace, arguments: str):
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": arguments}}
    messages = [{"role": "assistant", "tool_calls": [call]}, {"role": "user", "content": "And?"}]
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = httpx.post(server.url + "/v1/chat/completions", json={"messages": messages}, headers=headers)
    assert answer.status_code == 422


def test_a_body_of_gigabytes_is_refused_before_it_is_read(server: SimpleNamespace):
    for name, value, status in (("Content-Length", "99999999999", 413), ("Transfer-Encoding", "chunked", 411)):
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
        connection.putrequest("POST", "/v1/chat/completions")
        connection.putheader("Authorization", f"Bearer {TOKEN}")
        connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == status
        connection.close()


@pytest.mark.parametrize("stream", [False, True])
def test_a_full_queue_is_a_429_with_a_time(client: openai.OpenAI, stream: bool):
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client, "busy", stream=stream)
    assert caught.value.response.headers["retry-after"] == "8"
    with pytest.raises(openai.RateLimitError):
        ask(client, "full", tools=[ADD], stream=stream)


def test_what_is_not_understood_is_a_400_or_404(client: openai.OpenAI):
    with pytest.raises(openai.NotFoundError, match="fourfold-rag"):
        ask(client, "x", model="gpt-4")
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, "x", messages=[])
    assert caught.value.status_code == 422


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_stops_the_answer(server: SimpleNamespace, stream: bool):
    server.assistant.closed.clear()
    body = {"model": "fourfold-rag", "messages": [{"role": "user", "content": "endless"}], "stream": stream}
    with pytest.raises(httpx.ReadTimeout), httpx.Client(timeout=0.5) as plain:
        plain.post(server.url + "/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {TOKEN}"})
    assert server.assistant.closed.wait(5)


def test_the_model_alone_streams_words_as_they_come(client: openai.OpenAI, server: SimpleNamespace):
    chunks = list(ask(client, "Say", tools=[ADD], stream=True))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    expected = [e.text for e in server.engine.generate(server.engine.requests[-1]) if isinstance(e, GeneratedText)]
    assert pieces == expected
