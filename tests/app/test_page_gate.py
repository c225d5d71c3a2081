"""The gate before the page: what reaches Streamlit, and what it then reads."""

from collections.abc import Mapping
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.identity import PERSON_HEADER, ProxyLogin, person_of, sealed, unsealed
from app.page_gate import PageGate
from core.config import changed, load_settings
from tests.app.test_identity import GOOD, SECRET

PUBLIC = "https://chat.example.org"
OWN = {"host": "127.0.0.1:8501"}


class Behind:
    """What stands behind the gate: keeps the headers that reached it."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers.append({name.decode().lower(): value.decode() for name, value in scope["headers"]})


async def answer(
    headers: Mapping[str, str] | list[tuple[str, str]], with_login: bool = False, **scope: Any
) -> tuple[Behind, Message | None]:
    settings = changed(load_settings(), **{**GOOD, "public_url": PUBLIC})
    behind, sent = Behind(), list[Message]()
    gate = PageGate(behind, settings, ProxyLogin(settings) if with_login else None)
    rows = list(headers.items()) if isinstance(headers, Mapping) else headers
    raw = [(name.lower().encode(), value.encode()) for name, value in rows]
    whole = {"type": "http", "method": "GET", "path": "/", "client": ("127.0.0.1", 5), "headers": raw, **scope}

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    await gate(whole, receive, send)
    return behind, sent[0] if sent else None


async def refused(headers: Mapping[str, str] | list[tuple[str, str]], **scope: Any) -> int:
    """The status of a refusal; 1008 where a WebSocket was closed before it was accepted, 0 where all came through."""
    behind, first = await answer(headers, **scope)
    assert bool(behind.headers) == (first is None)
    return 0 if first is None else int(first.get("status") or first["code"])


@pytest.mark.parametrize("host", ["127.0.0.1:8501", "localhost", "LOCALHOST:8501", "[::1]:8501", "chat.example.org"])
async def test_our_own_names_are_answered(host: str):
    assert await refused({"host": host}) == 0


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8501",
        "127.0.0.1@evil.example",
        "evil.example@127.0.0.1",
        "127.0.0.1/evil",
        "localhost#",
        "[::1",
        "0.0.0.0:8501",
        "chat.example.org.",
        "127.0.0.1:99999",
    ],
)
@pytest.mark.parametrize("path", ["/", "/media/x", "/_stcore/upload_file/a/b", "/_stcore/health", "/_stcore/stream"])
async def test_foreign_names_reach_nothing(host: str, path: str):
    assert await refused({"host": host}, path=path) == 421


@pytest.mark.parametrize(
    ("origin", "code"),
    [
        (None, 1008),
        ("null", 1008),
        ("http://evil.example", 1008),
        ("http://127.0.0.1:3000", 1008),
        ("http://localhost:8501", 1008),
        ("https://chat.example.org.evil.example", 1008),
        ("http://chat.example.org", 1008),
        ("http://127.0.0.1:8501", 0),
        (PUBLIC, 0),
    ],
)
async def test_a_websocket_comes_from_our_own_page(origin: str | None, code: int):
    told = {**OWN, **({"origin": origin} if origin else {})}
    found = await refused(told, type="websocket", path="/_stcore/stream")
    assert (1008 if found in (403, 1008) else found) == code


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_other_sites_change_nothing(method: str):
    path = "/_stcore/upload_file/a/b"
    assert await refused({**OWN, "origin": "http://evil.example"}, method=method, path=path) == 403
    assert await refused({**OWN, "origin": "null"}, method=method, path=path) == 403
    assert await refused({**OWN, "origin": "http://127.0.0.1:8501"}, method=method, path=path) == 0


@pytest.mark.parametrize("path", ["/_stcore/agent/interact", "/_stcore/agent/mcp", "/_stcore/metrics"])
async def test_doors_for_programs_are_closed(path: str):
    assert await refused(OWN, path=path) == 404


FROM_PROXY = {**OWN, "x-fourfold-secret": SECRET, "x-forwarded-user": "ann"}


async def test_the_person_comes_from_the_proxy_and_from_nobody_else():
    behind, _ = await answer({**FROM_PROXY, PERSON_HEADER: sealed(person_of("bob")).decode()}, with_login=True)
    assert unsealed(behind.headers[0][PERSON_HEADER]) == person_of("ann")
    assert "x-fourfold-secret" not in behind.headers[0]


async def test_a_seal_from_outside_is_taken_away_where_nobody_logs_in_too():
    behind, _ = await answer({**OWN, PERSON_HEADER: sealed(person_of("bob")).decode()})
    assert PERSON_HEADER not in behind.headers[0]


@pytest.mark.parametrize("path", ["/", "/media/x", "/_stcore/stream", "/_stcore/upload_file/a/b", "/chat"])
@pytest.mark.parametrize(
    ("change", "client"),
    [
        ({"x-fourfold-secret": "guess"}, "127.0.0.1"),
        ({"x-forwarded-user": ""}, "127.0.0.1"),
        ({}, "10.9.9.9"),
        ({"x-forwarded-for": "127.0.0.1"}, "10.9.9.9"),
    ],
)
async def test_without_the_proxys_word_nothing_is_reached(path: str, change: dict[str, str], client: str):
    told = {**FROM_PROXY, **change, "origin": "http://127.0.0.1:8501"}
    for kind in ("http", "websocket"):
        behind, first = await answer(told, with_login=True, path=path, type=kind, client=(client, 1))
        assert behind.headers == []
        assert first is not None
        assert first.get("status", 401) == 401


async def test_a_load_balancer_may_ask_for_health():
    behind, _ = await answer(OWN, with_login=True, path="/_stcore/health", client=("10.9.9.9", 1))
    assert len(behind.headers) == 1
    assert PERSON_HEADER not in behind.headers[0]


async def test_every_answer_says_what_a_browser_may_do_with_it():
    async def behind(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})

    sent = list[Message]()

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"127.0.0.1:8501")]}
    await PageGate(behind, load_settings(), None)(scope, receive, send)
    headers = dict(sent[0]["headers"])
    policy = dict(part.strip().split(" ", 1) for part in headers[b"content-security-policy"].decode().split(";"))
    assert policy["frame-ancestors"] == "'self'"
    assert policy["img-src"] == "'self' data: blob:"
    assert headers[b"x-frame-options"] == b"SAMEORIGIN"
    assert headers[b"x-own"] == b"1"
