"""Following folders: wait until something under them changes."""

import threading
from collections.abc import Sequence
from pathlib import Path

from ingest.plan import find_files

_LOOK_EVERY_SECONDS = 2.0
Snapshot = frozenset[tuple[str, int, int]]


def watch(
    paths: Sequence[Path],
    stop: threading.Event,
    every_seconds: float = _LOOK_EVERY_SECONDS,
    before: Snapshot | None = None,
) -> bool:
    """Return True once something changed and has been still for one look; False when `stop` is set.

    `before` is what the folders held when they were read last, so that a change made while they were being read is
    noticed too; None: what they hold now. Looking at sizes and times works on every file system, network drives
    included, where notifications do not.
    """
    before = snapshot(paths) if before is None else before
    while not stop.wait(every_seconds):
        now = snapshot(paths)
        if now != before:
            return _until_still(paths, now, stop, every_seconds)
    return False


def snapshot(paths: Sequence[Path]) -> Snapshot:
    """Names, sizes and times of all files under `paths`; a path that is gone for the moment holds none."""
    present = [path for path in paths if path.exists()]
    return frozenset((file.uri, file.size, file.modified) for file in find_files(present))


def _until_still(paths: Sequence[Path], last: Snapshot, stop: threading.Event, every_seconds: float) -> bool:
    """A file that is still being copied is not read half."""
    while not stop.wait(every_seconds):
        now = snapshot(paths)
        if now == last:
            return True
        last = now
    return False
