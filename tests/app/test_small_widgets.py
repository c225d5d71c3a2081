"""The context meter, the scope picker, the counted connections: values, not looks."""

from pathlib import Path
from types import SimpleNamespace as Made

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from app.connections import count_outbound, outbound
from app.container import Container
from app.library import choices_of
from app.widgets.meter import meter_html
from app.wording import Wording
from core.types import DEFAULT_COLLECTION, Scope
from retrieval.records import DocumentRecord
from tests.app.conftest import MAIN
from tests.app.fake_parts import ScriptedAssistant
from tests.app.test_jobs import until

EN = Wording("en")


@pytest.mark.parametrize(
    ("used", "level", "width"),
    [(100, "calm", "10%"), (649, "calm", "65%"), (650, "amber", "65%"), (850, "red", "85%"), (2000, "red", "100%")],
)
def test_the_meter_warns_at_65_and_85_percent(used: int, level: str, width: str):
    drawn = meter_html(used, 1000, EN)
    assert f'class="ff-meter-{level}" style="width:{width}"' in drawn
    assert f'aria-valuenow="{used}"' in drawn


def test_the_meter_follows_an_answer(page: AppTest, box: Container):
    page.run()
    assert not any('role="meter"' in part.proto.body for part in page.get("html"))
    page.chat_input[0].set_value("How tall?").run()
    until(lambda: not any(box.runs.get(message.id) for message in box.history.thread(newest(box))))
    page.run()
    # 27 tokens of prompt and 12 words of answer, as the scripted assistant says
    assert any('aria-valuenow="39"' in part.proto.body for part in page.get("html"))


def newest(box: Container) -> str:
    return box.history.conversations()[0].id


def socket_to(address: str, port: int = 443, status: str = psutil.CONN_ESTABLISHED, own: int = 50_000) -> Made:
    return Made(raddr=Made(ip=address, port=port) if address else (), laddr=Made(port=own), status=status)


def test_only_what_begins_here_and_leads_away_is_outbound():
    listening = socket_to("", status=psutil.CONN_LISTEN, own=8501)
    visitor = socket_to("192.168.1.7", own=8501)
    here = [socket_to("127.0.0.1"), socket_to("::1"), socket_to("::ffff:127.0.0.1")]
    assert count_outbound([listening, visitor, *here]) == 0
    assert count_outbound([listening, visitor, *here, socket_to("203.0.113.9"), socket_to("2001:db8::1")]) == 2


def test_this_process_holds_no_connection_to_another_machine():
    assert outbound() == 0


def record(number: str, uri: str, *tags: str) -> DocumentRecord:
    return DocumentRecord(number, uri, f"Title {number}", "h", "text/plain", "en", tags, "ready", 0.0, None, 1)


def test_a_search_may_be_narrowed_to_documents_folders_and_tags():
    records = [record("1", "/a/x.md", "tax"), record("2", "/b/y.md", "tax", "old"), record("3", "/home/uploads/z.md")]
    found = choices_of(records, Path("/home"))
    assert found.documents == {"1": "Title 1", "2": "Title 2", "3": "Title 3"}
    assert found.folders == ("/a", "/b")
    assert found.tags == ("old", "tax")
    assert choices_of(records[:1], Path("/home")).folders == ()


def test_a_question_is_asked_in_the_scope_that_was_picked(box: Container, assistant: ScriptedAssistant, tmp_path: Path):
    for name in ("harbour", "castle"):
        (tmp_path / f"{name}.md").write_text(f"# {name.title()}\n\nThe {name} is old.\n", encoding="utf-8")
    assert box.ingest.start(DEFAULT_COLLECTION, [tmp_path]).wait(60)
    page = AppTest.from_file(MAIN, default_timeout=20).run()
    wanted = next(iter(choices_of(box.parts().library.reader(DEFAULT_COLLECTION).documents(), Path("/")).documents))
    page.session_state["scope"] = Scope(document_ids=(wanted,))
    page.run().chat_input[0].set_value("How old?").run()
    until(lambda: bool(assistant.questions))
    assert not page.exception
    assert assistant.questions[0].scope == Scope(document_ids=(wanted,))
