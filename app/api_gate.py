"""Who may talk to the HTTP API: Host, then Origin, then the token, then the size; before anything else is looked at.

A page in a browser can reach a server on this machine by DNS rebinding (a foreign Host) or by a plain request (a
foreign Origin); another user of this machine can reach it without either, hence the token.
"""

import hmac
import json
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

LONGEST_BODY = 8 * 1024 * 1024
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Gate:
    """ASGI middleware. `hosts` are the names under which the server may be addressed, without a port."""

    def __init__(self, app: ASGIApp, token: str, hosts: Iterable[str] = LOOPBACK) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through or answer it here."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await _answer(send, *refusal)

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if _host_name(headers.get("host", "")) not in self._hosts:
            return 421, "wrong_host", "This server answers only under its own name on this machine."
        origin = headers.get("origin")
        if origin is not None and _host_name(origin.partition("://")[2]) not in self._hosts:
            return 403, "wrong_origin", "Pages of other sites may not use this server."
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token):
            return 401, "invalid_api_key", "Give the token that was printed at the start as the API key."
        return _size_refusal(scope, headers)


def _size_refusal(scope: Scope, headers: dict[str, str]) -> tuple[int, str, str] | None:
    length = headers.get("content-length")
    if length is None:
        # A body in chunks has no end that could be known before it is read.
        wanted = "transfer-encoding" in headers or scope.get("method") in ("POST", "PUT", "PATCH")
        return (411, "length_required", "Send Content-Length.") if wanted else None
    if not length.isdigit() or int(length) > LONGEST_BODY:
        return 413, "too_large", f"A request may have {LONGEST_BODY} bytes."
    return None


def _host_name(host: str) -> str:
    """The name without the port; an IPv6 address keeps its brackets."""
    return host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0].lower()


async def _answer(send: Send, status: int, code: str, message: str) -> None:
    kind = "authentication_error" if status == 401 else "invalid_request_error"
    body = json.dumps({"error": {"message": message, "type": kind, "code": code}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
