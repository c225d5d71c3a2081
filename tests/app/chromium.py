"""The application in a process of its own and a real headless Chromium, for the browser tests and the pictures."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A machine busy with other work needs minutes for what takes seconds; nothing that waits here asserts a time.
PATIENCE_MS = 240_000
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str | None:
    """Where Chromium is: CHROMIUM, else the path; None where there is none."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_application(
    home: Path, settings: Mapping[str, str] | None = None, chosen_port: int = 0, *, may_die: bool = False
) -> Iterator[str]:
    """Start the application with a data folder of its own; yield its address, and end it, which it does well.

    `may_die` is for a test that kills it itself.
    """
    port = chosen_port or free_port()
    environment = {**os.environ, "FOURFOLD_HOME": str(home), **(settings or {})}
    command = [sys.executable, "-m", "app", "--port", str(port), "--no-browser"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert f"http://127.0.0.1:{port}" in said, said
        await_port(port)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(60)
    assert process.returncode == 0 or may_die


def await_port(port: int) -> None:
    """Wait until something listens. Raises TimeoutError."""
    until = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(f"nothing listens on port {port}")
