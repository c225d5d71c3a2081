"""Everything works with the network unplugged: any connection beyond this machine ends the process with a mark."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MARK = "a connection left this machine"
# Python runs `sitecustomize` at the start of every process of the tree; an audit hook cannot be taken off again.
GUARD = f"""
import os, sys

def _loopback(address):
    return not isinstance(address, tuple) or str(address[0]) in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "")

def _guard(event, arguments):
    address = arguments[1] if event == "socket.connect" else (arguments[0],) if event == "socket.getaddrinfo" else ""
    if not _loopback(address):
        os.write(2, b"{MARK}: " + repr((event, address)).encode())
        os._exit(99)

sys.addaudithook(_guard)
"""


def guarded(arguments: list[str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "FOURFOLD_HOME": str(tmp_path / "home")}
    environment.pop("HF_HUB_OFFLINE", None)
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=300,
        check=False,
    )


def test_the_guard_catches_a_connection(tmp_path: Path):
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    done = guarded(["-c", code], tmp_path)
    assert done.returncode == 99
    assert MARK in done.stderr


@pytest.mark.slow
def test_ingest_and_a_cited_answer_need_no_network(tmp_path: Path):
    note = tmp_path / "note.md"
    note.write_text(
        "# Harbour museum\n\nThe harbour museum opens at nine o'clock and closes at six o'clock on weekdays.\n"
    )
    ingested = guarded(["-m", "ingest", str(note), "--collection", "notes", "--json"], tmp_path)
    assert ingested.returncode == 0, ingested.stderr
    asked = guarded(
        ["-m", "app", "ask", "When does the harbour museum open?", "--mode", "rag", "--collection", "notes", "--json"],
        tmp_path,
    )
    assert asked.returncode == 0, asked.stderr
    assert MARK not in ingested.stderr + asked.stderr
    answer = json.loads(asked.stdout.strip().splitlines()[-1])
    assert "nine" in answer["text"]
    assert answer["citations"]
