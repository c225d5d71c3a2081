"""Code that is not ours runs in a child process, with limits of time, memory and processes, and without our secrets."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import psutil

from core.errors import ToolError
from core.language import Bilingual
from tools.base import Risk

CHILD = Path(__file__).with_name("child.py")
MARK = "FOURFOLD_TOOL_RUN"
# What a Python program needs to start, and nothing that could be a secret.
PASSED_ON = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "VIRTUAL_ENV")
STARTUP_SECONDS = 60.0
KILL_ROUNDS = 20
MOST_PROCESSES = 8
LONGEST_REPLY = 2**20
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Limits:
    """What one run may take. `seconds` counts from the start of the tool's own code, `memory_mb` above the start.

    `offline`: nothing uses the network, whatever its risk.
    """

    seconds: float = 20.0
    memory_mb: int = 512
    offline: bool = False


class ToolTimeoutError(ToolError):
    """A tool ran longer than it may, or was cancelled."""


def describe(target: str, limits: Limits) -> list[dict[str, Any]]:
    """The tools in a file or at an import path: name, description, parameters (JSON schema), risk, title.

    Raises ToolError where the code cannot be loaded.
    """
    reply = _run({"target": target, "risk": "read"}, limits, lambda: False)
    tools: list[dict[str, Any]] = reply["tools"]
    return tools


def call(
    target: str,
    name: str,
    arguments: dict[str, Any],
    risk: Risk,
    limits: Limits,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> str:
    """The text that a tool returned. Raises ToolError with the tool's own message, or what limit it broke."""
    request = {"target": target, "name": name, "arguments": arguments, "risk": risk}
    return str(_run(request, limits, is_cancelled)["result"])


def _run(request: dict[str, Any], limits: Limits, is_cancelled: Callable[[], bool]) -> dict[str, Any]:
    request |= {"memory_bytes": limits.memory_mb * 2**20, "seconds": limits.seconds, "offline": limits.offline}
    with tempfile.TemporaryDirectory(prefix="fourfold-tool-", ignore_cleanup_errors=True) as scratch:
        mark = uuid.uuid4().hex
        process = _start(Path(scratch), mark)
        try:
            reply = _supervise(process, request, limits, is_cancelled)
        finally:
            _kill_all(process, mark)
    if "error" in reply:
        raise ToolError(Bilingual(en=f"The tool failed: {reply['error']}", zh=f"工具运行失败：{reply['error']}"))
    return reply


def _start(scratch: Path, mark: str) -> subprocess.Popen[bytes]:
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment |= {MARK: mark, "HOME": str(scratch), "TMPDIR": str(scratch), "TEMP": str(scratch)}
    log = (scratch / "log").open("wb")
    with log:
        return subprocess.Popen(
            [sys.executable, "-I", "-B", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            cwd=scratch,
            start_new_session=True,
        )


def _supervise(
    process: subprocess.Popen[bytes], request: dict[str, Any], limits: Limits, is_cancelled: Callable[[], bool]
) -> dict[str, Any]:
    stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
    answer = _Answer()
    reader = threading.Thread(target=answer.read, args=(stdout,), daemon=True)
    reader.start()
    with contextlib.suppress(BrokenPipeError):
        stdin.write(json.dumps(request).encode())
        stdin.close()
    launched = time.monotonic()
    while process.poll() is None:
        if is_cancelled():
            raise ToolTimeoutError(Bilingual(en="The tool was stopped.", zh="工具已停止。"))
        # Loading Python and LangChain on a busy machine is not the tool's time.
        deadline = answer.ready_at + limits.seconds if answer.ready_at else launched + STARTUP_SECONDS
        if time.monotonic() > deadline:
            raise _too_long(limits)
        _check_family(process, limits)
        time.sleep(POLL_SECONDS)
    reader.join(timeout=1.0)
    return _parse(answer.text, process.returncode, limits)


class _Answer:
    """What the child says: `ready_at` is when its own start was over, 0 before; `text` the reply."""

    def __init__(self) -> None:
        self.ready_at = 0.0
        self.text = b""

    def read(self, stream: IO[bytes]) -> None:
        stream.readline()
        self.ready_at = time.monotonic()
        self.text = stream.read(LONGEST_REPLY + 1)


def _check_family(process: subprocess.Popen[bytes], limits: Limits) -> None:
    try:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        memory = sum(member.memory_info().rss for member in family)
    except psutil.Error:  # It has just ended.
        return
    if len(family) > MOST_PROCESSES:
        raise ToolError(
            Bilingual(
                en=f"The tool started more than {MOST_PROCESSES} processes and was stopped.",
                zh=f"工具启动的进程超过 {MOST_PROCESSES} 个，已被停止。",
            )
        )
    if memory > (limits.memory_mb + 512) * 2**20:
        raise _too_much_memory(limits)


def _parse(reply: bytes, returncode: int | None, limits: Limits) -> dict[str, Any]:
    if len(reply) > LONGEST_REPLY:
        raise ToolError(Bilingual(en="The tool's result is longer than 1 MB.", zh="工具的结果超过 1 MB。"))
    try:
        parsed: dict[str, Any] = json.loads(reply)
    except ValueError:
        if returncode in (-24, -9, 137, 152):  # SIGXCPU, SIGKILL: a limit of the operating system
            raise _too_long(limits) from None
        raise ToolError(
            Bilingual(
                en=f"The tool's process ended without a result (exit status {returncode}).",
                zh=f"工具进程没有返回结果就结束了（退出码 {returncode}）。",
            )
        ) from None
    return parsed


def _too_long(limits: Limits) -> ToolTimeoutError:
    return ToolTimeoutError(
        Bilingual(
            en=f"The tool took longer than {limits.seconds:g} s and was stopped (setting tool_seconds).",
            zh=f"工具运行超过 {limits.seconds:g} 秒，已被停止（设置项 tool_seconds）。",
        )
    )


def _too_much_memory(limits: Limits) -> ToolError:
    return ToolError(
        Bilingual(
            en=f"The tool took more than {limits.memory_mb} MB and was stopped (setting tool_memory_mb).",
            zh=f"工具占用内存超过 {limits.memory_mb} MB，已被停止（设置项 tool_memory_mb）。",
        )
    )


def _kill_all(process: subprocess.Popen[bytes], mark: str) -> None:
    """End the process, its session, and whatever left that session (known by the mark in its environment)."""
    with contextlib.suppress(psutil.Error):
        for member in psutil.Process(process.pid).children(recursive=True):
            _kill(member)
    if hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, 9)
    process.kill()
    process.wait()
    # What forks while it is being killed is found in the next round.
    for _ in range(KILL_ROUNDS):
        left = _marked(mark)
        if not left:
            return
        for member in left:
            _kill(member)
        psutil.wait_procs(left, timeout=1.0)


def _marked(mark: str) -> list[psutil.Process]:
    """The living processes that carry the mark, whoever their parent is."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        process.kill()
