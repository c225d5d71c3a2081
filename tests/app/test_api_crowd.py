"""The served API before the real model: a crowd gets answers or a clear 429, and who vanishes holds nobody up."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import uvicorn

from app.api import create_api
from core.config import load_settings
from inference.local_engine import LocalEngine
from inference.runtime import open_engine
from tests.app.test_api import ScriptedAssistant, TinyEmbedder

TOKEN = "only-for-this-test"
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["n"],
    "additionalProperties": False,
}
LONG = "Tell a long story. " + "Once upon a time there was a king. " * 120
PATIENCE = 60.0


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    opened = open_engine(load_settings(home=tmp_path_factory.mktemp("crowd"), n_ctx=2048, queue_size=4))
    assert isinstance(opened, LocalEngine)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def port(engine: LocalEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    settings = load_settings(home=tmp_path_factory.mktemp("crowd-api"))
    api = create_api(ScriptedAssistant(), engine, TinyEmbedder(), TOKEN, settings)  # type: ignore[arg-type]
    running = uvicorn.Server(uvicorn.Config(api, port=0, log_level="error"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield running.servers[0].sockets[0].getsockname()[1]
    running.should_exit = True
    thread.join(5)


def send(port: int, text: str, **more: Any) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    schema = {"type": "json_schema", "json_schema": {"schema": SCHEMA}}
    body = {"model": "fourfold-prompt", "messages": [{"role": "user", "content": text}], "max_tokens": 12}
    if more.pop("structured", True):
        body["response_format"] = schema
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps({**body, **more}), headers)
    return connection


def ask(port: int, text: str, **more: Any) -> tuple[int, str, dict[str, Any]]:
    connection = send(port, text, **more)
    response = connection.getresponse()
    data: dict[str, Any] = json.loads(response.read())
    connection.close()
    return response.status, response.headers.get("Retry-After", ""), data


def test_a_crowd_gets_answers_or_a_clear_429(port: int):
    with ThreadPoolExecutor(24) as pool:
        ends = list(pool.map(lambda number: ask(port, f"Number {number}?"), range(24)))
    assert {status for status, _, _ in ends} <= {200, 429}
    answers = [data for status, _, data in ends if status == 200]
    # One computes and four wait, so at least five are answered.
    assert len(answers) >= 5
    assert all(isinstance(json.loads(it["choices"][0]["message"]["content"])["n"], int) for it in answers)
    for status, retry, data in ends:
        if status == 429:
            assert int(retry) >= 1
            assert "Try again in" in data["error"]["message"]


# A grammar makes the model answer alone, at length.
ENDLESS = {"structured": False, "grammar": "start: /(.|\\n)*/", "max_tokens": 900}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("text", [LONG, "Hello."], ids=["while it reads", "while it writes"])
def test_who_vanishes_frees_the_queue(port: int, engine: LocalEngine, stream: bool, text: str):
    connection = send(port, text + str(stream), stream=stream, **ENDLESS)
    time.sleep(0.15)
    connection.close()
    status, _, data = ask(port, "And now?")
    assert status == 200
    assert data["usage"]["completion_tokens"] > 0
    # Nothing is left of the one that went: no turn runs and none waits.
    until = time.monotonic() + PATIENCE
    while engine._turns._active is not None and time.monotonic() < until:
        time.sleep(0.01)
    assert engine._turns._active is None
    assert not engine._turns._waiting
