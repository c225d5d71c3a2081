"""Long work that outlives a page: a folder per job that any process may read, and a thread that does it.

    job.json    what it is and where it stands, replaced as a whole      cancel    its presence asks the work to stop
    result.json what came of it, where there is something to keep

Training has job folders and processes of its own (`training.jobs`); here they are only listed beside the others.
"""

import json
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import psutil

from core.errors import FourfoldError
from core.language import Bilingual

JobState = Literal["running", "finished", "failed", "cancelled", "interrupted"]
NOTHING = Bilingual("", "")
# A job says where it stands at most this often; a page looks every second.
SECONDS_BETWEEN_WRITES = 0.4
# Ended jobs beyond this number are forgotten, oldest first.
KEPT = 20
# Before this share is done, the pace says nothing about the rest.
SHARE_OF_AN_ESTIMATE = 0.03
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A job as it stands. `share` is 0..1, or None where nobody knows; times are Unix seconds.

    `params` is what the work needs to begin again; `process` and `process_began` name the process that does it.
    """

    id: str
    kind: str
    title: str
    state: JobState = "running"
    share: float | None = None
    seconds_left: float | None = None
    detail: Bilingual = NOTHING
    began: float = 0.0
    changed: float = 0.0
    params: Mapping[str, Any] = field(default_factory=dict)
    process: int = 0
    process_began: float = 0.0

    @property
    def is_running(self) -> bool:
        """Whether somebody is still at it."""
        return self.state == "running"


class JobStopped(Exception):
    """Raised inside a work where somebody asked it to stop."""


class Report:
    """What the work is given: it tells how far it is, and asks whether to stop."""

    def __init__(self, folder: Path, job: Job) -> None:
        self._folder = folder
        self.job = job
        self._written = 0.0

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked it to stop, in this process or another."""
        return (self._folder / "cancel").exists()

    def check(self) -> None:
        """Raise JobStopped where somebody asked it to stop."""
        if self.is_cancelled:
            raise JobStopped

    def keep(self, result: Mapping[str, Any]) -> None:
        """Keep what there is so far: a page may look at it, and it stays where the job is stopped."""
        if self._folder.is_dir():
            _replace(self._folder / "result.json", result)

    def progress(self, share: float | None, detail: Bilingual = NOTHING, seconds_left: float | None = None) -> None:
        """Tell how far it is. Without `seconds_left` the pace so far is taken for the rest."""
        if seconds_left is None and share is not None and share > SHARE_OF_AN_ESTIMATE:
            seconds_left = (time.time() - self.job.began) / share * (1 - share)
        self.job = replace(self.job, share=share, detail=detail, seconds_left=seconds_left)
        if time.monotonic() - self._written > SECONDS_BETWEEN_WRITES:
            self._written = time.monotonic()
            self._write(self.job)

    def end(self, state: JobState, detail: Bilingual = NOTHING, result: Mapping[str, Any] | None = None) -> None:
        """Write the end of the job."""
        if result is not None:
            self.keep(result)
        self._write(replace(self.job, state=state, detail=detail, seconds_left=None))

    def _write(self, job: Job) -> None:
        # Removed by a person meanwhile: nobody is left to read it.
        if self._folder.is_dir():
            _replace(self._folder / "job.json", asdict(replace(job, changed=time.time())))


Work = Callable[[Mapping[str, Any], Report], Mapping[str, Any] | None]


class WorkBoard:
    """The jobs of one data folder. `works` tells how each kind is done; reading and cancelling need none."""

    def __init__(self, folder: Path, works: Mapping[str, Work] | None = None) -> None:
        self._folder = folder
        self._works = dict(works or {})

    def list(self) -> tuple[Job, ...]:
        """All jobs, newest first; one whose process is gone without a word is `interrupted`."""
        found = [job for path in self._folder.glob("work-*/job.json") if (job := _read(path)) is not None]
        return tuple(sorted(found, key=lambda job: job.began, reverse=True))

    def get(self, job_id: str) -> Job | None:
        """The job of that id, or None."""
        return next((job for job in self.list() if job.id == job_id), None)

    def result(self, job_id: str) -> dict[str, Any] | None:
        """What came of a job; None where there is nothing."""
        job = self.get(job_id)
        path = self._folder / job.id / "result.json" if job is not None else None
        if path is None or not path.is_file():
            return None
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return kept

    def latest(self, kind: str) -> Job | None:
        """The newest job of a kind, or None."""
        return next((job for job in self.list() if job.kind == kind), None)

    def start(self, kind: str, title: str, params: Mapping[str, Any], work: Work | None = None) -> Job:
        """Begin a job of a known kind in a thread; return at once. `params` must be plain JSON.

        `work` does it this once in place of the kind's own.
        """
        began = time.time()
        name = f"work-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        job = Job(name, kind, title, began=began, params=params, process=os.getpid(), process_began=_began(os.getpid()))
        folder = self._folder / name
        folder.mkdir(parents=True)
        _replace(folder / "job.json", asdict(job))
        self._forget_old()
        chosen, report = work or self._works[kind], Report(folder, job)
        threading.Thread(target=_do, args=(chosen, params, report), name=f"job-{kind}", daemon=True).start()
        return job

    def resume(self, job_id: str) -> Job | None:
        """Begin an ended job again with what it was given; the work itself knows what is already done."""
        job = self.get(job_id)
        if job is None or job.is_running or job.kind not in self._works:
            return None
        self.remove(job_id)
        return self.start(job.kind, job.title, job.params)

    def cancel(self, job_id: str) -> bool:
        """Ask a running job to stop, whichever process does it. False where none has that id."""
        job = self.get(job_id)
        if job is None:
            return False
        (self._folder / job.id / "cancel").touch()
        return True

    def remove(self, job_id: str) -> None:
        """Forget an ended job."""
        job = self.get(job_id)
        if job is not None and not job.is_running:
            shutil.rmtree(self._folder / job.id, ignore_errors=True)

    def _forget_old(self) -> None:
        ended = [job for job in self.list() if not job.is_running]
        for job in ended[KEPT:]:
            self.remove(job.id)


def _do(work: Work, params: Mapping[str, Any], report: Report) -> None:
    """The thread of one job: whatever happens is written down."""
    try:
        result = work(params, report)
    except JobStopped:
        report.end("cancelled", report.job.detail)
    except FourfoldError as error:
        report.end("failed", error.message)
    except Exception as error:  # noqa: BLE001 the last line of defence of a thread: logged, and told to the person
        _log.exception("a job failed")
        report.end("failed", Bilingual(f"It stopped with an error: {error}", f"任务因错误中止：{error}"))
    else:
        report.end("cancelled" if report.is_cancelled else "finished", report.job.detail, result)


def _read(path: Path) -> Job | None:
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        job = Job(**{**row, "detail": Bilingual(**row["detail"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    # A number of a process is used again: only with the time of its start does it name one.
    gone = job.is_running and abs(_began(job.process) - job.process_began) > 1.0
    return replace(job, state="interrupted", seconds_left=None) if gone else job


def _began(process: int) -> float:
    try:
        return psutil.Process(process).create_time()
    except (psutil.Error, ValueError):
        return 0.0


def _replace(path: Path, row: Mapping[str, Any]) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    beside.replace(path)
