"""The parent's side of parsing: warm child processes, each under limits of time and memory, replaced when they die."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.child_environment import without_secrets
from core.errors import DocumentEncryptedError, DocumentError
from core.language import Bilingual
from ingest import reasons, wire
from ingest.types import Parsed


@dataclass(frozen=True)
class Limits:
    """What one file may cost: seconds of wall clock and bytes of memory."""

    seconds: float = 50.0
    memory_bytes: int = 1_300_000_000


# A child is replaced after this many files, so that what a library leaks cannot add up.
_FILES_PER_CHILD = 400
_LOOK_EVERY_SECONDS = 0.2
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}


class ParserChild:
    """One child process. Not thread-safe: one file at a time."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._process: subprocess.Popen[str] | None = None
        self._files = 0
        self.peak_bytes = 0
        self.attempts: tuple[str, ...] = ()
        self._is_closed = False

    def parse(self, path: Path, name: str, password: str = "") -> Parsed:
        """Parse one file. Raises the DocumentError that tells why it cannot be read; never anything else of its own."""
        was_fresh = self._files == 0
        try:
            return self._ask(path, name, password)
        except _ChildDiedError:
            self._end_process()
            if was_fresh:
                raise reasons.crashed(name) from None
        # A process that had read other files may have been harmed by one of those: this file gets a fresh one.
        try:
            return self._ask(path, name, password)
        except _ChildDiedError:
            self._end_process()
            raise reasons.crashed(name) from None

    def outcome(self, path: Path, name: str, passwords: tuple[str, ...] = ()) -> "Outcome":
        """Parse one file, with each password in turn where it wants one; a failure is part of the outcome."""
        started = time.perf_counter()
        self.attempts = ()
        parsed, error = _with_passwords(self, path, name, passwords)
        return Outcome(parsed, error, time.perf_counter() - started, self.peak_bytes, self.attempts)

    def close(self) -> None:
        """End the process and all that it started, for good; a file at hand is given up."""
        self._is_closed = True
        self._end_process()

    def _end_process(self) -> None:
        # Taken out first: two threads may end the same process, one of them because the pool is closed.
        process, self._process = self._process, None
        self._files = 0
        if process is not None:
            _kill_family(process)
            process.wait()
            _close_pipes(process)

    def _ask(self, path: Path, name: str, password: str) -> Parsed:
        process = self._running()
        guard = _Guard(process, self._limits)
        try:
            reply = _exchange(process, {"path": str(path), "name": name, "password": password})
        finally:
            self.peak_bytes = guard.stop()
        self._files += 1
        if guard.verdict is not None:
            self._end_process()
            raise reasons.too_large(name, guard.verdict)
        if not reply:
            raise _ChildDiedError
        if self._files >= _FILES_PER_CHILD:
            self._end_process()
        self.attempts += wire.attempts(reply)
        return wire.load(reply)

    def _running(self) -> "subprocess.Popen[str]":
        if self._is_closed:
            raise _ChildDiedError
        if self._process is None or self._process.poll() is not None:
            # A session of its own: Ctrl-C in the terminal reaches only the parent, which lets the file be finished.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ingest.worker", str(self._limits.memory_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
                errors="surrogatepass",
                start_new_session=True,
                cwd=Path(__file__).parent.parent,
                env=without_secrets(_ENVIRONMENT),
            )
            self._files = 0
        process = self._process
        if self._is_closed:
            # Closed by another thread while this one was starting a process that nobody would end.
            self._end_process()
            raise _ChildDiedError
        return process


class ParserPool:
    """Several children side by side, with back-pressure: never more files read ahead than twice the children."""

    def __init__(self, size: int, limits: Limits | None = None) -> None:
        self._children = [ParserChild(limits) for _ in range(size)]
        self._idle = list(self._children)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="parse")
        self._lock = threading.Lock()

    def parse_all(self, jobs: Iterator[tuple[Path, str, tuple[str, ...]]]) -> Iterator[tuple[Path, "Outcome"]]:
        """(path, outcome) in the order of `jobs` (path, name, passwords to try); jobs are taken as results are read."""
        waiting: list[tuple[Path, Future[Outcome]]] = []
        for path, name, passwords in jobs:
            waiting.append((path, self._threads.submit(self._one, path, name, passwords)))
            if len(waiting) >= 2 * len(self._children):
                first, future = waiting.pop(0)
                yield first, future.result()
        for path, future in waiting:
            yield path, future.result()

    def close(self) -> None:
        """End all children; a file at hand is given up."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for child in self._children:
            child.close()
        self._threads.shutdown(wait=True)

    def _one(self, path: Path, name: str, passwords: tuple[str, ...]) -> "Outcome":
        with self._lock:
            child = self._idle.pop()
        try:
            return child.outcome(path, name, passwords)
        finally:
            with self._lock:
                self._idle.append(child)


@dataclass(frozen=True)
class Outcome:
    """What became of one file: `parsed`, or the `error` that tells why not; wall-clock seconds; peak bytes seen.

    `attempts` are the connections that its parser tried to make; all were refused.
    """

    parsed: Parsed | None
    error: DocumentError | None
    seconds: float
    peak_bytes: int = 0
    attempts: tuple[str, ...] = ()


def _with_passwords(
    child: ParserChild, path: Path, name: str, passwords: tuple[str, ...]
) -> tuple[Parsed | None, DocumentError | None]:
    failure: DocumentError | None = None
    for password in ("", *passwords):
        try:
            return child.parse(path, name, password), None
        except DocumentEncryptedError as error:
            failure = failure or error
        except DocumentError as error:
            return None, error
    return None, failure


class _ChildDiedError(Exception):
    """The process ended without an answer, and not by our hand."""


class _Guard:
    """Watches a child while it reads one file, and kills it at the first limit."""

    def __init__(self, process: "subprocess.Popen[str]", limits: Limits) -> None:
        self.verdict: Bilingual | None = None
        self._process = process
        self._limits = limits
        self._over = threading.Event()
        self._peak = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """End the watch; returns the most memory seen, in bytes."""
        self._over.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        deadline = time.monotonic() + self._limits.seconds
        while not self._over.wait(_LOOK_EVERY_SECONDS):
            self._peak = max(self._peak, _memory(self._process.pid))
            if time.monotonic() > deadline:
                self.verdict = reasons.OUT_OF_TIME
            elif self._peak > self._limits.memory_bytes:
                self.verdict = reasons.OUT_OF_MEMORY
            if self.verdict is not None:
                _kill_family(self._process)
                return


def _exchange(process: "subprocess.Popen[str]", request: dict[str, str]) -> str:
    """Ask and wait for the answer; empty where the process died meanwhile."""
    if process.stdin is None or process.stdout is None:
        return ""
    try:
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        return process.stdout.readline()
    except (BrokenPipeError, ValueError, OSError):
        return ""


def _close_pipes(process: "subprocess.Popen[str]") -> None:
    for pipe in (process.stdin, process.stdout):
        # What was still to be written to a dead process is lost, and that is all right.
        with contextlib.suppress(OSError):
            pipe.close()  # type: ignore[union-attr]


def _memory(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _kill_family(process: "subprocess.Popen[str]") -> None:
    """The child leads a session; whatever it started (text recognition) goes with it."""
    with contextlib.suppress(ProcessLookupError, PermissionError, OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
