"""Many clients against `python -m app serve`: answers or a clear 429, whatever they do, and a queue free again soon."""

import http.client
import json
import os
import random
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from core.config import Settings
from ingest.samples import ensure_sample_collection
from retrieval.embedder import open_embedder
from retrieval.library import Library

START_SECONDS = 180.0
ANSWER_SECONDS = 600.0
REPORT_SECONDS = 60.0
VANISHED = 10
KINDS = ("whole", "stream", "schema", "tools", "rag", "embeddings", "vanish", "vanish")
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def serve_and_load(settings: Settings, clients: int, seconds: float, seed: int) -> dict[str, Any]:
    """Serve from a fresh data folder, load it, and measure how soon a vanished client frees the queue."""
    with tempfile.TemporaryDirectory() as home, _served(settings, home) as (port, token, process):
        before = _tree_megabytes(process.pid)
        load = _Load(port, token, time.monotonic() + seconds)
        chances = [random.Random(seed * 1000 + number) for number in range(clients)]  # noqa: S311 - no secret
        threads = [threading.Thread(target=load.client, args=(chance,), daemon=True) for chance in chances]
        for thread in threads:
            thread.start()
        load.report_until_done(threads)
        alive = process.poll() is None
        freed = [_freed_after_vanishing(port, token, chance) for chance in chances[:VANISHED]] if alive else []
        return {
            "clients": clients,
            "seconds": round(seconds),
            "outcomes": dict(sorted(load.outcomes.items())),
            "bad": load.bad[:10],
            "server_alive": alive,
            "megabytes": [before, _tree_megabytes(process.pid) if alive else None],
            "freed_ms": {"median": _rounded(statistics.median(freed)), "most": _rounded(max(freed))} if freed else {},
        }


def _rounded(milliseconds: float) -> float:
    return round(milliseconds, 1)


