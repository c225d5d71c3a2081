"""The application's side of the worker process: start it, talk to it, notice its death, start it again."""

import itertools
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from core.child_environment import without_secrets
from core.errors import ModelCrashedError
from core.language import Bilingual
from inference.engine_options import LoadOptions
from inference.jobs import error_from_json
from inference.wire import Channel, Frame

ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 2.0
SPINS = 2000
QUICK_SECONDS = 30.0


@dataclass(frozen=True)
class WorkerStart:
    """Everything that a worker needs to know at its start."""

    options: LoadOptions
    sha256: str = ""
    adapter_folders: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()


class Replies:
    """The frames that answer one request; None in place of a frame means that the worker died.

    Where `pass_on` is given, it gets all but the last at once, on the reading thread: no other is woken for them.
    """

    def __init__(self, job: int, pass_on: Callable[[Frame], None] | None = None) -> None:
        self.job = job
        self._pass_on = pass_on
        self._frames: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()

    def put(self, frame: Frame | None) -> None:
        """Hand over one frame; from the reading thread."""
        if self._pass_on is not None and frame is not None and "done" not in frame.header:
            self._pass_on(frame)
        else:
            self._frames.put(frame)

    def next(self, timeout: float) -> Frame:
        """The next frame. Raises queue.Empty after `timeout` seconds, ModelCrashedError, or the worker's own error."""
        frame = self._frames.get(timeout=timeout)
        if frame is None:
            raise crashed()
        if "error" in frame.header:
            raise error_from_json(frame.header["error"])
        return frame


class WorkerProcess:
    """One running worker. Raises ModelLoadError from the constructor where the model cannot be loaded."""

    def __init__(self, start: WorkerStart) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "inference.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(start.options.n_threads),
            cwd=ROOT,
        )
        self._channel = Channel(cast(BinaryIO, self._process.stdout), cast(BinaryIO, self._process.stdin))
        self._waiting: dict[int, Replies] = {}
        self._lock = threading.Lock()
        self._ids = itertools.count()
        self._dead = False
        self.facts: Mapping[str, Any] = self._load(start)
        threading.Thread(target=self._read, daemon=True, name="fourfold-worker-reader").start()

    @property
    def alive(self) -> bool:
        """Whether requests can still be sent."""
        return not self._dead and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The operating system's number of the process."""
        return self._process.pid

    def send(self, header: Mapping[str, Any], pass_on: Callable[[Frame], None] | None = None) -> Replies:
        """Send a request; its answers come through `Replies`, which is returned. Raises ModelCrashedError."""
        with self._lock:
            replies = Replies(next(self._ids), pass_on)
            if self._dead:
                raise crashed()
            self._waiting[replies.job] = replies
        self._write({**header, "id": replies.job})
        return replies

    def ask(self, header: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request that needs no computation and wait for its answer."""
        replies = self.send(header)
        try:
            frame = replies.next(QUICK_SECONDS)
        except queue.Empty as error:
            raise crashed() from error
        return frame.header

    def cancel(self, job: int) -> None:
        """Stop that request if it runs, or skip it if it has not begun."""
        self._write({"do": "cancel", "id": job})

    def stop(self) -> None:
        """End the process: its input ends, and after a while it is killed."""
        self._channel.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()

    def _load(self, start: WorkerStart) -> Mapping[str, Any]:
        try:
            self._channel.send({**asdict(start), "options": asdict(start.options)})
            frame = self._channel.receive()
        except OSError:
            frame = None
        if frame is None or "error" in frame.header:
            self.stop()
            raise error_from_json(frame.header["error"]) if frame else crashed()
        ready: Mapping[str, Any] = frame.header["ready"]
        return ready

    def _write(self, header: Mapping[str, Any]) -> None:
        try:
            self._channel.send(header)
        except (OSError, ValueError) as error:
            raise crashed() from error

    def _read(self) -> None:
        try:
            while (frame := self._channel.receive()) is not None:
                self._dispatch(frame)
        except (OSError, ValueError):
            # Half a frame: the process died while it wrote. The same end as a closed pipe.
            self._process.kill()
        with self._lock:
            self._dead = True
            left = list(self._waiting.values())
            self._waiting.clear()
        for replies in left:
            replies.put(None)

    def _dispatch(self, frame: Frame) -> None:
        job = int(frame.header["id"])
        with self._lock:
            replies = self._waiting.get(job)
            if "done" in frame.header:
                self._waiting.pop(job, None)
        if replies is not None:
            replies.put(frame)


class Supervisor:
    """Holds at most one worker and starts another where it is gone. Thread-safe."""

    def __init__(self, start: WorkerStart) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._worker: WorkerProcess | None = None

    def worker(self) -> WorkerProcess:
        """The running worker; started where there is none. Raises ModelLoadError and ModelCrashedError."""
        with self._lock:
            if self._worker is None or not self._worker.alive:
                self._worker = WorkerProcess(self._start)
            return self._worker

    @property
    def running(self) -> WorkerProcess | None:
        """The worker, if one runs."""
        worker = self._worker
        return worker if worker is not None and worker.alive else None

    def stop(self) -> None:
        """Give the memory back; the next `worker()` starts anew."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()


def crashed() -> ModelCrashedError:
    """The error of a request whose worker died."""
    return ModelCrashedError(
        Bilingual(
            en="The model's process ended in the middle of this request. It is started again: please ask once more.",
            zh="模型进程在处理该请求时中断。它会重新启动：请再问一次。",
        )
    )


def _environment(n_threads: int) -> dict[str, str]:
    # Idle threads must sleep, not spin: with as many threads as cores, spinning beside other work
    # costs most of the speed. A short spin before (GNU's runtime counts some 100,000 a millisecond) saves the sleeps
    # between two operations of a graph; one that lasts through Python's part of a token was no faster.
    own = {
        "OMP_WAIT_POLICY": "passive",
        "GOMP_SPINCOUNT": str(SPINS),
        "OMP_NUM_THREADS": str(n_threads),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
    }
    return without_secrets(own)
