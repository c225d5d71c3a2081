"""The child process that parses: `python -m ingest.worker`. It reads one request a line and answers one line each.

It may use so much memory and no network. It is started by `ingest.child` and never by hand.
"""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from core.answering import step_back
from core.errors import DocumentError
from ingest import reasons, wire
from ingest.reading import read_file

_NETWORK = (
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.gethostbyaddr",
    "socket.getnameinfo",
    "socket.bind",
    "socket.sendto",
    "socket.sendmsg",
)
# What the file at hand made its parser try; a library may swallow the refusal, and it is counted all the same.
_attempts: list[str] = []


def main() -> None:
    """Answer requests until standard input ends."""
    step_back()
    replies = _private_stdout()
    limit_memory(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    sys.addaudithook(_refuse_network)
    sys.setrecursionlimit(3_000)
    for line in sys.stdin:
        request = json.loads(line)
        _attempts.clear()
        replies.write(wire.with_attempts(_answer(request), _attempts) + "\n")
        replies.flush()


def limit_memory(most_bytes: int) -> None:
    """Let the system refuse memory beyond `most_bytes` of address space; 0 or a system without limits: nothing."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        if most_bytes:
            resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(request: dict[str, str]) -> str:
    name = request["name"]
    try:
        return wire.dump(read_file(Path(request["path"]), name, request.get("password", "")))
    except DocumentError as error:
        return wire.dump_error(error)
    except MemoryError:
        return wire.dump_error(reasons.too_large(name, reasons.OUT_OF_MEMORY))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - parsers meet files made to break them, and Rust panics are no Exception
        return wire.dump_error(reasons.damaged(name, f"{type(error).__name__}: {error}"))


def _refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _NETWORK:
        _attempts.append(f"{event} {arguments[1:]!r}"[:200])
        raise PermissionError(f"a file made its parser try {event}; parsing has no network")


def _private_stdout() -> Any:
    """The pipe to the parent, kept apart: what a library prints must not mix with the replies."""
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", errors="surrogatepass")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return pipe


if __name__ == "__main__":
    main()
