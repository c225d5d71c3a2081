"""The remote engine against a real HTTP server on this machine that speaks as OpenAI-compatible servers do."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from core.config import load_settings
from core.errors import ModelBusyError, ModelError
from core.types import Message, SamplingSettings, Usage
from inference.function_calling import parse_call
from inference.protocol import GeneratedText, GenerationRequest
from inference.remote import Endpoint, RemoteEngine
from inference.runtime import open_engine
from tests.inference.collect import chat, finished, text_of


class Handler(BaseHTTPRequestHandler):
    asked: list[dict[str, Any]]
    keys: list[str]
    hung_up: threading.Event

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        adapter = {"id": "polite", "parent": "big-model"}
        listed = {"data": [{"id": "big-model", "max_model_len": 2048}, adapter]}
        pages = {"/v1/models": listed, "/lora-adapters": [{"id": 0, "path": "/models/formal.gguf", "scale": 0.0}]}
        found = pages.get(self.path)
        self._send(200 if found else 404, json.dumps(found).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        self.keys.append(self.headers.get("Authorization", ""))
        text = body["messages"][-1]["content"]
        if text == "busy":
            self._send(429, b"full", {"Retry-After": "9"})
            return
        self.send_response(200)
        self.end_headers()
        if text == "endless":
            self._endless()
        elif body.get("tools"):
            call = [{"index": 0, "function": {"name": "add", "arguments": '{"a"'}}]
            rest = [{"index": 0, "function": {"arguments": ": 1}"}}]
            self._lines({"tool_calls": call}, {"tool_calls": rest})
        else:
            self._lines({"content": "Hel"}, {"content": "lo 世界"})

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _lines(self, *deltas: dict[str, Any]) -> None:
        for delta in deltas:
            self._line({"choices": [{"delta": delta}]})
        self._line({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
        self._line({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def _line(self, data: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode())

    def _endless(self) -> None:
        try:
            while not self.hung_up.is_set():
                self._line({"choices": [{"delta": {"content": "again "}}]})
                time.sleep(0.01)
        except OSError:
            self.hung_up.set()


@pytest.fixture
def server() -> Iterator[str]:
    Handler.asked, Handler.keys, Handler.hung_up = [], [], threading.Event()
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}/v1"
    running.shutdown()
    running.server_close()


def test_the_same_events_as_from_a_model_on_this_machine(server: str):
    engine = open_engine(load_settings(remote_url=server, remote_api_key="secret"))
    events = list(engine.generate(chat("Hi", temperature=0.5, stop=("x",))))
    assert text_of(events) == "Hello 世界"
    end = finished(events)
    assert (end.reason, end.usage) == ("stop", Usage(7, 3, 4))
    assert engine.info.name == "big-model"
    asked = Handler.asked[0]
    assert (asked["model"], asked["temperature"], asked["stop"], asked["seed"]) == ("big-model", 0.5, ["x"], 42)
    assert Handler.keys == ["Bearer secret"]


def test_a_tool_call_arrives_as_our_own_models_write_it(server: str):
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    request = GenerationRequest(messages=(Message("user", "1"),), tools=(tool,))
    call = parse_call(text_of(RemoteEngine(Endpoint(server, "m")).generate(request)), "1")
    assert call is not None
    assert (call.name, call.arguments) == ("add", {"a": 1})


def test_cancelling_hangs_up_on_the_server(server: str):
    pieces: list[str] = []
    events = []
    for event in RemoteEngine(Endpoint(server, "m")).generate(chat("endless"), lambda: len(pieces) > 2):
        events.append(event)
        if isinstance(event, GeneratedText):
            pieces.append(event.text)
    assert finished(events).reason == "cancelled"
    assert Handler.hung_up.wait(5)


def test_a_busy_server_tells_when_to_ask_again(server: str):
    with pytest.raises(ModelBusyError) as caught:
        list(RemoteEngine(Endpoint(server, "m")).generate(chat("busy")))
    assert caught.value.retry_after_seconds == 9


def test_a_server_that_is_not_there_and_what_no_server_offers_are_said_plainly():
    engine = RemoteEngine(Endpoint("http://127.0.0.1:9/v1", "m"))
    with pytest.raises(ModelError, match="FOURFOLD_REMOTE_URL"):
        list(engine.generate(chat("Hi")))
    with pytest.raises(ModelError, match="log-probabilities"):
        engine.log_probabilities("a", "b")
    with pytest.raises(ModelError, match="no adapter 'mine'"):
        list(engine.generate(GenerationRequest(prompt="x", adapter="mine", sampling=SamplingSettings())))
    assert engine.count_tokens("你好 world") == 4


def test_adapters_go_by_the_names_of_the_server(server: str):
    engine = RemoteEngine(Endpoint(server, "big-model"))
    assert set(engine.info.details["adapters"]) == {"polite", "formal"}
    assert engine.info.n_ctx == 2048
    for adapter in ("", "formal", "polite"):
        list(engine.generate(GenerationRequest(messages=(Message("user", "Hi"),), adapter=adapter)))
    base, formal, polite = Handler.asked
    # Unspoken of, an adapter of llama-server would be in force.
    assert (base["model"], base["lora"]) == ("big-model", [{"id": 0, "scale": 0.0}])
    assert (formal["model"], formal["lora"]) == ("big-model", [{"id": 0, "scale": 1.0}])
    assert (polite["model"], polite.get("lora")) == ("polite", None)
