"""Two processes of the application on one PostgreSQL and one folder, behind a proxy that gives out turns."""

import html
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from app.identity import person_of
from app.wording import Wording
from orchestrator.history import History
from tests.app.chromium import running_application
from tests.app.page_client import Tab
from tests.app.small_proxy import small_proxy
from tests.app.test_identity import GOOD, SECRET

pytestmark = pytest.mark.slow

EN = Wording("en")
LONG_TASK = "Write a long story about a lighthouse, a storm and a small boat."
_CHAT_INPUT = re.compile(rb"\$\$ID-[0-9a-f]{32}-question(?!\w)")
_CONVERSATION = re.compile(rb"c=([0-9a-f]{32})")


def shared_settings(postgres_url: str) -> dict[str, str]:
    """The environment of a process behind the proxy, with answers long enough to be met in their middle."""
    told = {name: value if isinstance(value, str) else json.dumps(value) for name, value in GOOD.items()}
    return {
        **{f"FOURFOLD_{name.upper()}": value for name, value in told.items()},
        "FOURFOLD_DATABASE_URL": postgres_url,
        "FOURFOLD_MAX_TOKENS": "900",
    }


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[SimpleNamespace]:
    home = tmp_path_factory.mktemp("two")
    settings = shared_settings(postgres_url)
    with ExitStack() as stack:
        addresses = [stack.enter_context(running_application(home, settings)) for _ in range(2)]
        ports = [int(address.rstrip("/").rpartition(":")[2]) for address in addresses]
        yield SimpleNamespace(ports=ports, home=home, database=postgres_url)


@pytest.fixture
def proxy(servers: SimpleNamespace) -> Iterator[SimpleNamespace]:
    # Somebody new for each test: an empty list of conversations.
    person = f"ann-{uuid.uuid4().hex[:8]}@example.org"
    with small_proxy(servers.ports, {"X-Fourfold-Secret": SECRET, "X-Forwarded-User": person}) as made:
        yield SimpleNamespace(
            address=made.address,
            sockets_by_port=made.sockets_by_port,
            history=History(servers.home / "unused.db", servers.database, person_of(person).key),
        )


def ask(proxy: SimpleNamespace, text: str, conversation: str = "") -> str:
    """Ask in a tab of some process, which is closed at once; returns the conversation."""
    with Tab(proxy.address) as tab:
        drawn = tab.visit("", f"c={conversation}" if conversation else "")
        [place] = set(_CHAT_INPUT.findall(drawn))
        found = _CONVERSATION.search(tab.say(place.decode(), text))
    assert found is not None
    return found[1].decode()


def refreshed(proxy: SimpleNamespace, conversation: str) -> str:
    """What a refresh shows, in whichever process it comes to."""
    with Tab(proxy.address) as tab:
        return html.unescape(tab.visit("", f"c={conversation}").decode(errors="replace"))


def until(is_so: Callable[[], bool]) -> None:
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.2)
    raise AssertionError("it did not come about")


def test_a_refresh_loses_nothing_whichever_process_it_comes_to(proxy: SimpleNamespace, servers: SimpleNamespace):
    conversation = ask(proxy, LONG_TASK)
    answer = proxy.history.thread(conversation)[-1]
    until(lambda: len(proxy.history.message(answer.id).text) > 40)
    for _ in range(3):
        # At least so much stands there now, with the button that stops it.
        known = beginning(proxy, answer.id)
        shown = refreshed(proxy, conversation)
        assert LONG_TASK in shown
        assert known in shown
        if proxy.history.message(answer.id).status == "streaming":
            assert EN("answer.again") not in shown
    until(lambda: proxy.history.message(answer.id).status != "streaming")
    assert proxy.history.message(answer.id).status == "done"
    for _ in range(2):
        shown = refreshed(proxy, conversation)
        assert beginning(proxy, answer.id) in shown
        assert EN("answer.again") in shown
    assert min(proxy.sockets_by_port[port] for port in servers.ports) >= 2
    # It goes on in the process where the next tab is.
    assert ask(proxy, "And what is its name?", conversation) == conversation
    assert [turn.role for turn in proxy.history.thread(conversation)] == ["user", "assistant"] * 2


def test_stop_reaches_the_process_that_answers(proxy: SimpleNamespace):
    conversation = ask(proxy, LONG_TASK)
    answer = proxy.history.thread(conversation)[-1]
    until(lambda: len(proxy.history.message(answer.id).text) > 20)
    with Tab(proxy.address) as tab:
        drawn = tab.visit("", f"c={conversation}")
        [button] = set(re.findall(rb"\$\$ID-[0-9a-f]{32}-stop_" + answer.id.encode(), drawn))
        tab.click(button.decode())
    until(lambda: proxy.history.message(answer.id).status != "streaming")
    assert proxy.history.message(answer.id).status == "stopped"


def beginning(proxy: SimpleNamespace, answer_id: str) -> str:
    """The first words of an answer, as far as it is written, without what Markdown makes of them."""
    words = re.findall(r"[A-Za-z]{3,}[A-Za-z ]{5,}", proxy.history.message(answer_id).text)
    return str(words[0])[:30].strip()


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
