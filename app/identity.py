"""Who asks, on a shared server: named by a trusted proxy, or signed in by OpenID Connect; else nobody, and refused.

What the proxy says counts only where three things agree: the setting names the header, the connection comes from an
address that is listed, and the proxy proves itself with the shared secret. Each header may stand once: two of one name
mean that somebody tries to speak in the proxy's place.
"""

import hashlib
import hmac
import ipaddress
import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from core.config import Settings
from core.errors import LoginError, SettingError
from core.language import Bilingual

SECRET_HEADER = "x-fourfold-secret"  # noqa: S105 the name of a header
# Set by our own gate for the page, with a seal that only this process can make.
PERSON_HEADER = "x-fourfold-person"
# API keys of people begin with it.
KEY_PREFIX = "ff-"
SHORTEST_SECRET = 16
LONGEST_NAME = 320
_SEAL = secrets.token_bytes(32)
_NOT_SIGNED_IN = Bilingual("Sign in first: this server knows people by name.", "请先登录：本服务器按用户区分数据。")
_REFUSED = Bilingual(
    "This server is reached through its proxy only. Use the address that you were given.",
    "本服务器只能通过其代理访问。请使用提供给您的地址。",
)

# Whoever may log in is not who runs the server.
CLOSED = Bilingual(
    en="On a shared server this is done by whoever runs it: on its command line, or in its settings.toml.",
    zh="在共享服务器上，此操作由服务器管理员完成：使用命令行或 settings.toml。",
)

RawHeaders = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Person:
    """Somebody who logged in. `key` (32 hexadecimal digits) names the folder; `name` is only shown."""

    key: str
    name: str


def person_of(identity: str, name: str = "") -> Person:
    """The person of an identity, which is taken as it is, to the letter. Raises LoginError for what can be none."""
    if not identity.strip() or len(identity) > LONGEST_NAME or any(_is_control(sign) for sign in identity + name):
        raise LoginError(_NOT_SIGNED_IN)
    return Person(hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:32], name or identity)


class ProxyLogin:
    """Reads the person from what a trusted proxy adds to a request."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingError where a setting is missing that the trust rests on."""
        self._header = settings.login_header.strip().lower()
        self._secret = settings.login_secret.encode()
        self._proxies = [_network(one) for one in settings.login_proxies]
        if not self._header or self._header in (SECRET_HEADER, PERSON_HEADER):
            raise _missing("login_header", "X-Forwarded-User")
        if len(self._secret) < SHORTEST_SECRET:
            raise _missing("login_secret", f"{SHORTEST_SECRET}+ …")
        if not self._proxies:
            raise _missing("login_proxies", '["127.0.0.1"]')

    def person(self, headers: RawHeaders, peer: str | None) -> Person:
        """Who the proxy says it is. Raises LoginError where the request is not the proxy's, or names nobody."""
        given = list(headers)
        if not self._is_proxy(peer) or not hmac.compare_digest(_only(given, SECRET_HEADER), self._secret):
            raise LoginError(_REFUSED)
        try:
            return person_of(_only(given, self._header).decode("utf-8").strip())
        except UnicodeDecodeError:
            raise LoginError(_NOT_SIGNED_IN) from None

    def _is_proxy(self, peer: str | None) -> bool:
        try:
            address = ipaddress.ip_address(peer or "")
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._proxies)


def check(settings: Settings) -> ProxyLogin | None:
    """The login that the settings ask for, where a proxy does it. Raises SettingError where they do not suffice."""
    return ProxyLogin(settings) if settings.login == "proxy" else None


def sealed(person: Person) -> bytes:
    """A person as the value of a header that only this process believes."""
    told = f"{person.key}.{person.name.encode().hex()}"
    return f"{told}.{_seal(told)}".encode()


def unsealed(value: str) -> Person:
    """The inverse of `sealed`. Raises LoginError for anything that this process did not seal."""
    told, _, seal = value.rpartition(".")
    if not told or not hmac.compare_digest(seal.encode(), _seal(told).encode()):
        raise LoginError(_NOT_SIGNED_IN)
    key, _, name = told.partition(".")
    return Person(key, bytes.fromhex(name).decode())


def signed_in(claims: Iterable[tuple[str, object]]) -> Person:
    """The person of the claims of OpenID Connect: issuer and subject name it, an address is only shown.

    Addresses change hands and need not be verified; a subject is the issuer's own and stays. Raises LoginError.
    """
    known = {name: str(value) for name, value in claims if isinstance(value, str | bool)}
    if known.get("is_logged_in") != "True" or not known.get("iss") or not known.get("sub"):
        raise LoginError(_NOT_SIGNED_IN)
    shown = known.get("email") or known.get("name") or known["sub"]
    return person_of(f"{known['iss']}|{known['sub']}", shown)


def _only(headers: list[tuple[bytes, bytes]], name: str) -> bytes:
    """The value of a header that stands exactly once; empty otherwise."""
    found = [value for key, value in headers if key.lower() == name.encode()]
    return found[0] if len(found) == 1 else b""


def _seal(told: str) -> str:
    return hmac.new(_SEAL, told.encode(), hashlib.sha256).hexdigest()


def _is_control(sign: str) -> bool:
    return unicodedata.category(sign)[0] == "C"


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise _missing("login_proxies", '["127.0.0.1", "10.1.0.0/16"]') from None


def _missing(name: str, example: str) -> SettingError:
    variable = f"FOURFOLD_{name.upper()}"
    return SettingError(
        Bilingual(
            en=f"Login by a proxy needs the setting {name} ({variable}), for example {example}. See docs/sharing.md.",
            zh=f"代理登录需要设置项 {name}（{variable}），例如 {example}。参见 docs/sharing.zh-CN.md。",
        )
    )
