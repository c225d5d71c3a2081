"""Each page while it is busy and where something failed: what runs is shown and can be stopped, what failed is said.

The states of nothing yet are in the tests of the pages; `test_pages.py` has all of them while models load and cannot.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.container import Container
from app.ingest_jobs import IngestJob, Progress
from app.jobs import Report
from app.runs import AnswerRun, Runs
from app.wording import Wording
from core.errors import FourfoldError
from core.language import Bilingual
from core.types import DEFAULT_COLLECTION, Timings, Usage
from orchestrator.events import AnswerCompleted
from orchestrator.recording import record
from tests.app.conftest import MAIN
from tests.app.fake_parts import ScriptedAssistant
from tests.app.test_jobs import Steps, until
from tests.app.test_pages import calculated, page_of, settle

EN = Wording("en")
# A busy machine draws slowly; nothing here asserts a time.
PATIENCE_S = 120
REFUSED = Bilingual("The disk is full.", "磁盘已满。")


def shown(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.text, *page.error, *page.warning, *page.get("progress")]
    return "\n".join(str(getattr(part, "value", "") or getattr(part.proto, "text", "")) for part in parts)


def labels(page: AppTest) -> list[str]:
    return [button.label for button in page.button]


@pytest.fixture
def steps() -> Iterator[Steps]:
    made = Steps()
    yield made
    made.go.set()


@pytest.fixture
def slow(assistant: ScriptedAssistant, box: Container) -> Iterator[Container]:
    """A container whose answers take until somebody stops them."""
    assistant.seconds_between = 0.5
    yield box
    box.runs.cancel_all()
    settle(box)


def refuse(_params: Mapping[str, Any], _report: Report) -> None:
    raise FourfoldError(REFUSED)


# --- busy


def test_a_running_answer_can_be_stopped_and_is_found_by_another_page(slow: Container):
    page = AppTest.from_file(MAIN, default_timeout=PATIENCE_S).run()
    page.chat_input[0].set_value("How tall?").run()
    other = AppTest.from_file(MAIN, default_timeout=PATIENCE_S)
    other.query_params["c"] = slow.history.conversations()[0].id
    other.run()
    assert EN("answer.stop") in labels(other)
    next(button for button in other.button if button.label == EN("answer.stop")).click().run()
    settle(slow)
    assert EN("answer.stopped") in shown(other.run())


def test_an_answer_that_ends_while_its_page_is_drawn_is_shown_whole(box: Container):
    history = box.history
    answer = history.begin_answer(history.add_question(history.create().id, "How tall?").id)

    class EndsWhenLookedAt(Runs):
        """The run of this answer ends between the reading of its conversation and the look at the run."""

        def get(self, answer_id: str) -> AnswerRun | None:
            if history.message(answer_id).status == "streaming":
                deque(
                    record(history, answer_id, iter([AnswerCompleted("41", "model", Usage(), Timings(), stopped=True)]))
                )
            return super().get(answer_id)

    box.runs = EndsWhenLookedAt(history)
    page = AppTest.from_file(MAIN, default_timeout=PATIENCE_S)
    page.query_params["c"] = answer.conversation_id
    page.run()
    assert EN("answer.stopped") in shown(page)
    assert EN("answer.interrupted") not in shown(page)


def test_compared_answers_are_found_by_their_address_while_they_are_written(slow: Container):
    page = page_of("compare").run()
    page.text_input[0].set_value("How tall?")
    page.button[0].click().run()
    other = page_of("compare")
    other.query_params["a"] = page.query_params["a"]
    other.run()
    assert not other.exception
    assert other.text_input[0].value == "How tall?"
    slow.runs.cancel_all()
    settle(slow)
    texts = [part.proto.body for part in other.run().get("html")]
    assert len([text for text in texts if "lighthouse" in text or "The" in text]) == 4


def test_an_address_that_names_no_answer_is_an_empty_page(box: Container):
    page = page_of("compare")
    page.query_params["a"] = ["rag:gone", "nonsense", "elephant:1"]
    page.run()
    assert not page.exception
    assert EN("compare.gone") in shown(page)


def test_documents_that_are_being_read_show_how_far(box: Container):
    job = IngestJob()
    job.progress = Progress(0.4, 3, 12, "harbour.md")
    box.ingest._jobs[DEFAULT_COLLECTION] = job
    page = page_of("documents").run()
    assert not page.exception
    assert EN("documents.cancel") in labels(page)
    assert next(button for button in page.button if button.label == EN("documents.add")).disabled
    next(button for button in page.button if button.label == EN("documents.cancel")).click().run()
    assert job.is_cancelled


@pytest.mark.parametrize(("name", "kind"), [("exam", "propose"), ("models", "download")])
def test_a_job_is_shown_on_its_page_and_stopped_there(box: Container, steps: Steps, name: str, kind: str):
    job = box.work.start(kind, "something long", {}, steps)
    page = page_of(name).run()
    assert not page.exception
    page.button(key=f"stop_{job.id}").click().run()
    until(lambda: (found := box.work.get(job.id)) is not None and found.state == "cancelled")


@pytest.mark.parametrize(("name", "kind"), [("exam", "propose"), ("models", "download")])
def test_a_job_that_failed_says_why_on_its_page(box: Container, name: str, kind: str):
    job = box.work.start(kind, "something long", {}, refuse)
    until(lambda: (found := box.work.get(job.id)) is not None and not found.is_running)
    page = page_of(name).run()
    assert not page.exception
    assert "The disk is full." in page.error[0].value


# --- failed


def test_compare_says_in_its_place_why_a_way_did_not_answer(box: Container):
    page = page_of("compare").run()
    page.text_input[0].set_value("please fail")
    page.button[0].click().run()
    settle(box)
    page.run()
    assert [error.value for error in page.error] == ["The model failed."] * 4


def test_documents_say_what_went_wrong_with_the_run(box: Container):
    job = IngestJob()
    job.progress = Progress(problem=REFUSED)
    job._over.set()
    box.ingest._jobs[DEFAULT_COLLECTION] = job
    page = page_of("documents").run()
    assert page.error[0].value == "The disk is full."


def test_a_tool_that_cannot_do_it_says_so(box: Container):
    page = calculated("1 / 0")
    assert page.error[0].value


def test_a_setting_that_cannot_be_is_refused_and_nothing_is_changed(box: Container):
    page = page_of("models").run()
    encoder = next(text for text in page.text_input if text.label == EN("settings.encoder"))
    encoder.set_value("/nowhere/\x00")
    next(button for button in page.button if button.label == EN("settings.save")).click().run()
    assert not page.exception


# --- what stays


def test_the_mode_stays_when_another_page_was_looked_at(box: Container, assistant: ScriptedAssistant):
    page = AppTest.from_file(MAIN, default_timeout=PATIENCE_S)
    # As it is when one comes back: the widget of the mode is gone, what was chosen is kept.
    page.session_state["kept_mode"] = "prompt"
    page.run()
    assert page.session_state["mode"] == "prompt"
    page.chat_input[0].set_value("How tall?").run()
    settle(box)
    assert assistant.questions[-1].mode == "prompt"


def test_a_refresh_searches_where_it_was_searched(box: Container):
    page = AppTest.from_file(MAIN, default_timeout=PATIENCE_S)
    page.query_params["in"] = "papers"
    page.run()
    assert not page.exception
    assert page.session_state["scope"].collection == "papers"
    assert page.query_params["in"] in ("papers", ["papers"])


def test_a_refusal_offers_the_model_without_documents(box: Container, assistant: ScriptedAssistant):
    page = AppTest.from_file(MAIN, default_timeout=PATIENCE_S).run()
    page.chat_input[0].set_value("refuse this").run()
    settle(box)
    page.run()
    next(button for button in page.button if button.label == EN("answer.without_documents")).click().run()
    assert assistant.questions[-1].mode == "prompt"


def test_more_conversations_are_shown_on_demand(box: Container):
    for number in range(11):
        box.history.create(f"talk {number}")
    page = AppTest.from_file(MAIN, default_timeout=PATIENCE_S).run()

    def talks() -> list[str]:
        return [label for label in labels(page) if label.startswith("talk")]

    assert len(talks()) == 8
    page.button(key="more_conversations").click().run()
    assert len(talks()) == 11
