"""The kinds of long work that the application does beside its pages, each as a function for `app.jobs.WorkBoard`."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.downloads import download
from app.exams import propose, sit_exam, try_change
from app.ingest_jobs import IngestJob, IngestRun, Progress
from app.jobs import Job, JobState, Report, Work, WorkBoard
from app.prompt_lab import search_prompt, try_variants
from core.config import Settings
from core.errors import FourfoldError
from core.language import Bilingual
from core.types import DEFAULT_COLLECTION

if TYPE_CHECKING:
    from app.container import Container
    from training.jobs import Job as TrainingJob

SECONDS_BETWEEN_LOOKS = 0.3
# What a run of the ingest is told, kept so that it can begin again in the same way.
_SWITCHES = ("sync", "retry", "again")
_TRAINING_STATES: dict[str, JobState] = {"finished": "finished", "failed": "failed", "cancelled": "cancelled"}


def works_of(box: "Container") -> dict[str, Work]:
    """What can be started from a page of this container, by kind."""
    works: dict[str, Work] = {
        "ingest": lambda params, report: _ingest(box, params, report),
        "prompts": lambda params, report: try_variants(box, params, report),
        "search": lambda params, report: search_prompt(box, params, report),
        "propose": lambda params, report: propose(box, params, report),
        "exam": lambda params, report: sit_exam(box, params, report),
        "download": lambda params, report: download(box.settings, params, report),
        "trial": lambda params, report: try_change(box, params, report),
    }
    if box.settings.owner:
        # The models are the server's.
        del works["download"]
    return works


def all_jobs(settings: Settings) -> list[Job]:
    """Every long job of the data folder, training among them, newest first. Any process may ask."""
    jobs = list(WorkBoard(settings.paths.jobs).list()) + _training(settings)
    return sorted(jobs, key=lambda job: job.began, reverse=True)


def cancel(settings: Settings, job_id: str) -> bool:
    """Stop a running job, or forget one that ended. False where no job has that id."""
    if any(job.id == job_id for job in _training(settings)):
        from training.jobs import JobBoard

        JobBoard(settings).get(job_id).cancel()
        return True
    board = WorkBoard(settings.paths.jobs)
    job = board.get(job_id)
    if job is not None and not job.is_running:
        board.remove(job_id)
    return board.cancel(job_id) if job is not None and job.is_running else job is not None


def resume(box: "Container", job_id: str) -> None:
    """Go on with a job that was cut off or failed."""
    if any(job.id == job_id for job in _training(box.settings)):
        from training.jobs import JobBoard

        board = JobBoard(box.settings)
        board.start(board.get(job_id))
    else:
        box.work.resume(job_id)


# --- reading documents


def note_ingest(board: WorkBoard, run: IngestRun) -> None:
    """Keep a record of an ingest that a page began, so that a restart can go on with it."""
    params = {
        "collection": run.collection,
        "paths": [str(path) for path in run.paths],
        **{name: getattr(run.options, name) for name in _SWITCHES},
        "tags": list(run.options.tags),
    }
    board.start("ingest", ingest_title(run), params, lambda _params, report: _follow(run.job, report))


def ingest_title(run: IngestRun) -> str:
    """What is read, in a few words."""
    names = [path.name or str(path) for path in run.paths]
    what = ", ".join(names[:2]) + (" …" if len(names) > 2 else "")
    return what if run.collection == DEFAULT_COLLECTION else f"{what} → {run.collection}"


def _ingest(box: "Container", params: Mapping[str, Any], report: Report) -> None:
    from ingest.pipeline import IngestOptions

    switches = {name: params.get(name, False) for name in _SWITCHES}
    options = IngestOptions(**switches, tags=tuple(params["tags"]))
    paths = [Path(path) for path in params["paths"]]
    _follow(box.ingest.start(params["collection"], paths, options, told=False), report)


def _follow(job: IngestJob, report: Report) -> None:
    """Write down where an ingest stands until it is over; pass a wish to stop on."""
    while not job.wait(SECONDS_BETWEEN_LOOKS):
        if report.is_cancelled:
            job.cancel()
        state = job.progress
        report.progress(state.share if state.total else None, _said_of(state), state.seconds_left)
    ended = job.progress
    if ended.problem is not None:
        raise FourfoldError(ended.problem)
    report.progress(1.0, _said_of(ended))


def _said_of(state: Progress) -> Bilingual:
    if state.finished is not None:
        return Bilingual(state.finished.line("en"), state.finished.line("zh"))
    if not state.total:
        return Bilingual("Looking at the files", "正在查看文件")
    if state.embedding:
        counts = f"{state.done:,}/{state.total:,}"
        return Bilingual(f"Meaning of {counts} passages", f"正在编码第 {counts} 个段落")
    counts = f"{state.done:,}/{state.total:,}"
    return Bilingual(f"Reading {counts}: {state.current}", f"正在读取 {counts}：{state.current}")


# --- training, which has folders and processes of its own


def _training(settings: Settings) -> list[Job]:
    # Most people have no training job: its modules are imported for those who have one.
    if not any(settings.paths.jobs.glob("train-*/spec.json")):
        return []
    from training.jobs import JobBoard

    return [_of_training(job) for job in JobBoard(settings).list()]


def _of_training(job: "TrainingJob") -> Job:
    from training.runner import describe_status

    status, line = job.status(), describe_status(job.status())
    total = float(status.progress.get("total_steps") or 0)
    share = float(status.progress.get("step") or 0) / total if total else None
    left = status.progress.get("seconds_left")
    state = _TRAINING_STATES.get(status.state, "running")
    return Job(
        job.id,
        "train",
        job.spec().name,
        state,
        share if state == "running" else None,
        float(left) if left is not None and state == "running" else None,
        Bilingual(line("en"), line("zh")),
        status.started,
        status.changed or time.time(),
    )
