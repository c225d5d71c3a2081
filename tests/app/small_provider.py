"""An OpenID provider in a hundred lines: whoever asks is signed in as the person that the test chose."""

import base64
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, CLIENT_SECRET = "fourfold", "the client's secret"


class SmallProvider(ThreadingHTTPServer):
    """Answers discovery, keys, authorisation and tokens; `subject` and `email` are who signs in next."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.issuer = f"http://127.0.0.1:{self.server_address[1]}"
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
        self.subject, self.email = "1", "ann@example.org"
        self.codes: dict[str, dict[str, str]] = {}

    def token(self, code: str) -> dict[str, Any]:
        """The tokens for a code, which is good for once."""
        claims = self.codes.pop(code)
        now = int(time.time())
        claims |= {"iss": self.issuer, "aud": CLIENT}
        signed = jwt.encode({"alg": "RS256", "kid": "one"}, {**claims, "iat": now, "exp": now + 600}, self.key)
        return {"access_token": secrets.token_hex(8), "token_type": "Bearer", "expires_in": 600, "id_token": signed}


class _Handler(BaseHTTPRequestHandler):
    server: SmallProvider

    def do_GET(self) -> None:
        here, asked = self.server, urlsplit(self.path)
        if asked.path == "/.well-known/openid-configuration":
            places = {name: f"{here.issuer}/{path}" for name, path in _PLACES.items()}
            self._json({"issuer": here.issuer, **places, **_ABILITIES})
        elif asked.path == "/keys":
            self._json({"keys": [here.key.as_dict(private=False)]})
        elif asked.path == "/authorize":
            told = {name: values[0] for name, values in parse_qs(asked.query).items()}
            code = secrets.token_hex(8)
            here.codes[code] = {"sub": here.subject, "email": here.email, "nonce": told.get("nonce", "")}
            self.send_response(302)
            self.send_header("Location", f"{told['redirect_uri']}?{urlencode({'code': code, 'state': told['state']})}")
            self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        told = {name: values[0] for name, values in parse_qs(body).items()}
        basic = base64.b64encode(f"{CLIENT}:{CLIENT_SECRET}".encode()).decode()
        assert self.headers.get("Authorization") == f"Basic {basic}" or told.get("client_secret") == CLIENT_SECRET
        self._json(self.server.token(told["code"]))

    def _json(self, row: dict[str, Any]) -> None:
        body = json.dumps(row).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_told: Any) -> None:
        """Silent."""


_PLACES = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
_ABILITIES = {
    "response_types_supported": ["code"],
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["RS256"],
}


@contextmanager
def small_provider() -> Iterator[SmallProvider]:
    """A provider on a port of its own."""
    made = SmallProvider()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        made.shutdown()
