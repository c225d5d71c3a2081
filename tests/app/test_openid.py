"""Signing in by OpenID Connect, with a real provider of our own, in Chromium."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.wording import Wording
from tests.app.chromium import free_port, running_application

pytestmark = [pytest.mark.browser, pytest.mark.slow]

pytest.importorskip("authlib", reason="pip install 'fourfold[login]'")
from tests.app.small_provider import CLIENT, CLIENT_SECRET, SmallProvider, small_provider  # noqa: E402

EN = Wording("en")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    home, port = tmp_path_factory.mktemp("openid"), free_port()
    with small_provider() as provider:
        write_secrets(home / "user", provider, port)
        # Streamlit looks for its secrets in the home folder of whoever starts it, too.
        environment = {"FOURFOLD_LOGIN": "oidc", "HOME": str(home / "user"), "PATH": os.environ["PATH"]}
        with running_application(home / "data", environment, port) as address:
            yield SimpleNamespace(address=address, provider=provider, home=home / "data")


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


def signed_in(context: BrowserContext, server: SimpleNamespace, subject: str, email: str) -> Page:
    server.provider.subject, server.provider.email = subject, email
    page = context.new_page()
    page.goto(server.address)
    expect(page.get_by_text(EN("account.welcome"))).to_be_visible()
    expect(page.get_by_role("textbox")).to_have_count(0)
    page.get_by_role("button", name=EN("account.sign_in")).click()
    expect(page.get_by_text(email)).to_be_visible()
    return page


def test_people_sign_in_and_out_and_have_a_folder_each(context: BrowserContext, server: SimpleNamespace):
    page = signed_in(context, server, "1", "ann@example.org")
    page.get_by_role("heading", name=EN("welcome.title")).wait_for()
    page.reload()
    expect(page.get_by_text("ann@example.org")).to_be_visible()
    page.get_by_test_id("stSidebar").get_by_role("button", name="logout").click()
    expect(page.get_by_text(EN("account.welcome"))).to_be_visible()
    page.close()
    signed_in(context, server, "2", "bob@example.org")
    assert len(list((server.home / "people").iterdir())) == 2
    assert not (server.home / "conversations.db").exists()
