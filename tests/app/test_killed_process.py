"""One of two processes behind a proxy is killed in the middle of an answer: nothing is lost but the rest of it."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import psutil
import pytest

from app.identity import person_of
from app.wording import Wording
from orchestrator.history import History
from tests.app.chromium import running_application
from tests.app.small_proxy import small_proxy
from tests.app.test_identity import SECRET
from tests.app.test_two_processes import LONG_TASK, ask, beginning, refreshed, shared_settings, until

pytestmark = pytest.mark.slow

EN = Wording("en")
PERSON = "dan@example.org"


@pytest.fixture
def proxy(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[SimpleNamespace]:
    home = tmp_path_factory.mktemp("killed")
    settings = shared_settings(postgres_url)
    with ExitStack() as stack:
        started = [stack.enter_context(running_application(home, settings, may_die=True)) for _ in range(2)]
        ports = [int(address.rstrip("/").rpartition(":")[2]) for address in started]
        made = stack.enter_context(small_proxy(ports, {"X-Fourfold-Secret": SECRET, "X-Forwarded-User": PERSON}))
        history = History(home / "unused.db", postgres_url, person_of(PERSON).key)
        yield SimpleNamespace(address=made.address, sockets_by_port=made.sockets_by_port, ports=ports, history=history)


def listening_on(port: int) -> psutil.Process:
    """The child of this process that serves the port."""
    for child in psutil.Process().children():
        if any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in child.net_connections()):
            return child
    raise AssertionError(f"nobody serves port {port}")


def test_the_rest_of_the_answer_is_lost_and_nothing_else(proxy: SimpleNamespace):
    conversation = ask(proxy, LONG_TASK)
    answer = proxy.history.thread(conversation)[-1]
    until(lambda: len(proxy.history.message(answer.id).text) > 40)
    (port,) = [port for port in proxy.ports if proxy.sockets_by_port[port]]
    process = listening_on(port)
    family = process.children(recursive=True)
    process.send_signal(signal.SIGKILL)
    # Its model ends with it: what it was to write to is gone.
    assert psutil.wait_procs(family, timeout=60)[1] == []
    assert proxy.history.message(answer.id).status == "streaming"
    known = beginning(proxy, answer.id)

    # The other one shows at once what was written, and that it was cut off when no sign came for half a minute.
    shown = refreshed(proxy, conversation)
    assert LONG_TASK in shown
    assert known in shown
    until(lambda: EN("answer.interrupted") in refreshed(proxy, conversation))
    until(lambda: bool(refreshed(proxy, conversation)) and proxy.history.message(answer.id).status == "interrupted")
    shown = refreshed(proxy, conversation)
    assert known in shown
    assert EN("answer.again") in shown

    assert ask(proxy, "And what is its name?", conversation) == conversation
    kept = proxy.history.message(answer.id)
    assert kept.status == "interrupted"
    assert known in kept.text
    assert len(kept.text) > 40
    thread = proxy.history.thread(conversation)
    assert [turn.role for turn in thread] == ["user", "assistant"] * 2
    until(lambda: proxy.history.message(thread[-1].id).status != "streaming")
    assert proxy.history.message(thread[-1].id).status == "done"
    assert proxy.sockets_by_port[port] == 1
