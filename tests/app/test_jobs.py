"""Long jobs: anybody may look, stop and go on; a process that dies leaves a job that can be resumed."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import works
from app.__main__ import main
from app.container import Container
from app.jobs import KEPT, Job, Report, WorkBoard
from app.widgets.jobs import time_left
from app.wording import Wording
from core.config import load_settings
from core.errors import SettingError
from core.language import Bilingual
from core.types import DEFAULT_COLLECTION
from ingest.pipeline import IngestOptions
from training.jobs import Job as TrainingJob
from training.jobs import JobSpec, JobStatus
from training.recipe import TrainingRecipe

EN = Wording("en")


def until(holds: Callable[[], bool]) -> None:
    for _ in range(400):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come to pass")


def ended(board: WorkBoard, job: Job) -> Job:
    until(lambda: (found := board.get(job.id)) is not None and not found.is_running)
    found = board.get(job.id)
    assert found is not None
    return found


class Steps:
    """A work of ten steps that waits for permission to go on."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked: list[Mapping[str, Any]] = []

    def __call__(self, params: Mapping[str, Any], report: Report) -> dict[str, Any] | None:
        self.asked.append(params)
        report.progress(0.5, Bilingual("half", "一半"))
        while not self.go.wait(0.01):
            if report.is_cancelled:
                return None
        report.progress(1.0, Bilingual("all", "全部"))
        return {"answer": 42}


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def board(tmp_path: Path, steps: Steps) -> WorkBoard:
    return WorkBoard(tmp_path / "jobs", {"steps": steps})


def test_a_job_runs_reports_and_keeps_its_result(board: WorkBoard, steps: Steps):
    job = board.start("steps", "Ten steps", {"n": 10})
    until(lambda: (found := board.get(job.id)) is not None and found.share == 0.5)
    running = board.get(job.id)
    assert running is not None
    assert running.is_running
    assert (running.detail.zh, running.title) == ("一半", "Ten steps")
    assert running.seconds_left is not None
    steps.go.set()
    over = ended(board, job)
    assert (over.state, over.detail.en) == ("finished", "all")
    assert board.result(job.id) == {"answer": 42}


def test_another_board_may_stop_it(board: WorkBoard, tmp_path: Path):
    job = board.start("steps", "Ten steps", {})
    assert WorkBoard(tmp_path / "jobs").cancel(job.id)
    assert ended(board, job).state == "cancelled"
    board.remove(job.id)
    assert board.list() == ()
    assert not board.cancel(job.id)


def test_a_process_that_is_gone_leaves_a_job_that_goes_on(board: WorkBoard, steps: Steps, tmp_path: Path):
    job = board.start("steps", "Ten steps", {"n": 10})
    path = tmp_path / "jobs" / job.id / "job.json"
    steps.go.set()
    ended(board, job)
    dead = {**json.loads(path.read_text(encoding="utf-8")), "state": "running", "process_began": 1.0}
    path.write_text(json.dumps(dead), encoding="utf-8")
    cut = board.get(job.id)
    assert cut is not None
    assert cut.state == "interrupted"
    again = board.resume(job.id)
    assert again is not None
    assert ended(board, again).state == "finished"
    assert steps.asked == [{"n": 10}, {"n": 10}]
    assert [one.id for one in board.list()] == [again.id]


def test_what_goes_wrong_is_told(tmp_path: Path):
    def refuses(_params: Mapping[str, Any], _report: Report) -> None:
        raise SettingError(Bilingual("The disk is full.", "磁盘已满。"))

    def breaks(_params: Mapping[str, Any], _report: Report) -> None:
        raise RuntimeError("boom")

    board = WorkBoard(tmp_path, {"refuses": refuses, "breaks": breaks})
    assert ended(board, board.start("refuses", "", {})).detail.zh == "磁盘已满。"
    assert "boom" in ended(board, board.start("breaks", "", {})).detail.en


def test_old_jobs_are_forgotten_and_damaged_ones_passed_over(tmp_path: Path):
    board = WorkBoard(tmp_path, {"nothing": lambda _params, _report: None})
    (tmp_path / "work-damaged").mkdir()
    (tmp_path / "work-damaged" / "job.json").write_text("{", encoding="utf-8")
    for _ in range(KEPT + 3):
        ended(board, board.start("nothing", "", {}))
    assert len(board.list()) == KEPT + 1


