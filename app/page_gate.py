"""Who may talk to the page: Host, then Origin, then the login; before Streamlit sees anything of a request.

A foreign page can reach a server on this machine by DNS rebinding (a foreign Host) or by opening a connection to it (a
foreign Origin, which browsers always send with one). Streamlit looks at both for its WebSocket only, and lets one
without an Origin in.
"""

from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.identity import PERSON_HEADER, SECRET_HEADER, ProxyLogin, sealed
from core.config import Settings
from core.errors import LoginError

# What a load balancer asks for; it tells nothing of anybody.
HEALTH = ("/_stcore/health", "/healthz")
# Streamlit's door for programs, which would lead around the login; off by its setting, and closed here too.
CLOSED = ("/_stcore/agent", "/_stcore/metrics", "/_stcore/script-health-check")
_SAFE = ("GET", "HEAD", "OPTIONS")
# No foreign page may frame ours and have its buttons pressed unseen, and whatever text gets into the page, no picture
# leads elsewhere. (Streamlit's own scripts, styles and connections need what is not spoken of.)
_POLICY = b"frame-ancestors 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'self'; form-action 'self'"
_ADDED = (
    (b"content-security-policy", _POLICY),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"x-content-type-options", b"nosniff"),
    # An address holds the id of a conversation.
    (b"referrer-policy", b"same-origin"),
)


class PageGate:
    """ASGI middleware around the page."""

    def __init__(self, app: ASGIApp, settings: Settings, login: ProxyLogin | None) -> None:
        self._app = app
        self._login = login
        public = urlsplit(settings.public_url)
        self._hosts = {"127.0.0.1", "localhost", "::1", settings.host.strip("[]").lower(), public.hostname or ""} - {""}
        self._public = f"{public.scheme}://{public.netloc}".lower() if settings.public_url else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, with its person, or refuse it here."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            try:
                scope = self._with_person(scope)
            except LoginError as error:
                refusal = 401, str(error)
        if refusal is None:
            await self._app(scope, receive, _guarded(send) if scope["type"] == "http" else send)
        else:
            await _refuse(scope, send, *refusal)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get("host", ""), headers.get("origin")
        if _name_of(host) not in self._hosts:
            return 421, "This server answers only under its own name."
        if any(scope["path"].startswith(path) for path in CLOSED):
            return 404, "There is nothing here."
        if origin is None:
            return (403, "A connection must say where it comes from.") if scope["type"] == "websocket" else None
        if origin.lower() == self._public or urlsplit(origin).netloc.lower() == host.lower():
            return None
        if scope["type"] == "http" and scope["method"] in _SAFE and origin != "null":
            # Its answer is not readable for the other page: Streamlit's own rules of CORS decide that.
            return None
        return 403, "Pages of other sites may not use this server."

    def _with_person(self, scope: Scope) -> Scope:
        """The request without what only we and the proxy may say, and with the person that the proxy names."""
        ours = (SECRET_HEADER.encode(), PERSON_HEADER.encode())
        headers = [(name, value) for name, value in scope["headers"] if name.lower() not in ours]
        if self._login is not None and scope["path"] not in HEALTH:
            client = scope.get("client")
            person = self._login.person(scope["headers"], client[0] if client else None)
            headers.append((PERSON_HEADER.encode(), sealed(person)))
        return {**scope, "headers": headers}


def _guarded(send: Send) -> Send:
    """Every answer says what a browser may do with it."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_ADDED]}
        await send(message)

    return guarded


def _name_of(host: str) -> str:
    try:
        parts = urlsplit(f"//{host}")
        # Only a name and a port: no user, no path, nothing that two readers could read in two ways.
        plain = parts.netloc == host and parts.username is None and parts.port != 0
    except ValueError:
        return ""
    return (parts.hostname or "").lower() if plain else ""


async def _refuse(scope: Scope, send: Send, status: int, text: str) -> None:
    if scope["type"] == "websocket":
        # Before it is accepted: the server answers the handshake with 403.
        await send({"type": "websocket.close", "code": 1008})
        return
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    messages: tuple[Message, ...] = (
        {"type": "http.response.start", "status": status, "headers": headers},
        {"type": "http.response.body", "body": body},
    )
    for message in messages:
        await send(message)
