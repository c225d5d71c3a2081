"""Who may talk to the HTTP API: Host, then Origin, then who it is, then the size; before anything else is looked at.

A page in a browser can reach a server on this machine by DNS rebinding (a foreign Host) or by a plain request (a
foreign Origin); another user of this machine can reach it without either, hence the token.
"""

import hmac
import json
from collections.abc import Callable, Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from app.identity import KEY_PREFIX, Person, ProxyLogin
from core.config import Settings
from core.errors import LoginError
from core.language import Bilingual

LONGEST_BODY = 8 * 1024 * 1024
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


# In the scope of a request that came through: who asks.
PERSON = "fourfold.person"
NOBODY = Person("", "")
_NO_TOKEN = Bilingual(
    "Give the token that was printed at the start as the API key.", "请将启动时显示的令牌作为 API 密钥。"
)
# Tells from a request's scope who asks; raises LoginError where it is nobody.
Who = Callable[[Scope], Person]


def whoever_has(token: str) -> Who:
    """One person alone: whoever knows the token."""

    def who(scope: Scope) -> Person:
        if not hmac.compare_digest(bearer(scope).encode(), token.encode()):
            raise LoginError(_NO_TOKEN)
        return NOBODY

    return who


def whoever_logs_in(settings: Settings, login: ProxyLogin | None) -> Who:
    """One of several people: by a key of their own, else as the proxy says."""
    from app.people import person_of_key

    def who(scope: Scope) -> Person:
        key = bearer(scope)
        if login is None or key.startswith(KEY_PREFIX):
            return person_of_key(settings, key)
        # A proxy may send a token of its own along: it is none of ours.
        client = scope.get("client")
        return login.person(scope["headers"], client[0] if client else None)

    return who


def bearer(scope: Scope) -> str:
    """The key of a request; empty where it has none, or more than one."""
    found = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"authorization"]
    scheme, _, given = found[0].partition(" ") if len(found) == 1 else ("", "", "")
    return given.strip() if scheme.lower() == "bearer" else ""


class Gate:
    """ASGI middleware. `hosts` are the names under which the server may be addressed, without a port.

    `public_url` is the address of a proxy that vouches for people, "" where it has none; None: no proxy does.
    """

    def __init__(self, app: ASGIApp, who: Who, hosts: Iterable[str] = LOOPBACK, public_url: str | None = None) -> None:
        self._public = public_url.rstrip("/").lower() if public_url is not None else None
        self._app = app
        self._who = who
        self._hosts = frozenset(host.lower() for host in hosts if host)

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
        if origin is not None and not self._is_ours(origin, headers.get("host", "")):
            return 403, "wrong_origin", "Pages of other sites may not use this server."
        try:
            scope[PERSON] = self._who(scope)
        except LoginError as error:
            return 401, "invalid_api_key", str(error)
        return _size_refusal(scope, headers)

    def _is_ours(self, origin: str, host: str) -> bool:
        """Whether a page of this origin may ask.

        Where a proxy vouches for whoever sits at the browser, no page shows a token: then only our own address will do,
        and another port of this machine is another site.
        """
        place = origin.partition("://")[2]
        if self._public is None:
            return _host_name(place) in self._hosts
        return origin.lower() == self._public or place.lower() == host.lower()


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
