"""The prompt lab: variants by hand, the search on labelled examples, templates put to use; empty, busy, failing."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import container, prompt_library
from app.container import Container
from app.prompt_lab import Cell, bill, cells_of, expected_calls
from app.prompt_library import PromptTemplate
from app.wording import Wording
from core.config import load_settings
from core.types import Message, Question
from inference.fakes import FakeEngine
from inference.protocol import GenerationRequest
from orchestrator.bill import Price
from tests.app.conftest import MAIN
from tests.app.fake_parts import ScriptedAssistant, container_over
from tests.app.test_jobs import ended, until
from training.examples import pair
from training.prompt_search import INSTRUCTIONS, search, variants

EN = Wording("en")
LAB = "from app.views import prompts\n\nprompts.draw()\n"


@pytest.fixture
def lab(box: Container) -> AppTest:
    return AppTest.from_string(LAB, default_timeout=30)


def press(page: AppTest, label: str) -> None:
    next(button for button in page.button if button.label == label).click().run()
    assert not page.exception


def finished(box: Container, kind: str) -> None:
    until(lambda: (job := box.work.latest(kind)) is not None and not job.is_running)


def test_every_variant_answers_every_question_side_by_side(lab: AppTest, box: Container, assistant: ScriptedAssistant):
    lab.run()
    lab.text_area(key="lab_questions").set_value("How tall?\nHow old?").run()
    lab.text_area(key="lab_instruction_0").set_value("Answer {audience}.").run()
    lab.text_input(key="lab_0_audience").set_value("a child").run()
    press(lab, EN("lab.run"))
    finished(box, "prompts")
    lab.run()
    systems = [question.options.system for question in assistant.questions]
    assert systems == ["Answer a child.", EN("lab.first_instruction")] * 2
    assert [question.text for question in assistant.questions] == ["How tall?"] * 2 + ["How old?"] * 2
    assert sum("41 metres" in part.proto.body for part in lab.get("html")) == 4
    assert any(caption.value.startswith("1,000 such answers") for caption in lab.caption)


def test_a_new_page_comes_back_to_the_last_run(lab: AppTest, box: Container):
    lab.run()
    lab.text_area(key="lab_questions").set_value("How tall?").run()
    press(lab, EN("lab.run"))
    finished(box, "prompts")
    fresh = AppTest.from_string(LAB, default_timeout=30).run()
    assert fresh.text_area(key="lab_questions").value == "How tall?"
    assert sum("41 metres" in part.proto.body for part in fresh.get("html")) == 2


def test_variants_come_and_go(lab: AppTest, box: Container):
    lab.run()
    press(lab, EN("lab.more"))
    assert lab.text_input(key="lab_name_2").value == "C"
    press(lab, EN("lab.fewer"))
    assert len([area for area in lab.text_area if area.label == EN("lab.instruction")]) == 2


def test_a_failing_answer_is_told_in_its_place(lab: AppTest, box: Container):
    lab.run()
    lab.text_area(key="lab_questions").set_value("please fail").run()
    press(lab, EN("lab.run"))
    finished(box, "prompts")
    lab.run()
    assert [error.value for error in lab.error] == ["The model failed."] * 2


def test_a_running_lab_can_be_stopped_from_a_fresh_page(box: Container, assistant: ScriptedAssistant):
    assistant.seconds_between = 0.1
    variants = [{"name": "A", "instruction": "", "pattern": "{question}", "turns": [], "values": {}}]
    job = box.work.start("prompts", "A", {"variants": variants, "questions": ["one"] * 50})
    page = AppTest.from_string(LAB, default_timeout=30).run()
    assert next(button for button in page.button if button.label == EN("lab.run")).disabled
    press(page, EN("lab.stop"))
    assert ended(box.work, job).state == "cancelled"


def test_a_variant_becomes_the_template_of_the_prompt_mode(lab: AppTest, box: Container, assistant: ScriptedAssistant):
    lab.run()
    lab.text_area(key="lab_questions").set_value("How tall?").run()
    press(lab, EN("lab.run"))
    finished(box, "prompts")
    lab.run().text_input(key="name_keep_variant_1").set_value("For children").run()
    lab.button(key="keep_variant_1").click().run()
    shelf = prompt_library.load(box.settings.paths.home)
    assert shelf.current is not None
    assert (shelf.in_use, shelf.current.instruction) == ("For children", EN("lab.first_instruction"))
    chat = AppTest.from_file(MAIN, default_timeout=20).run()
    chat.session_state["mode"] = "prompt"
    chat.chat_input[0].set_value("Why?").run()
    until(lambda: assistant.questions[-1].text == "Why?")
    assert assistant.questions[-1].options.system == EN("lab.first_instruction")
    press(AppTest.from_string(LAB, default_timeout=30).run(), EN("lab.unuse"))
    assert prompt_library.load(box.settings.paths.home).current is None


def obedient(prompt: str, label: str) -> float:
    """Knows the label, but holds it probable only when it is told to write nothing else."""
    told, warm = INSTRUCTIONS[1].en in prompt, "warm" in prompt.split("Text:")[-1]
    return 0.0 if told == (label == ("sun" if warm else "rain")) else -9.0


@pytest.fixture
def searching(tmp_path: Path) -> Iterator[Container]:
    made = container_over(load_settings(), ScriptedAssistant(), FakeEngine(score=obedient)).start()
    container.share(made)
    yield made
    made.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "weather.jsonl"
    draw = random.Random(1)
    places = ["".join(draw.choices("abcdefghij", k=9)) for _ in range(80)]
    rows = [
        {"text": f"{place} is {'warm' if n % 2 else 'wet'}", "label": "sun" if n % 2 else "rain"}
        for n, place in enumerate(places)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_the_search_finds_the_instruction_that_works_and_scores_it_held_out(searching: Container, data: Path):
    job = ended(searching.work, searching.work.start("search", "weather", {"path": str(data)}))
    assert job.state == "finished", job.detail.en
    result = searching.work.result(job.id)
    assert result is not None
    assert result["best"]["mean"] == 1.0
    assert result["plain"]["mean"] == 0.0
    assert result["template"]["instruction"] == INSTRUCTIONS[1].en
    page = AppTest.from_string(LAB, default_timeout=30).run()
    assert not page.exception
    assert any("100% (" in text.value for text in page.markdown)
    page.button(key="keep_found").click().run()
    kept = prompt_library.load(searching.settings.paths.home).current
    assert kept is not None
    assert kept.apply(prompted("Oslo is warm")).text.endswith("Text: Oslo is warm\nLabel:")


def prompted(text: str) -> Question:
    return Question(text, mode="prompt")


def test_data_that_cannot_be_used_is_told(searching: Container, tmp_path: Path):
    path = tmp_path / "empty.jsonl"
    path.write_text("", encoding="utf-8")
    job = ended(searching.work, searching.work.start("search", "empty", {"path": str(path)}))
    assert job.state == "failed"
    page = AppTest.from_string(LAB, default_timeout=30).run()
    assert "empty" in page.error[0].value


def test_examples_that_are_all_alike_cannot_be_set_aside(searching: Container, tmp_path: Path):
    path = tmp_path / "alike.jsonl"
    rows = [{"text": f"day {n}", "label": "odd" if n % 2 else "even"} for n in range(80)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    job = ended(searching.work, searching.work.start("search", "alike", {"path": str(path)}))
    assert (job.state, "differ" in job.detail.en) == ("failed", True)


def test_the_calls_of_a_search_are_counted_before():
    calls = 0

    def counting(_request: GenerationRequest) -> str:
        nonlocal calls
        calls += 1
        return "x"

    rows = [pair(f"question {n} of many", f"answer {n}") for n in range(60)]
    search(FakeEngine(counting), rows[:30], rows[30:50], rows[50:], 42)
    assert calls == expected_calls(len(variants(rows[:30], 42)), 20, 10)


def test_a_bill_is_told_for_a_thousand_answers_like_these():
    cells = [Cell(0, 0, "x", 100, 50), Cell(0, 1, "y", 300, 150)]
    # 200 tokens read at 1.5 and 100 written at 6 a million, a thousand times
    assert bill(cells, Price("p", 1.5, 6.0)) == pytest.approx(0.9)


def test_the_shots_of_a_template_come_before_the_history():
    template = PromptTemplate("x", turns=(("a", "b"),))
    history = template.apply(prompted("c")).history
    assert history == (Message("user", "a"), Message("assistant", "b"))
    assert cells_of(None) == []
