"""Two processes of the application on one PostgreSQL and one folder, behind a proxy that gives out turns."""

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.identity import person_of
from app.wording import Wording
from tests.app.chromium import running_application
from tests.app.page_client import Tab
from tests.app.small_proxy import SmallProxy, small_proxy
from tests.app.test_browser import LONG_TASK, ask, choose, finished
from tests.app.test_identity import GOOD, SECRET

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EN = Wording("en")
SOMETHING = re.compile(r"\w+ \w+")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[SimpleNamespace]:
    home = tmp_path_factory.mktemp("two")
    told = {name: value if isinstance(value, str) else json.dumps(value) for name, value in GOOD.items()}
    settings = {
        **{f"FOURFOLD_{name.upper()}": value for name, value in told.items()},
        "FOURFOLD_DATABASE_URL": postgres_url,
        "FOURFOLD_MAX_TOKENS": "900",
    }
    with ExitStack() as stack:
        addresses = [stack.enter_context(running_application(home, settings)) for _ in range(2)]
        ports = [int(address.rstrip("/").rpartition(":")[2]) for address in addresses]
        yield SimpleNamespace(ports=ports, home=home)


@pytest.fixture
def proxy(servers: SimpleNamespace) -> Iterator[SmallProxy]:
    # Somebody new for each test: an empty list of conversations.
    person = f"ann-{uuid.uuid4().hex[:8]}@example.org"
    with small_proxy(servers.ports, {"X-Fourfold-Secret": SECRET, "X-Forwarded-User": person}) as made:
        yield made


def opened(context: BrowserContext, proxy: SmallProxy) -> Page:
    page = context.new_page()
    page.goto(proxy.address)
    page.get_by_text(EN("model.local")).first.wait_for()
    return page


def written(page: Page) -> str:
    answer = page.locator(".ff-answer").last
    answer.wait_for()
    return answer.inner_text()


def test_a_refresh_loses_nothing_whichever_process_it_comes_to(
    context: BrowserContext, proxy: SmallProxy, servers: SimpleNamespace
):
    page = opened(context, proxy)
    choose(page, "prompt")
    ask(page, LONG_TASK)
    expect(page.locator(".ff-answer").last).to_have_text(SOMETHING)
    before = len(written(page))
    for _ in range(3):
        page.reload()
        expect(page.locator(".ff-question").last).to_have_text(LONG_TASK)
        now = len(written(page))
        assert now >= before
        before = now
    finished(page)
    text = written(page)
    assert len(text) >= before
    for _ in range(2):
        page.reload()
        finished(page)
        assert written(page) == text
    assert min(proxy.sockets_by_port[port] for port in servers.ports) >= 2
    # It goes on in the process where the tab is now.
    ask(page, "And what is its name?")
    finished(page)
    page.reload()
    expect(page.locator(".ff-question")).to_have_count(2)
    expect(page.locator(".st-key-conversations button")).to_have_count(1)


def test_stop_reaches_the_process_that_answers(context: BrowserContext, proxy: SmallProxy):
    page = opened(context, proxy)
    choose(page, "prompt")
    ask(page, LONG_TASK)
    expect(page.locator(".ff-answer").last).to_have_text(SOMETHING)
    page.reload()
    page.get_by_role("button", name=EN("answer.stop")).click()
    finished(page)
    text = written(page)
    assert text
    page.reload()
    finished(page)
    assert written(page) == text


def test_the_conversations_are_in_the_database_and_not_in_the_folder(servers: SimpleNamespace, postgres_url: str):
    import psycopg

    person = person_of("cid@example.org")
    told = {"X-Fourfold-Secret": SECRET, "X-Forwarded-User": person.name}
    for port in servers.ports:
        with Tab(f"http://127.0.0.1:{port}", told) as tab:
            assert len(tab.visit()) > 2000
    with psycopg.connect(postgres_url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = %s", (f"fourfold_{person.key}",)
        ).fetchone()
    assert found == (6,)
    assert not list(servers.home.rglob("conversations.db"))
