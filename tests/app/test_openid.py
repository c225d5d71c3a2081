"""Signing in by OpenID Connect: Streamlit's own way, with a real provider of ours, followed as a browser would."""

import os
import re
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from types import SimpleNamespace
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from app.wording import Wording
from tests.app.chromium import free_port, running_application
from tests.app.page_client import Tab

pytestmark = pytest.mark.slow

pytest.importorskip("authlib", reason="pip install 'fourfold[login]'")
from tests.app.small_provider import CLIENT, CLIENT_SECRET, SmallProvider, small_provider  # noqa: E402

EN = Wording("en")
_BUTTON = re.compile(rb"\$\$ID-[0-9a-f]{32}-None")
_REDIRECT = re.compile(rb"/auth/login\?provider=[\w.~%=-]+")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    home, port = tmp_path_factory.mktemp("openid"), free_port()
    with small_provider() as provider:
        write_secrets(home / "user", provider, port)
        # Streamlit looks for its secrets in the home folder of whoever starts it, too.
        environment = {"FOURFOLD_LOGIN": "oidc", "HOME": str(home / "user"), "PATH": os.environ["PATH"]}
        with running_application(home / "data", environment, port) as address:
            yield SimpleNamespace(address=address.rstrip("/"), provider=provider, home=home / "data")


def write_secrets(folder: Path, provider: SmallProvider, port: int) -> None:
    rows = {
        "redirect_uri": f"http://127.0.0.1:{port}/oauth2callback",
        "cookie_secret": "a long random text of this test",
        "client_id": CLIENT,
        "client_secret": CLIENT_SECRET,
        "server_metadata_url": f"{provider.issuer}/.well-known/openid-configuration",
    }
    file = folder / ".streamlit" / "secrets.toml"
    file.parent.mkdir(parents=True)
    file.write_text("[auth]\n" + "\n".join(f'{name} = "{value}"' for name, value in rows.items()) + "\n")


class Someone:
    """A browser of somebody's own: cookies, and a tab that shows them."""

    def __init__(self, server: SimpleNamespace) -> None:
        self.address: str = server.address
        self._jar = CookieJar()
        self._opener = build_opener(HTTPCookieProcessor(self._jar))
        self.get("/_stcore/health")

    def get(self, path: str) -> str:
        """Follow an address through all its redirections; returns where it ends."""
        with self._opener.open(self.address + path, timeout=60) as answer:
            return str(answer.url)

    def tab(self) -> Tab:
        cookies = {cookie.name: cookie.value or "" for cookie in self._jar}
        told = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        return Tab(self.address, told, token=cookies.get("_streamlit_xsrf", "none"))

    def shown(self) -> bytes:
        with self.tab() as tab:
            return tab.visit()

    def sign(self, key: str) -> None:
        """Press the one button that a stranger has, or another, and go where it leads."""
        with self.tab() as tab:
            drawn = tab.visit()
            place = next(found for found in _BUTTON.findall(drawn) if key.encode() in drawn)
            led = _REDIRECT.search(tab.click(place.decode()))
        assert led is not None
        self.get(led[0].decode())


def test_people_sign_in_and_have_a_folder_each(server: SimpleNamespace):
    folders = server.home / "people"
    seen: list[str] = []
    for subject, email in (("1", "ann@example.org"), ("2", "bob@example.org")):
        someone = Someone(server)
        assert EN("account.welcome").encode() in someone.shown()
        assert len(seen) == (len(list(folders.iterdir())) if folders.is_dir() else 0)
        server.provider.subject, server.provider.email = subject, email
        someone.sign(EN("account.sign_in"))
        shown = someone.shown()
        seen.append(email)
        assert email.encode() in shown
        assert EN("account.welcome").encode() not in shown
        assert len(list(folders.iterdir())) == len(seen)
    assert not (server.home / "conversations.db").exists()


def test_without_the_cookie_or_with_another_token_one_is_nobody(server: SimpleNamespace):
    someone = Someone(server)
    someone.sign(EN("account.sign_in"))
    assert server.provider.email.encode() in someone.shown()
    cookies = someone.tab().headers["Cookie"]
    for told, token in (
        ({"Cookie": cookies}, "guess"),
        ({"Cookie": cookies.replace("_streamlit_user=", "x=")}, "x"),
        ({}, "x"),
    ):
        with Tab(server.address, told, token=token) as tab:
            assert EN("account.welcome").encode() in tab.visit()


def test_who_signs_out_is_nobody_again(server: SimpleNamespace):
    someone = Someone(server)
    someone.sign(EN("account.sign_in"))
    assert EN("account.welcome").encode() not in someone.shown()
    someone.get("/auth/logout")
    assert EN("account.welcome").encode() in someone.shown()
