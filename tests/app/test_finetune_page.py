"""The Fine-tune page: rows from the chat are checked and shown, a job is watched, an adapter is tried and chosen."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app import container
from app.container import Container
from app.wording import Wording
from core.config import load_settings
from inference.fakes import FAKE_INFO, FakeEngine
from tests.app.fake_parts import ScriptedAssistant, container_over
from tests.training.tiny_models import write_tiny
from training.adapters import AdapterCard, AdapterLibrary
from training.checks import DataReport, PreparedData
from training.examples import pair
from training.export import AdapterOrigin, write_adapter
from training.gguf_model import GgufModel, read_model
from training.jobs import JobBoard, JobSpec, JobStatus
from training.lora import LoraWeights
from training.recipe import TrainingRecipe

EN = Wording("en")
PAGE = "from app.views import finetune\n\nfinetune.draw()\n"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> GgufModel:
    return read_model(write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.gguf"))


@pytest.fixture
def box(tiny: GgufModel) -> Iterator[Container]:
    engine = FakeEngine(lambda request: "trained" if request.adapter else "raw", replace(FAKE_INFO, sha256=tiny.sha256))
    made = container_over(load_settings(model=str(tiny.path)), ScriptedAssistant(), engine).start()
    made.parts()
    made.model = engine.info
    container.share(made)
    yield made
    made.close()


def page() -> AppTest:
    return AppTest.from_string(PAGE, default_timeout=120)


def shown(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.text, *page.code, *page.error]
    return "\n".join(str(part.value) for part in parts)


def test_liked_answers_are_checked_and_shown_as_the_model_reads_them(box: Container) -> None:
    talk = box.history.create()
    for letter in "abcdefghijkl":
        answer = box.history.begin_answer(box.history.add_question(talk.id, f"What is {letter * 3}?").id)
        box.history.finish_answer(answer.id, f"A word, {letter * 3}.", "done", {})
        box.history.add_feedback(answer.id, "good")
    drawn = page().run()
    drawn.text_input[0].set_value("words")
    drawn.radio[0].set_value(EN("finetune.from_chat"))
    next(button for button in drawn.button if button.label == EN("finetune.check")).click().run()
    assert not drawn.exception
    text = shown(drawn)
    assert "12 rows; 0 repeated, 0 too long." in text
    assert "9 examples to learn from, 1 to check with, 2 for the exam." in text
    assert "<|im_start|>assistant\n⟦A word, " in text
    assert JobBoard(box.settings).list() == ()


def test_what_cannot_be_trained_is_said_and_nothing_is_offered(box: Container) -> None:
    drawn = page().run()
    drawn.text_input[0].set_value("../nowhere")
    drawn.radio[0].set_value(EN("finetune.from_chat"))
    next(button for button in drawn.button if button.label == EN("finetune.check")).click().run()
    assert "cannot name an adapter" in shown(drawn)
    assert EN("finetune.train") not in [button.label for button in drawn.button]


def test_what_is_missing_before_a_check_is_said(box: Container) -> None:
    drawn = page().run()
    next(button for button in drawn.button if button.label == EN("finetune.check")).click().run()
    assert [warning.value for warning in drawn.warning] == [EN("finetune.no_name")]
    drawn.text_input[0].set_value("words")
    next(button for button in drawn.button if button.label == EN("finetune.check")).click().run()
    assert [warning.value for warning in drawn.warning] == [EN("finetune.no_file")]
    assert not drawn.error


def test_a_running_job_shows_its_losses_and_is_removed_on_demand(box: Container, tiny: GgufModel) -> None:
    board = JobBoard(box.settings)
    rows = tuple(pair(f"q{n}", "a") for n in range(8))
    spec = JobSpec("watched", str(tiny.path), TrainingRecipe())
    job = board.create(spec, PreparedData(rows, (), (), DataReport(rows=8)))
    for step in (1, 2, 3):
        job.add_metrics({"step": step, "loss": 3.0 - step, "held_out_loss": 1.5 if step == 2 else None})
    status = JobStatus("training", os.getpid(), progress={"step": 3, "total_steps": 9, "loss": 0.0, "seconds_left": 60})
    job.write_status(status)
    drawn = page().run()
    assert not drawn.exception
    assert "watched" in shown(drawn)
    assert len(drawn.get("arrow_vega_lite_chart") or drawn.get("vega_lite_chart")) == 1
    job.write_status(replace(status, state="failed"))
    drawn = page().run()
    next(button for button in drawn.button if button.label == EN("finetune.cancel")).click().run()
    assert not job.folder.exists()


def test_an_adapter_answers_beside_its_base_and_goes_without_a_trace(
    box: Container, tiny: GgufModel, tmp_path: Path
) -> None:
    a, b = (np.zeros(shape, dtype=np.float32) for shape in ((2, tiny.n_embd), (tiny.n_embd, 2)))
    file = tmp_path / "adapter.gguf"
    name = "blk.0.attn_q.weight"
    write_adapter(file, LoraWeights(2, 4.0, {name: a}, {name: b}), tiny, AdapterOrigin("mine"))
    AdapterLibrary(box.settings).add(file, AdapterCard("mine", base_name=tiny.name, base_sha256=tiny.sha256))
    drawn = page().run()
    drawn.text_area[0].set_value("Well?")
    next(button for button in drawn.button if button.label == EN("finetune.answer_both")).click().run()
    assert not drawn.exception
    assert [part.value for part in drawn.text][:2] == ["raw", "trained"]
    next(button for button in drawn.button if button.key == "delete_mine").click().run()
    assert list(box.settings.paths.adapters.iterdir()) == []
    assert "mine" not in shown(drawn)
