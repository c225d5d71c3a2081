"""One writer per collection: a lock of the operating system, with its owner's name beside it.

The system drops the lock when its process dies, however it dies, so that a stale lock cannot exist; the owner's file
only tells whom to ask.
"""

import json
import os
import socket
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from core.errors import CollectionLockedError
from core.language import Bilingual

LOCK_FILE = "writer.lock"
OWNER_FILE = "writer.json"


class WriterLock:
    """The right to write into one folder, held from `acquire` to `release` (or as a `with` block)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[str] | None = None

    def acquire(self, timeout_seconds: float = 0.0) -> None:
        """Take the lock, waiting at most `timeout_seconds`. Raises CollectionLockedError naming the owner."""
        deadline = time.monotonic() + timeout_seconds
        file = (self._folder / LOCK_FILE).open("a+", encoding="utf-8")
        while not _try_lock(file):
            if time.monotonic() >= deadline:
                file.close()
                raise CollectionLockedError(self._describe_owner())
            time.sleep(0.05)
        self._file = file
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        (self._folder / OWNER_FILE).write_text(json.dumps(owner), encoding="utf-8")

    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
        if self._file is not None:
            (self._folder / OWNER_FILE).unlink(missing_ok=True)
            self._file.close()
            self._file = None

    def __enter__(self) -> "WriterLock":
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _describe_owner(self) -> Bilingual:
        try:
            owner = json.loads((self._folder / OWNER_FILE).read_text(encoding="utf-8"))
            who = (owner["pid"], owner["host"], owner["since"])
        except (OSError, ValueError, KeyError):
            who = ("?", "?", "?")
        return Bilingual(
            en="Process {} on {} has been writing to this collection since {}. "
            "Wait until it is done, or stop it.".format(*who),
            zh="进程 {}（主机 {}）自 {} 起正在写入该文档集。请等待其完成，或停止该进程。".format(*who),
        )


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[str]) -> bool:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(file: IO[str]) -> bool:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
