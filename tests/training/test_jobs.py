"""Job folders: what they say, how they end, and a real run that is killed and resumed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from core.config import Settings, load_settings
from core.errors import TrainingError
from training.adapters import AdapterLibrary
from training.checks import DataReport, PreparedData
from training.examples import pair
from training.gguf_model import GgufModel
from training.jobs import Job, JobBoard, JobSpec, JobStatus
from training.recipe import TrainingRecipe

ROWS = tuple(pair(f"Say {word}", word) for word in ("red", "green", "blue", "black", "white", "brown", "pink", "grey"))
DATA = PreparedData(ROWS, ROWS[:2], (), DataReport(rows=8))
SPEC = JobSpec(
    "mine", "base.gguf", TrainingRecipe(rank=4, alpha=8.0, epochs=3, batch_examples=2, threads=1), exam=False
)


@pytest.fixture
def settings() -> Settings:
    return load_settings()


@pytest.fixture
def board(settings: Settings) -> JobBoard:
    return JobBoard(settings)


def stand_in() -> "subprocess.Popen[bytes]":
    """A process that looks like a training job and does nothing."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)", "training"])


def test_a_job_says_what_it_does_and_where_it_stands(board: JobBoard) -> None:
    job = board.create(SPEC, DATA)
    assert replace(job.spec(), data_sha256="") == SPEC
    assert len(job.spec().data_sha256) == 64
    assert job.status().state == "failed"  # nobody runs it yet
    job.write_status(replace(JobStatus(), state="training", pid=os.getpid(), progress={"step": 3}))
    assert (job.status().state, job.status().progress["step"]) == ("training", 3)
    job.add_metrics({"step": 1, "loss": 2.5})
    job.add_metrics({"step": 2, "loss": 2.0})
    assert [row["loss"] for row in job.metrics()] == [2.5, 2.0]
    assert board.get(job.id) == job == board.list()[0]


def test_a_process_that_died_is_noticed_and_can_be_resumed(board: JobBoard) -> None:
    job = board.create(SPEC, DATA)
    process = stand_in()
    job.write_status(replace(JobStatus(), state="training", pid=process.pid))
    assert job.status().state == "training"
    process.kill()
    process.wait()
    status = job.status()
    assert status.state == "failed"
    assert "Resume" in status.message.en
    assert "检查点" in status.message.zh


def test_cancelling_ends_the_process_and_leaves_nothing(board: JobBoard, settings: Settings) -> None:
    job = board.create(SPEC, DATA)
    process = stand_in()
    job.write_status(replace(JobStatus(), state="training", pid=process.pid))
    job.cancel()
    process.wait(10)
    assert not psutil.pid_exists(process.pid)
    assert list(settings.paths.jobs.iterdir()) == []


def test_a_process_of_somebody_else_is_never_ended(board: JobBoard) -> None:
    job = board.create(SPEC, DATA)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    try:
        job.write_status(replace(JobStatus(), state="training", pid=process.pid))
        job.cancel()
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_a_folder_that_is_no_job_and_a_disk_that_cannot_be_written_are_named(
    board: JobBoard, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=str(tmp_path)):
        Job(tmp_path).spec()
    with pytest.raises(TrainingError, match="no training job"):
        board.get("train-nowhere")
    # A file stands where the folder of jobs should be: every write fails, as on a full disk.
    settings.paths.jobs.parent.mkdir(parents=True, exist_ok=True)
    settings.paths.jobs.write_text("")
    with pytest.raises(TrainingError, match="Cannot write") as caught:
        board.create(SPEC, DATA)
    assert "无法写入" in caught.value.message.zh


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_and_ends_in_the_library(
    board: JobBoard, settings: Settings, base: GgufModel
) -> None:
    job = board.create(replace(SPEC, base=str(base.path)), DATA)
    process = board.start(job)
    wait_for(lambda: (job.folder / "checkpoint" / "state.json").is_file(), process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    reached = json.loads((job.folder / "checkpoint" / "state.json").read_text())["step"]
    assert job.status().state == "failed"
    states = [status.state for status in board.follow(job, board.start(job))]
    assert states[-1] == "finished"
    steps = [row["step"] for row in job.metrics()]
    # Steps after the checkpoint are done again, none is left out, and the last is the last.
    assert reached + 1 in steps
    assert steps[-1] == job.metrics()[-1]["total_steps"]
    assert set(steps) == set(range(1, steps[-1] + 1))
    adapter = AdapterLibrary(settings).get("mine")
    assert adapter.base_sha256 == base.sha256
    assert adapter.card.training["step"] == steps[-1]


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    for _ in range(1200):
        if condition():
            return
        assert process.poll() is None
        time.sleep(0.1)
    raise AssertionError("the job made no checkpoint")
