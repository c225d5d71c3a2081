"""A reverse proxy in a hundred lines: names the person, and gives each new connection to the next server in turn."""

import contextlib
import itertools
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

_END = b"\r\n\r\n"
_BLOCK = 65_536


class SmallProxy:
    """Listens on a port of its own on 127.0.0.1; what a client says of itself in the `added` headers is taken away."""

    def __init__(self, ports: Sequence[int], added: Mapping[str, str]) -> None:
        self.added = dict(added)
        # WebSockets go in turn by themselves: every refresh of a page then comes to another server.
        self._ports = tuple(ports)
        self._turns = {kind: itertools.cycle(ports) for kind in (True, False)}
        self.sockets_by_port: Counter[int] = Counter()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head, rest = _head_of(client)
            if not head:
                return
            is_upgrade = b"upgrade: websocket" in head.lower()
            with self._reach(is_upgrade) as server:
                server.sendall(self._changed(head, is_upgrade) + rest)
                back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
                back.start()
                _pass_on(client, server)
                back.join()

    def _reach(self, is_upgrade: bool) -> socket.socket:
        """A connection to the next server that takes one. Raises ConnectionError where none does."""
        for _ in self._ports:
            port = next(self._turns[is_upgrade])
            with contextlib.suppress(ConnectionRefusedError):
                server = socket.create_connection(("127.0.0.1", port))
                self.sockets_by_port[port] += is_upgrade
                return server
        raise ConnectionRefusedError("no server takes connections")

    def _changed(self, head: bytes, is_upgrade: bool) -> bytes:
        first, *lines = head.split(b"\r\n")
        ours = {name.lower().encode() for name in self.added} | (set() if is_upgrade else {b"connection"})
        kept = [line for line in lines if line.partition(b":")[0].strip().lower() not in ours]
        # One request a connection: each finds its own server.
        kept += [] if is_upgrade else [b"Connection: close"]
        kept += [f"{name}: {value}".encode() for name, value in self.added.items()]
        return b"\r\n".join([first, *kept]) + _END


def _head_of(client: socket.socket) -> tuple[bytes, bytes]:
    read = b""
    while _END not in read:
        block = client.recv(_BLOCK)
        if not block:
            return b"", b""
        read += block
    head, _, rest = read.partition(_END)
    return head, rest


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(_BLOCK):
            target.sendall(block)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def small_proxy(ports: Sequence[int], added: Mapping[str, str]) -> Iterator[SmallProxy]:
    """A proxy before the servers on these ports."""
    made = SmallProxy(ports, added)
    try:
        yield made
    finally:
        made.close()