def test_an_ingest_of_the_page_is_a_job_of_the_list(box: Container, tmp_path: Path):
    path = tmp_path / "harbour.md"
    path.write_text("# Harbour\n\nThe lighthouse is 41 metres tall.\n", encoding="utf-8")
    assert box.ingest.start(DEFAULT_COLLECTION, [path]).wait(60)
    until(lambda: not works.all_jobs(box.settings)[0].is_running)
    (job,) = works.all_jobs(box.settings)
    assert (job.kind, job.title, job.state) == ("ingest", "harbour.md", "finished")
    works.resume(box, job.id)
    until(lambda: [one.state for one in works.all_jobs(box.settings)] == ["finished"])
    (again,) = works.all_jobs(box.settings)
    assert again.id != job.id


def test_reading_again_is_still_reading_again_after_a_restart(box: Container, tmp_path: Path):
    path = tmp_path / "harbour.md"
    path.write_text("# Harbour\n\nThe lighthouse is 41 metres tall.\n", encoding="utf-8")
    for options in (IngestOptions(), IngestOptions(again=True)):
        assert box.ingest.start(DEFAULT_COLLECTION, [path], options).wait(60)
    until(lambda: not any(job.is_running for job in works.all_jobs(box.settings)))
    works.resume(box, works.all_jobs(box.settings)[0].id)
    until(lambda: not any(job.is_running for job in works.all_jobs(box.settings)))
    job = box.ingest.job(DEFAULT_COLLECTION)
    assert job is not None
    assert [(line.name, line.status) for line in job.progress.files] == [("harbour.md", "ok")]


def test_an_ingest_that_fails_says_why(box: Container, tmp_path: Path):
    box.ingest.start(DEFAULT_COLLECTION, [tmp_path / "nowhere"]).wait(60)
    until(lambda: not works.all_jobs(box.settings)[0].is_running)
    assert "nowhere" in works.all_jobs(box.settings)[0].detail.en


@pytest.fixture
def training(tmp_path: Path) -> TrainingJob:
    job = TrainingJob(load_settings().paths.jobs / "train-1")
    job.folder.mkdir(parents=True)
    spec = JobSpec("tickets", "/base.gguf", TrainingRecipe())
    row = {**vars(spec), "recipe": vars(spec.recipe)}
    (job.folder / "spec.json").write_text(json.dumps(row), encoding="utf-8")
    progress = {"step": 5, "total_steps": 20, "loss": 1.5, "seconds_left": 30.0}
    job.write_status(JobStatus("training", pid=0, started=5.0, progress=progress))
    return job


def test_a_training_stands_in_the_same_list(training: TrainingJob, capsys: pytest.CaptureFixture[str]):
    (job,) = works.all_jobs(load_settings())
    # No process is behind it: it can be resumed, and is not called running.
    assert (job.kind, job.title, job.state) == ("train", "tickets", "failed")
    assert main(["jobs", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out.splitlines()[-1])["jobs"]
    assert [one["id"] for one in listed] == ["train-1"]
    assert main(["jobs", "--cancel", "train-1"]) == 0
    assert not training.folder.exists()
    assert main(["jobs", "--cancel", "train-1"]) == 1


def test_the_sidebar_leads_to_the_drawer(page: AppTest, box: Container, tmp_path: Path):
    page.run()
    assert "open_jobs" not in [button.key for button in page.button]
    path = tmp_path / "harbour.md"
    path.write_text("The lighthouse is 41 metres tall.", encoding="utf-8")
    box.ingest.start(DEFAULT_COLLECTION, [path]).wait(60)
    until(lambda: not works.all_jobs(box.settings)[0].is_running)
    page.run().button(key="open_jobs").click().run()
    assert not page.exception
    assert any("harbour" in text.value for text in page.markdown)
    forget = next(button for button in page.button if button.label == EN("jobs.forget"))
    forget.click().run()
    until(lambda: works.all_jobs(box.settings) == [])
    assert not page.run().exception


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1 s"), (89, "89 s"), (600, "about 10 min"), (9000, "about 2.5 h")]
)
def test_a_time_to_wait_is_no_more_exact_than_an_estimate(seconds: float, said: str):
    assert time_left(seconds, EN) == said
