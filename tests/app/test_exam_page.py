"""The exam page: empty, proposing, reviewing, sitting, a change that makes it worse; nothing is kept unasked."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import container
from app.container import Container
from app.exams import apply_review
from app.wording import Wording
from core.config import load_settings
from core.types import DEFAULT_COLLECTION
from evaluation.exam_grading import told_settings
from evaluation.exam_store import ExamItem, ExamStore, Mark, Sitting, open_store
from tests.app.fake_parts import ScriptedAssistant
from tests.app.test_jobs import until

EN = Wording("en")
TEXT = (
    "# Harbour guide\n\nThe lighthouse of Port Ellis was built in 1889 by Anna Berg. It is 41 metres tall.\n\n"
    "The harbour master of Port Ellis is Johan Falk. The ferry to Nordby leaves at 14:30 from pier 3.\n"
)


@pytest.fixture
def page(box: Container) -> AppTest:
    return AppTest.from_string("from app.views import exam\n\nexam.draw()\n", default_timeout=60)


@pytest.fixture
def store(box: Container) -> ExamStore:
    return open_store(box.settings)


def press(page: AppTest, label: str) -> None:
    next(button for button in page.button if button.label == label).click().run()
    assert not page.exception


def finished(box: Container, kind: str) -> str:
    until(lambda: (job := box.work.latest(kind)) is not None and not job.is_running)
    job = box.work.latest(kind)
    assert job is not None
    return job.state


def kept(question: str, *answers: str) -> ExamItem:
    return ExamItem(DEFAULT_COLLECTION, question, answers, bool(answers), status="kept")


def sitting(marks: dict[str, float], **settings: object) -> Sitting:
    told = {**told_settings(load_settings()), **settings}
    rows = tuple(Mark("rag", question, "said", "model", right, None, 0.5, 100) for question, right in marks.items())
    return Sitting(DEFAULT_COLLECTION, "", told, rows)


def test_an_empty_exam_says_what_to_do(page: AppTest):
    page.run()
    assert not page.exception
    captions = [caption.value for caption in page.caption]
    assert EN("exam.empty") in captions
    assert captions.count(EN("exam.none_kept")) == 2


def test_questions_are_proposed_from_the_documents(page: AppTest, box: Container, store: ExamStore, tmp_path: Path):
    path = tmp_path / "harbour.md"
    path.write_text(TEXT, encoding="utf-8")
    assert box.ingest.start(DEFAULT_COLLECTION, [path]).wait(60)
    page.run()
    press(page, EN("exam.propose"))
    assert finished(box, "propose") == "finished"
    items = store.items(DEFAULT_COLLECTION)
    assert items
    assert {item.status for item in items} == {"proposed"}
    assert all(item.answers[0] in TEXT for item in items if item.answerable)
    page.run()
    press(page, EN("exam.keep_all"))
    assert {item.status for item in store.items(DEFAULT_COLLECTION)} == {"kept"}


def test_a_review_writes_what_changed_and_nothing_else(store: ExamStore):
    items = [kept("How tall is it?", "41 metres"), kept("Who paints it?")]
    store.add(items)
    rows = [
        {"status": "kept", "question": "How  tall is the lighthouse?", "answer": "41 metres | 41 m"},
        {"status": "dropped", "question": "", "answer": ""},
    ]
    assert apply_review(store, items, rows) == 2
    first, second = store.items(DEFAULT_COLLECTION)
    assert (first.question, first.answers) == ("How tall is the lighthouse?", ("41 metres", "41 m"))
    assert (second.status, second.question) == ("dropped", "Who paints it?")
    same = [
        {"status": one.status, "question": one.question, "answer": " | ".join(one.answers)} for one in (first, second)
    ]
    assert apply_review(store, [first, second], same) == 0


def test_the_exam_is_sat_and_every_mode_has_its_row(
    page: AppTest, box: Container, store: ExamStore, assistant: ScriptedAssistant
):
    store.add([kept("How tall is it?", "41 metres"), kept("How old is it?", "130 years")])
    page.run()
    press(page, EN("exam.sit", count=2))
    assert finished(box, "exam") == "finished"
    assert sorted((one.mode, one.text) for one in assistant.questions) == [
        ("prompt", "How old is it?"),
        ("prompt", "How tall is it?"),
        ("rag", "How old is it?"),
        ("rag", "How tall is it?"),
    ]
    page.run()
    table = page.table[0].value
    assert list(table[EN("exam.way")]) == [EN("mode.rag"), EN("mode.prompt")]
    assert all(cell.startswith("50% (") for cell in table[EN("exam.right")])


def test_an_exam_that_got_worse_warns(page: AppTest, store: ExamStore):
    questions = [f"question {n}" for n in range(12)]
    store.add([kept(question, "x") for question in questions])
    store.add_sitting(sitting(dict.fromkeys(questions, 1.0)))
    store.add_sitting(sitting(dict.fromkeys(questions, 0.0)))
    page.run()
    assert not page.exception
    assert "worse" in page.warning[0].value


def test_a_change_is_tried_before_it_is_kept(
    page: AppTest, box: Container, store: ExamStore, assistant: ScriptedAssistant
):
    questions = [f"question {n}" for n in range(8)]
    store.add([kept(question, "41 metres") for question in questions])
    store.add_sitting(sitting(dict.fromkeys(questions, 1.0)))
    change = {"top_k": 1}
    box.work.start("trial", "top_k: 1", {"collection": DEFAULT_COLLECTION, "modes": ["rag"], "settings": change})
    # No model stands behind these parts: every answer under the change fails, which is as bad as a change can be.
    assert finished(box, "trial") == "finished"
    page.run()
    assert EN("exam.gets_worse", said="").strip() in page.warning[0].value
    assert load_settings().top_k == 5
    assert len(store.sittings(DEFAULT_COLLECTION)) == 1


def test_the_page_waits_while_the_parts_open(page: AppTest, box: Container):
    box._built.clear()
    page.run()
    assert not page.exception
    assert any(EN("documents.opening") in caption.value for caption in page.caption)
    box._built.set()


def test_settings_that_are_adopted_are_kept_and_stop_what_runs(box: Container, assistant: ScriptedAssistant):
    assistant.seconds_between = 0.1
    questions = ["How tall?"] * 30
    variants = [{"name": "A", "instruction": "", "pattern": "{question}", "turns": [], "values": {}}]
    job = box.work.start("prompts", "A", {"variants": variants, "questions": questions})
    container.adopt({"top_k": 7})
    fresh = container.shared()
    fresh.close()
    container.share(box)
    assert load_settings().top_k == 7
    until(lambda: (found := box.work.get(job.id)) is not None and found.state == "cancelled")
