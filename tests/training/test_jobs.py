"""Job folders: what they say, how they end, and a real run that is killed and resumed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from safetensors import safe_open

from core.config import Settings, load_settings
from core.errors import TrainingError
from training.adapters import AdapterLibrary
from training.checks import DataReport, PreparedData
from training.examples import pair
from training.gguf_model import GgufModel
from training.jobs import Job, JobBoard, JobSpec, JobStatus
from training.recipe import TrainingRecipe
from training.trainer import CHECKPOINT_FILE

ROWS = tuple(pair(f"Say {word}", word) for word in ("red", "green", "blue", "black", "white", "brown", "pink", "grey"))
DATA = PreparedData(ROWS, ROWS[:2], (), DataReport(rows=8))
SPEC = JobSpec(
    "mine",
    "base.gguf",
    TrainingRecipe(rank=4, alpha=8.0, epochs=3, batch_examples=2, threads=1, precision="float32"),
    exam=False,
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


def losses(job: Job) -> dict[int, float]:
    """The loss of every step, the last time that it was done."""
    return {row["step"]: row["loss"] for row in job.metrics()}


@pytest.fixture
def spec(tiny: GgufModel) -> JobSpec:
    """Over a hundred steps with a checkpoint at each, in a process of its own."""
    recipe = replace(SPEC.recipe, epochs=60, batch_examples=3, pack_tokens=64, learning_rate=1e-3, patience=999)
    return replace(SPEC, base=str(tiny.path), recipe=recipe)


def test_a_run_killed_at_a_random_step_ends_with_the_same_losses(
    board: JobBoard, settings: Settings, spec: JobSpec, tiny: GgufModel
) -> None:
    whole = board.create(spec, DATA)
    assert [status.state for status in board.follow(whole, board.start(whole))][-1] == "finished"
    job = board.create(replace(spec, name="killed"), DATA)
    process = board.start(job)
    # Early enough to hit it before it ends.
    last = random.randrange(3, max(losses(whole)) // 3)
    wait_for(lambda: len(job.metrics()) >= last, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert job.status().state == "failed"
    with safe_open(str(job.folder / CHECKPOINT_FILE), "np") as file:
        reached = json.loads(file.metadata()["state"])["step"]
    assert [status.state for status in board.follow(job, board.start(job))][-1] == "finished"
    # Steps after the checkpoint are done again, none is left out, and all losses are those of the run left alone.
    assert [row["step"] for row in job.metrics()].count(reached) == 1
    assert losses(job) == pytest.approx(losses(whole), rel=1e-4)
    adapter = AdapterLibrary(settings).get("killed")
    assert adapter.base_sha256 == tiny.sha256
    assert adapter.card.training["step"] == max(losses(whole))


def test_cancelling_a_real_run_leaves_nothing(board: JobBoard, settings: Settings, spec: JobSpec) -> None:
    job = board.create(replace(spec, recipe=replace(spec.recipe, epochs=5000)), DATA)
    process = board.start(job)
    wait_for(lambda: len(job.metrics()) >= 2, process)
    job.cancel()
    process.wait(10)
    left = [path for path in settings.home.rglob("*") if path.is_file()]
    assert left == []


def test_a_disk_that_fills_up_while_training_is_a_sentence_and_the_run_goes_on_later(
    board: JobBoard, spec: JobSpec
) -> None:
    job = board.create(spec, DATA)
    # A folder where the checkpoint is written: none can be saved, as on a full disk.
    (job.folder / f"{CHECKPOINT_FILE}.new").mkdir()
    status = list(board.follow(job, board.start(job)))[-1]
    assert status.state == "failed"
    assert status.message.en.startswith(f"Cannot write to {job.folder}")
    (job.folder / f"{CHECKPOINT_FILE}.new").rmdir()
    assert [status.state for status in board.follow(job, board.start(job))][-1] == "finished"


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    for _ in range(2400):
        if condition():
            return
        assert process.poll() is None
        time.sleep(0.02)
    raise AssertionError("the job made no step")
