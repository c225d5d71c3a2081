"""Requests to a model server over real sockets: repeated, given up, broken off, cancelled, and never a key told."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from core.errors import ModelBusyError, ModelError, ModelUnreachableError
from core.model_server import FAILURES_TO_OPEN, OPEN_SECONDS, Address, ModelServer

KEY = "sk-very-secret"
HELLO = b'data: {"choices": [{"delta": {"content": "Hel"}}]}\n\n'
LAST = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'

Answer = Callable[[BaseHTTPRequestHandler, int], None]


@contextmanager
def served(answer: Answer) -> Iterator[str]:
    """A server whose every request is answered by `answer(handler, how many came before)`."""
    before = iter(range(1000))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer(self, next(before))

        def log_message(self, *_: object) -> None:
            """Quiet."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/v1"
    finally:
        running.shutdown()
        running.server_close()


def say(handler: BaseHTTPRequestHandler, status: int, data: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


def nobody() -> str:
    """An address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


def test_a_server_that_stumbles_is_asked_again():
    def stumbling(handler: BaseHTTPRequestHandler, before: int) -> None:
        if before < 2:
            say(handler, 503, b'{"error": "Loading model"}')
        else:
            say(handler, 200, b'{"fine": true}')

    with served(stumbling) as url:
        assert ModelServer(Address(url)).post("/x", {}) == {"fine": True}


def test_who_asks_for_patience_is_reported_at_once():
    with served(lambda handler, _: say(handler, 429, b"full", Retry_After="9")) as url:
        started = time.monotonic()
        with pytest.raises(ModelBusyError) as caught:
            ModelServer(Address(url)).post("/x", {})
    assert caught.value.retry_after_seconds == 9
    assert time.monotonic() - started < 2


def test_a_server_that_is_down_is_named_left_alone_and_asked_again_later():
    now = [100.0]
    url = nobody()
    server = ModelServer(Address(url), clock=lambda: now[0])
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(ModelUnreachableError, match="does not answer"):
            server.post("/x", {})
    place = url.removeprefix("http://").removesuffix("/v1")
    started = time.monotonic()
    with pytest.raises(ModelUnreachableError, match=f"{place} is down: 3 requests in a row failed"):
        server.post("/x", {})
    assert time.monotonic() - started < 0.1
    now[0] += OPEN_SECONDS + 0.1
    with pytest.raises(ModelUnreachableError, match="does not answer"):
        server.post("/x", {})
    # It failed again, so it is left alone for longer.
    now[0] += OPEN_SECONDS + 0.1
    with pytest.raises(ModelUnreachableError, match="is down: 4 requests"):
        server.post("/x", {})


def test_a_success_closes_the_breaker():
    with served(lambda handler, _: say(handler, 200, b"{}")) as url:
        server = ModelServer(Address(url))
        for _ in range(FAILURES_TO_OPEN - 1):
            server.breaker.failed("once")
        server.post("/x", {})
        server.breaker.failed("once")
        server.breaker.check()


def test_a_stream_that_breaks_off_is_an_error_and_not_a_short_answer():
    with served(lambda handler, _: say(handler, 200, HELLO)) as url:
        chunks = ModelServer(Address(url)).stream("/x", {})
        assert next(chunks)["choices"][0]["delta"]["content"] == "Hel"
        with pytest.raises(ModelUnreachableError, match="broke off in the middle"):
            next(chunks)


def test_a_stream_with_a_reason_and_without_done_is_whole():
    with served(lambda handler, _: say(handler, 200, HELLO + LAST.partition(b"data: [DONE]")[0])) as url:
        assert len(list(ModelServer(Address(url)).stream("/x", {}))) == 2


def test_an_error_inside_a_stream_is_told():
    with served(
        lambda handler, _: say(handler, 200, HELLO + b'data: {"error": {"message": "out of memory"}}\n\n')
    ) as url:
        chunks = ModelServer(Address(url)).stream("/x", {})
        next(chunks)
        with pytest.raises(ModelError, match="out of memory"):
            next(chunks)


def test_a_silent_server_can_be_cancelled_before_its_first_word():
    free = threading.Event()

    def silent(_handler: BaseHTTPRequestHandler, _before: int) -> None:
        free.wait(20)

    with served(silent) as url:
        asked = time.monotonic()
        assert list(ModelServer(Address(url)).stream("/x", {}, lambda: time.monotonic() - asked > 0.3)) == []
        assert time.monotonic() - asked < 1
        free.set()


def test_the_key_is_sent_and_told_nowhere():
    seen: list[str] = []

    def echoing(handler: BaseHTTPRequestHandler, _: int) -> None:
        seen.append(handler.headers["Authorization"])
        say(handler, 401, json.dumps({"error": f"Incorrect API key: {KEY}"}).encode())

    with served(echoing) as url:
        address = Address(url, KEY)
        with pytest.raises(ModelError) as caught:
            ModelServer(address).post("/x", {})
    assert seen == [f"Bearer {KEY}"]
    assert KEY not in f"{caught.value} {caught.value.message.zh} {address!r}"
    assert Address("http://me:word@host:1/v1").place == "host:1"
