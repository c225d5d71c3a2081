"""A mark that says "a model on this machine is answering", so that bulk work in any process can step aside.

Whoever answers holds a shared lock on a file of the data folder; whoever works in bulk asks, between two batches,
whether anybody holds it. Where the system has no such locks (Windows) nobody waits.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

MARK = "answering.lock"
POLL_SECONDS = 0.02
NICENESS = 15


@contextlib.contextmanager
def answering(cache: Path) -> Iterator[None]:
    """Hold the mark in the folder `cache` for the time of the block; it goes with the process that holds it."""
    descriptor = _open(cache)
    try:
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def wait_for_answers(cache: Path, longest_seconds: float) -> float:
    """Wait until nobody answers, at most so long; returns the seconds that were waited."""
    started = time.monotonic()
    while (waited := time.monotonic() - started) < longest_seconds and _is_held(cache):
        time.sleep(POLL_SECONDS)
    return waited


def step_back() -> None:
    """Lower the priority of the calling thread, and of those it starts, for good: bulk work takes what answers leave.

    A process that leads a session of its own lowers that too, where Linux shares the processor out by sessions.
    """
    linux = sys.platform == "linux"
    if not linux and threading.current_thread() is not threading.main_thread():
        # Only Linux knows a priority for each thread; the whole application must not become slow.
        return
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id() if linux else 0, NICENESS)
        if linux and os.getsid(0) == os.getpid():
            Path("/proc/self/autogroup").write_text(str(NICENESS), encoding="ascii")


def _is_held(cache: Path) -> bool:
    if fcntl is None or not (cache / MARK).is_file():
        return False
    descriptor = _open(cache)
    if descriptor is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _open(cache: Path) -> int | None:
    if fcntl is None:
        return None
    try:
        cache.mkdir(parents=True, exist_ok=True)
        return os.open(cache / MARK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        # A read-only data folder: answers come all the same, only nobody steps aside.
        return None
