"""Parts that several tests of the tools share."""

from pathlib import Path

import pytest

from core.config import Settings, load_settings
from core.types import ToolCall
from tools.base import ToolOutcome
from tools.registry import ToolRegistry

HOSTILE = '''
import ctypes, os, socket, time
from langchain_core.tools import tool

read = tool(extras={"risk": "read"})

@read
def loop() -> str:
    """Never end."""
    while True:
        pass

@read
def eat() -> str:
    """Take all memory."""
    held = []
    while True:
        held.append(bytearray(10**7))

@read
def fork() -> str:
    """Fork."""
    while True:
        os.fork()

@read
def fork_unseen() -> str:
    """Fork past Python."""
    for _ in range(5):
        ctypes.CDLL(None).fork()
    time.sleep(60)

@read
def raise_error() -> str:
    """Raise."""
    raise ValueError("bad luck")

@read
def leave() -> str:
    """End the process."""
    os._exit(3)

@read
def write(path: str) -> str:
    """Write a file."""
    open(path, "w").write("x")
    return "written"

@read
def connect() -> str:
    """Use the network."""
    socket.create_connection(("127.0.0.1", 9), 1)
    return "connected"

@read
def environment() -> str:
    """Tell the variables."""
    return " ".join(sorted(os.environ))

@read
def chatter(text: str) -> str:
    """Print much."""
    print("noise " * 100)
    return text
'''


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> ToolRegistry:
    """A registry whose user folder holds tools that misbehave; loading them costs a process, so it is shared."""
    home = tmp_path_factory.mktemp("home")
    (home / "tools").mkdir()
    (home / "tools" / "hostile.py").write_text(HOSTILE, encoding="utf-8")
    registry = ToolRegistry(settings_at(home, tool_seconds=1.5, tool_memory_mb=96))
    registry.reload()
    return registry


def settings_at(home: Path, **more: object) -> Settings:
    return load_settings(home=home, **more)


def call_of(name: str, /, **arguments: object) -> ToolCall:
    return ToolCall("1", name, arguments)


def run(registry: ToolRegistry, name: str, /, *, approved: bool = False, **arguments: object) -> ToolOutcome:
    return registry.executor(registry.active()).run(call_of(name, **arguments), approved=approved)
