"""Training in a process of its own: a job folder that anybody can read, a runner, and the way to stop it.

    spec.json       what to do              status.json     where it stands (replaced as a whole)
    data.jsonl      the examples            metrics.jsonl   one line a step
    exam.jsonl      rows set aside          log.txt         what the process printed
    cancel          its presence asks the process to stop   checkpoint.safetensors   where it goes on

The folder of a job that was cancelled, or that finished, is removed: the adapter's card keeps what is worth keeping.
"""

import json
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import psutil

from core.child_environment import without_secrets
from core.config import Settings
from core.errors import TrainingError
from core.language import Bilingual
from training.adapters import checked_name
from training.checks import PreparedData
from training.examples import write_examples
from training.recipe import TrainingRecipe

JobState = Literal["preparing", "training", "exporting", "exam", "finished", "failed", "cancelled"]
ENDED = ("finished", "failed", "cancelled")
ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 20.0
# Two processes that both spin while they wait for their threads slow each other tenfold; threads that sleep at every
# barrier at once cost a fifth of the speed (evaluation/DECISIONS.md). So they spin for a moment.
THREAD_POLICY = {
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "2000",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
}


@dataclass(frozen=True)
class JobSpec:
    """What a job is to do. `base` is the path of the GGUF; `kind` names the task in the adapter's card.

    `start_from` is the file of an adapter whose training goes on; empty: a new one.
    """

    name: str
    base: str
    recipe: TrainingRecipe
    data_sha256: str = ""
    kind: str = ""
    exam: bool = True
    start_from: str = ""


@dataclass(frozen=True)
class JobStatus:
    """Where a job stands. `progress` are the fields of `training.trainer.Progress`; times in seconds since 1970."""

    state: JobState = "preparing"
    pid: int = 0
    started: float = 0.0
    changed: float = 0.0
    progress: Mapping[str, Any] = field(default_factory=dict)
    message_en: str = ""
    message_zh: str = ""

    @property
    def message(self) -> Bilingual:
        """Why it failed, or what it did."""
        return Bilingual(self.message_en, self.message_zh)


@dataclass(frozen=True)
class Job:
    """A job folder."""

    folder: Path

    @property
    def id(self) -> str:
        """The name of the folder."""
        return self.folder.name

    def spec(self) -> JobSpec:
        """What it does. Raises TrainingError where the folder is not a training job."""
        try:
            row = json.loads((self.folder / "spec.json").read_text(encoding="utf-8"))
            return JobSpec(**{**row, "recipe": TrainingRecipe(**row["recipe"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise TrainingError(
                Bilingual(
                    en=f"{self.folder} is not a training job that can be read. Delete the folder.",
                    zh=f"{self.folder} 不是可读取的训练任务。请删除该文件夹。",
                )
            ) from error

    def status(self) -> JobStatus:
        """Where it stands; a process that is gone without a word counts as failed, and can be resumed."""
        try:
            status = JobStatus(**json.loads((self.folder / "status.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return JobStatus()
        if status.state in ENDED or _runs(status.pid):
            return status
        if self.is_cancelled:
            return replace(status, state="cancelled")
        return replace(
            status,
            state="failed",
            message_en="The process ended without a word. Resume the job: it goes on from its last checkpoint.",
            message_zh="训练进程意外结束。请继续该任务：会从最后的检查点接着训练。",
        )

    def write_status(self, status: JobStatus) -> None:
        """Replace the status as a whole."""
        beside = self.folder / "status.json.new"
        beside.write_text(json.dumps(asdict(replace(status, changed=time.time()))), encoding="utf-8")
        beside.replace(self.folder / "status.json")

    def add_metrics(self, row: Mapping[str, Any]) -> None:
        """Append one line to the metrics."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """All lines of the metrics, oldest first."""
        path = self.folder / "metrics.jsonl"
        if not path.is_file():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked it to stop."""
        return (self.folder / "cancel").exists()

    def cancel(self) -> None:
        """Stop the process and remove the folder: nothing is left. May take some seconds."""
        (self.folder / "cancel").touch()
        status = self.status()
        if status.pid and status.state not in ENDED:
            _wait_for_end(status.pid)
        self.remove()

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


class JobBoard:
    """The training jobs of one data folder."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.paths.jobs

    def list(self) -> tuple[Job, ...]:
        """All training jobs, newest first."""
        found = [Job(path.parent) for path in self._folder.glob("train-*/spec.json")]
        return tuple(sorted(found, key=lambda job: job.folder.stat().st_mtime, reverse=True))

    def get(self, job_id: str) -> Job:
        """The job of that id. Raises TrainingError."""
        found = next((job for job in self.list() if job.id == job_id), None)
        if found is None:
            raise TrainingError(Bilingual(en=f"There is no training job {job_id!r}.", zh=f"没有训练任务 {job_id!r}。"))
        return found

    def create(self, spec: JobSpec, data: PreparedData) -> Job:
        """Write the folder of a new job; nothing runs yet. Raises TrainingError, also where the disk is full."""
        checked_name(spec.name)
        job = Job(self._folder / f"train-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}")
        try:
            digest = write_examples(job.folder / "data.jsonl", data.train)
            write_examples(job.folder / "held_out.jsonl", data.held_out)
            write_examples(job.folder / "exam.jsonl", data.exam)
            row = asdict(replace(spec, data_sha256=digest))
            (job.folder / "spec.json").write_text(json.dumps(row), encoding="utf-8")
        except OSError as error:
            job.remove()
            raise disk_error(job.folder, error) from error
        job.write_status(JobStatus(started=time.time()))
        return job

    def start(self, job: Job) -> "subprocess.Popen[bytes]":
        """Start the process, or start it again: it goes on from the last checkpoint."""
        threads = job.spec().recipe.threads
        environment = without_secrets({**THREAD_POLICY, "FOURFOLD_HOME": str(self._settings.home)})
        if self._settings.shared_home:
            # The job of a person of a shared server: the models are the server's.
            environment["FOURFOLD_SHARED_HOME"] = str(self._settings.shared_home)
        if threads:
            environment["OMP_NUM_THREADS"] = str(threads)
        with (job.folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "training", "run-job", str(job.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=ROOT,
                start_new_session=True,
            )
        job.write_status(replace(job.status(), state="preparing", pid=process.pid, message_en="", message_zh=""))
        return process

    def follow(self, job: Job, process: "subprocess.Popen[bytes]", every: float = 0.5) -> Iterator[JobStatus]:
        """Yield the status whenever it changes, until the process ends; the last one has ended."""
        seen = JobStatus()
        while True:
            ended = process.poll() is not None
            status = job.status()
            if status != seen:
                seen = status
                yield status
            if ended:
                return
            time.sleep(every)


def disk_error(path: Path, error: OSError) -> TrainingError:
    """What to say where writing failed."""
    return TrainingError(
        Bilingual(
            en=f"Cannot write to {path}: {error.strerror or error}. Free some space and resume.",
            zh=f"无法写入 {path}：{error.strerror or error}。请清理磁盘空间后继续。",
        )
    )


def _runs(pid: int) -> bool:
    try:
        return pid > 0 and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_for_end(pid: int) -> None:
    """Give the process time to notice; then end it. It is ours: its command names the job runner."""
    try:
        process = psutil.Process(pid)
        if "training" not in process.cmdline():
            return
        process.terminate()
        process.wait(STOP_SECONDS)
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired:
        process.kill()
