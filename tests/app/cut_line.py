"""A line between a browser and the application that can be cut and mended: plain TCP, forwarded byte by byte."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

PIECE = 65_536


class Line:
    """Forwards every connection to the application while it is whole."""

    def __init__(self, address: str) -> None:
        self._target = ("127.0.0.1", urlsplit(address).port or 80)
        self._whole = threading.Event()
        self._whole.set()
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        threading.Thread(target=self._listen, daemon=True).start()

    def cut(self) -> None:
        """End every connection and take no new one."""
        self._whole.clear()
        with self._lock:
            ends, self._ends = self._ends, set()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def mend(self) -> None:
        """Take connections again."""
        self._whole.set()

    def close(self) -> None:
        """Cut for ever."""
        self.cut()
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            if not self._whole.is_set():
                here.close()
                continue
            there = socket.create_connection(self._target)
            with self._lock:
                self._ends |= {here, there}
            for source, goal in ((here, there), (there, here)):
                threading.Thread(target=_forward, args=(source, goal), daemon=True).start()


def _forward(source: socket.socket, goal: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE):
            goal.sendall(piece)
    for end in (source, goal):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def line_to(address: str) -> Iterator[Line]:
    """A whole line to the application, closed at the end."""
    line = Line(address)
    try:
        yield line
    finally:
        line.close()
