"""Ingest in the background: one job per collection, whose progress any tab may look at."""

import hashlib
import logging
import sqlite3
import threading
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.answering import step_back
from core.errors import DocumentError, FourfoldError
from core.language import Bilingual
from ingest.events import Embedded, FileDone, FileFailed, FileRemoved, FileRenamed, Finished, IngestEvent
from ingest.samples import make_way

if TYPE_CHECKING:
    from ingest.pipeline import IngestOptions, IngestPipeline
    from retrieval.library import Library

LONGEST_NAME = 120
# Reading and embedding take about this share of the time of a run each; the bar moves through both.
READING_SHARE = 0.3
MOST_LINES = 200
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileLine:
    """What became of one file of a run: `status` is ok, partial, failed, removed or renamed."""

    name: str
    status: str
    passages: int = 0
    seconds: float = 0.0
    remarks: tuple[Bilingual, ...] = ()


@dataclass(frozen=True)
class Progress:
    """How far a job is. `share` is 0..1 of the whole; `seconds_left` is None where nothing is known yet.

    `files` are the last ones that were done, the newest first.
    """

    share: float = 0.0
    done: int = 0
    total: int = 0
    current: str = ""
    embedding: bool = False
    seconds_left: float | None = None
    finished: Finished | None = None
    problem: Bilingual | None = None
    files: tuple[FileLine, ...] = ()


class IngestJob:
    """One run of the pipeline in a thread of its own."""

    def __init__(self) -> None:
        self.progress = Progress()
        self._stop = threading.Event()
        self._over = threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether the run ended, well or not."""
        return self._over.is_set()

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked to stop."""
        return self._stop.is_set()

    def cancel(self) -> None:
        """Finish the file at hand and stop."""
        self._stop.set()

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for the end; False where it did not come in time."""
        return self._over.wait(timeout_seconds)

    def work(
        self, pipeline: "IngestPipeline", paths: Sequence[Path], collection: str, options: "IngestOptions"
    ) -> None:
        """Consume the run. Called in the thread of this job."""
        step_back()
        try:
            make_way(pipeline.library, collection, paths)
            for event in pipeline.run(paths, collection, options, self._stop):
                self.progress = advance(self.progress, event)
        except FourfoldError as error:
            self.progress = replace(self.progress, problem=error.message)
        except (OSError, sqlite3.Error) as error:
            _log.exception("an ingest run failed")
            self.progress = replace(self.progress, problem=_disk_problem(error))
        finally:
            self._over.set()


@dataclass(frozen=True)
class IngestRun:
    """A job with what it was given."""

    collection: str
    paths: tuple[Path, ...]
    options: "IngestOptions"
    job: IngestJob


class IngestJobs:
    """The jobs of this process, by collection. `on_start` is told of each one that begins by itself.

    With `uploads_only` nothing is read but what was uploaded: no path that a person types, none in a stored job.
    """

    def __init__(
        self,
        uploads: Path,
        library: Callable[[], "Library"],
        on_start: Callable[[IngestRun], None] = lambda _run: None,
        uploads_only: bool = False,
    ) -> None:
        self._uploads = uploads
        self.uploads_only = uploads_only
        self._library = library
        self._on_start = on_start
        self._jobs: dict[str, IngestJob] = {}
        self._lock = threading.Lock()

    def job(self, collection: str) -> IngestJob | None:
        """The latest job of a collection, running or over."""
        return self._jobs.get(collection)

    def start(
        self, collection: str, paths: Sequence[Path], options: "IngestOptions | None" = None, told: bool = True
    ) -> IngestJob:
        """Begin to ingest; where a job of this collection is running, that one is returned instead.

        Raises DocumentError for a path that may not be read here.
        """
        if self.uploads_only:
            _refuse_others(paths, self._uploads)
        # The pipeline brings its libraries; the first page is drawn without them.
        from ingest.pipeline import IngestOptions, IngestPipeline

        chosen = options or IngestOptions()
        with self._lock:
            running = self._jobs.get(collection)
            if running is not None and not running.is_over:
                return running
            library = self._library()
            pipeline = IngestPipeline(library, library.settings)
            job = self._jobs[collection] = IngestJob()
        arguments = (pipeline, tuple(paths), collection, chosen)
        threading.Thread(target=job.work, args=arguments, name=f"ingest-{collection[:20]}", daemon=True).start()
        if told:
            self._on_start(IngestRun(collection, tuple(paths), chosen, job))
        return job

    def keep_upload(self, collection: str, name: str, content: bytes) -> Path:
        """Store an uploaded file; the same content under the same name is the same file."""
        folder = self._uploads / hashlib.sha256(collection.encode()).hexdigest()[:16]
        path = folder / hashlib.sha256(content).hexdigest()[:16] / safe_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def cancel_all(self) -> None:
        """Stop every job after its file, at the end of the process."""
        for job in list(self._jobs.values()):
            job.cancel()


def _refuse_others(paths: Sequence[Path], uploads: Path) -> None:
    own = uploads.resolve()
    for path in paths:
        # Resolved: no link and no `..` leads out.
        if not path.resolve().is_relative_to(own):
            raise DocumentError(
                Bilingual(
                    en="On a shared server only uploaded files are read, no folders of the server. Upload the files.",
                    zh="在共享服务器上只读取上传的文件，不读取服务器上的文件夹。请上传文件。",
                )
            )


def safe_name(name: str) -> str:
    """The last part of an uploaded file's name without what a file system could misread; never empty, never `..`."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(
        character for character in last if unicodedata.category(character)[0] != "C" and character not in ':*?"<>|'
    )
    stem, dot, suffix = kept.strip(" .").rpartition(".")
    short = (stem[:LONGEST_NAME] + dot + suffix[:16]) if stem else suffix[:LONGEST_NAME]
    return short or "file"


def advance(progress: Progress, event: IngestEvent) -> Progress:
    """The progress after one more event."""
    match event:
        case FileDone() | FileFailed():
            share = READING_SHARE * event.done / max(1, event.total)
            name = Path(event.uri).name
            known = (_line(event), *progress.files)[:MOST_LINES]
            return replace(progress, share=share, done=event.done, total=event.total, current=name, files=known)
        case FileRemoved() | FileRenamed():
            return replace(progress, files=(_line(event), *progress.files)[:MOST_LINES])
        case Embedded():
            share = READING_SHARE + (1 - READING_SHARE) * event.done / max(1, event.total)
            return replace(
                progress,
                share=min(1.0, share),
                done=event.done,
                total=event.total,
                embedding=True,
                seconds_left=event.seconds_left,
            )
        case Finished():
            return replace(progress, share=1.0, finished=event)
        case _:
            return progress


def _line(event: FileDone | FileFailed | FileRemoved | FileRenamed) -> FileLine:
    match event:
        case FileDone():
            return FileLine(Path(event.uri).name, event.status, event.chunks, event.seconds, event.warnings)
        case FileFailed():
            return FileLine(Path(event.uri).name, "failed", remarks=(event.reason,))
        case FileRemoved():
            return FileLine(Path(event.uri).name, "removed")
        case FileRenamed():
            return FileLine(f"{Path(event.before).name} → {Path(event.after).name}", "renamed")


def _disk_problem(error: Exception) -> Bilingual:
    return Bilingual(
        en=f"The run stopped: {error}. What was read before is kept; make room or check the disk, then add the rest.",
        zh=f"导入中断：{error}。已读入的内容会保留；请清理或检查磁盘后继续导入。",
    )
