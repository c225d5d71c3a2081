"""Who a request comes from: only the proxy's word, only with everything that the trust rests on."""

from typing import Any

import pytest

from app.identity import (
    PERSON_HEADER,
    Person,
    ProxyLogin,
    check,
    person_of,
    sealed,
    signed_in,
    unsealed,
)
from core.config import changed, load_settings
from core.errors import LoginError, SettingError

SECRET = "a secret of the proxy's own"
GOOD = {
    "login": "proxy",
    "login_header": "X-Forwarded-User",
    "login_secret": SECRET,
    "login_proxies": ["127.0.0.1", "10.1.0.0/16"],
}


def login(**different: Any) -> ProxyLogin:
    found = check(changed(load_settings(), **{**GOOD, **different}))
    assert found is not None
    return found


def headers(*rows: tuple[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in rows]


def asked(*rows: tuple[str, str], secret: str = SECRET, peer: str | None = "127.0.0.1") -> Person:
    return login().person(headers(("X-Fourfold-Secret", secret), *rows), peer)


def test_the_proxy_names_the_person():
    assert asked(("X-Forwarded-User", "ann@example.org")).name == "ann@example.org"
    assert asked(("X-Forwarded-User", "李雷")).name == "李雷"
    assert asked(("X-Forwarded-User", "ann")) == asked(("X-Forwarded-User", " ann "), peer="10.1.2.3")
    assert asked(("X-Forwarded-User", "ann"), peer="::ffff:127.0.0.1").name == "ann"


@pytest.mark.parametrize("peer", [None, "", "10.2.0.1", "::1", "192.168.0.9", "localhost", "127.0.0.1, 10.1.0.1"])
def test_a_peer_that_is_not_listed_is_refused(peer: str | None):
    with pytest.raises(LoginError, match="through its proxy"):
        asked(("X-Forwarded-User", "ann"), peer=peer)


@pytest.mark.parametrize("secret", ["", "wrong", SECRET + " ", SECRET.upper(), SECRET[:-1]])
def test_a_wrong_secret_is_refused(secret: str):
    with pytest.raises(LoginError, match="through its proxy"):
        asked(("X-Forwarded-User", "ann"), secret=secret)


@pytest.mark.parametrize(
    "rows",
    [
        (),
        (("X-Forwarded-User", ""),),
        (("X-Forwarded-User", "   "),),
        (("X-Forwarded-User", "ann\nbob"),),
        (("X-Forwarded-User", "ann\u202e"),),
        (("X-Forwarded-User", "a" * 400),),
        (("X-Forwarded-User", "ann"), ("x-forwarded-user", "bob")),
        (("X-Forwarded-User", "ann"), ("X-Fourfold-Secret", SECRET)),
        (("X-Remote-User", "ann"),),
    ],
)
def test_nobody_and_two_at_once_are_refused(rows: tuple[tuple[str, str], ...]):
    with pytest.raises(LoginError):
        asked(*rows)


def test_bytes_that_are_no_text_are_nobody():
    with pytest.raises(LoginError):
        login().person([(b"x-fourfold-secret", SECRET.encode()), (b"x-forwarded-user", b"\xff\xfe")], "127.0.0.1")


def test_names_are_apart_to_the_letter_and_never_a_path():
    names = ["ann", "Ann", "ann ", "ann.", "../ann", "a/nn", "аnn", "ann%2f", "con", "." * 3]
    keys = {person_of(name.strip() or name).key for name in names}
    assert len(keys) == len({name.strip() for name in names})
    assert all(len(key) == 32 and set(key) <= set("0123456789abcdef") for key in keys)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("login_header", ""),
        ("login_header", "X-Fourfold-Person"),
        ("login_secret", "short"),
        ("login_proxies", []),
        ("login_proxies", ["proxy.example.org"]),
    ],
)
def test_a_login_that_lacks_something_does_not_start(name: str, value: Any):
    with pytest.raises(SettingError, match=f"FOURFOLD_{name.upper()}"):
        login(**{name: value})


def test_nothing_is_asked_where_nobody_logs_in():
    assert check(load_settings()) is None


def test_only_our_own_seal_is_believed():
    person = person_of("ann.with.dots@例子")
    assert unsealed(sealed(person).decode()) == person
    other = sealed(person_of("bob")).decode()
    forged = sealed(person).decode().rpartition(".")[0] + "." + other.rpartition(".")[2]
    for value in ("", "ann", f"{person.key}.616e6e", forged, other[:-1], PERSON_HEADER, "é" * 40):
        with pytest.raises(LoginError):
            unsealed(value)


def test_openid_people_are_issuer_and_subject():
    claims = {"is_logged_in": True, "iss": "https://id.example", "sub": "42", "email": "ann@example.org"}
    person = signed_in(claims.items())
    assert person.name == "ann@example.org"
    assert signed_in({**claims, "email": "renamed@example.org"}.items()).key == person.key
    assert signed_in({**claims, "iss": "https://other.example"}.items()).key != person.key
    for lack in ("is_logged_in", "iss", "sub"):
        with pytest.raises(LoginError):
            signed_in({name: value for name, value in claims.items() if name != lack}.items())
    with pytest.raises(LoginError):
        signed_in({**claims, "is_logged_in": False}.items())