@contextmanager
def _served(settings: Settings, home: str) -> Iterator[tuple[int, str, "subprocess.Popen[bytes]"]]:
    # Questions over documents need some: the samples, by their words.
    own_home = settings.model_copy(update={"home": Path(home)})
    ensure_sample_collection(Library(own_home, open_embedder(own_home)), own_home, embed=False)
    port, token = _free_port(), secrets.token_urlsafe(16)
    own = {"FOURFOLD_HOME": home, "FOURFOLD_API_PORT": str(port), "FOURFOLD_API_TOKEN": token}
    own["FOURFOLD_MODEL"] = settings.model
    # Told to end, this process ends by the way of its `finally`: no server is left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    command = [sys.executable, "-m", "app", "serve"]
    process = subprocess.Popen(command, env={**os.environ, **own}, stdout=subprocess.DEVNULL)
    try:
        _await_server(port, token, process)
        yield port, token, process
    finally:
        process.terminate()
        process.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_server(port: int, token: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            if _post(port, token, "chat/completions", _chat("Say hello.", 2))[0] == 200:
                return
        except OSError:
            # Not listening yet.
            time.sleep(0.3)
    raise TimeoutError("the server did not start")


def _tree_megabytes(pid: int) -> float:
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return round(sum(member.memory_info().rss for member in family) / 1e6, 1)


def _chat(text: str, tokens: int, **more: Any) -> dict[str, Any]:
    return {"model": "fourfold-prompt", "messages": [{"role": "user", "content": text}], "max_tokens": tokens, **more}


def _body(kind: str, chance: random.Random) -> dict[str, Any]:
    text = f"Tell me about number {chance.randrange(10**6)}."
    bodies: dict[str, dict[str, Any]] = {
        "whole": _chat(text, 8),
        "stream": _chat(text, 8, stream=True),
        "schema": _chat(text, 40, response_format={"type": "json_schema", "json_schema": {"schema": SCHEMA}}),
        "tools": _chat(text, 16, tools=[TOOL]),
        "rag": {**_chat("When does the shop open?", 8), "model": "fourfold-rag"},
        "embeddings": {"model": "fourfold-embedding", "input": [text, "two"]},
        "vanish": _chat(text + " Once upon a time." * chance.randrange(1, 200), 100, stream=chance.random() < 0.5),
    }
    return bodies[kind]


def _send(port: int, token: str, path: str, body: dict[str, Any]) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", f"/v1/{path}", json.dumps(body), headers)
    return connection


def _post(port: int, token: str, path: str, body: dict[str, Any]) -> tuple[int, bytes, str]:
    connection = _send(port, token, path, body)
    try:
        response = connection.getresponse()
        return response.status, response.read(), response.headers.get("Retry-After", "")
    finally:
        connection.close()


class _Load:
    """What the clients do, and what came of it."""

    def __init__(self, port: int, token: str, until: float) -> None:
        self._port, self._token, self._until = port, token, until
        self._lock = threading.Lock()
        self.outcomes: Counter[str] = Counter()
        self.bad: list[str] = []

    def client(self, chance: random.Random) -> None:
        """One request after the other until the time is over; a 429 is obeyed."""
        while time.monotonic() < self._until:
            kind = chance.choice(KINDS)
            try:
                outcome, wait = self._one(kind, chance)
            except (OSError, http.client.HTTPException, ValueError) as error:
                outcome, wait = f"bad: {type(error).__name__}: {error}"[:160], 0.0
            with self._lock:
                self.outcomes[f"{kind}: {outcome.partition(':')[0]}"] += 1
                if outcome.startswith("bad"):
                    self.bad.append(f"{kind}: {outcome}")
            time.sleep(min(wait, max(self._until - time.monotonic(), 0)) * chance.random())

    def report_until_done(self, threads: list[threading.Thread]) -> None:
        """Wait for the clients; every minute tell what has come so far, for a run that is broken off."""
        while any(thread.is_alive() for thread in threads):
            until = time.monotonic() + REPORT_SECONDS
            for thread in threads:
                thread.join(max(until - time.monotonic(), 0.0))
            with self._lock:
                print(dict(sorted(self.outcomes.items())), self.bad[-3:], file=sys.stderr, flush=True)  # noqa: T201

    def _one(self, kind: str, chance: random.Random) -> tuple[str, float]:
        path = "embeddings" if kind == "embeddings" else "chat/completions"
        if kind == "vanish":
            connection = _send(self._port, self._token, path, _body(kind, chance))
            time.sleep(chance.random() * 3)
            connection.close()
            return "gone", 0.0
        status, data, retry = _post(self._port, self._token, path, _body(kind, chance))
        if status == 429 and retry.isdigit() and json.loads(data)["error"]["message"]:
            return "429", float(retry)
        if status == 200 and _is_whole(kind, data):
            return "answer", 0.0
        return f"bad: {status} {data[:120]!r}", 0.0


def _is_whole(kind: str, data: bytes) -> bool:
    if kind == "stream":
        return data.rstrip().endswith(b"[DONE]") and b'"error"' not in data
    parsed = json.loads(data)
    if kind == "schema":
        # The length may run out, but what is there is JSON of the schema.
        return isinstance(json.loads(parsed["choices"][0]["message"]["content"]).get("city"), str)
    return bool(parsed.get("choices") or parsed.get("data"))


def _freed_after_vanishing(port: int, token: str, chance: random.Random) -> float:
    """Milliseconds by which a short request behind a vanished one is later than the same request alone."""
    alone = min(_short_ms(port, token, chance) for _ in range(2))
    body = _chat(f"{chance.random()} " + "Once upon a time there was a king. " * 120, 400, stream=True)
    connection = _send(port, token, "chat/completions", body)
    time.sleep(0.1 + chance.random() * 3)
    if connection.sock is not None:
        connection.sock.close()
    connection.close()
    return max(_short_ms(port, token, chance) - alone, 0.0)


def _short_ms(port: int, token: str, chance: random.Random) -> float:
    body = _chat(f"Hello {chance.randrange(10)}.", 1)
    started = time.perf_counter()
    _post(port, token, "chat/completions", body)
    return (time.perf_counter() - started) * 1000
