"""Tools of MCP servers: a real reference server where it is installed, and what is said where it cannot be used."""

import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.conftest import run, settings_at
from tools.registry import ToolRegistry

HAS_ADAPTERS = importlib.util.find_spec("langchain_mcp_adapters") is not None
HAS_SERVER = importlib.util.find_spec("mcp_server_time") is not None


@pytest.mark.slow
@pytest.mark.skipif(not (HAS_ADAPTERS and HAS_SERVER), reason="needs the extra mcp and the package mcp-server-time")
def test_a_reference_server_is_called_over_stdio(tmp_path: Path) -> None:
    server = {"command": sys.executable, "args": ["-m", "mcp_server_time"], "risk": "read"}
    registry = ToolRegistry(settings_at(tmp_path, mcp_servers={"time": server}, tool_seconds=60.0))
    assert '"timezone": "Asia/Tokyo"' in run(registry, "get_current_time", timezone="Asia/Tokyo").text
    assert run(registry, "get_current_time", timezone="Atlantis").failure == "failed"


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ({"url": "https://example.org/mcp"}, "offline is on"),
        ({"risk": "read"}, "needs a `command`"),
        ({"command": "x", "risk": "harmless"}, "one of read, write, network"),
        ({"command": "/no/such/program"}, "failed"),
    ],
)
def test_a_server_that_cannot_be_used_is_named_and_the_rest_works(
    tmp_path: Path, server: dict[str, object], said: str
) -> None:
    registry = ToolRegistry(settings_at(tmp_path, mcp_servers={"it": server}))
    (problem,) = registry.problems
    assert problem.origin == "mcp:it"
    assert (said if HAS_ADAPTERS or "risk" in server else "pip install 'fourfold[mcp]'") in problem.message.en
    assert run(registry, "calculator", expression="1+1").text == "2"


NOTES = """
import sys
from mcp.server.fastmcp import FastMCP

server = FastMCP("notes", port=int(sys.argv[1]))

@server.tool()
def add_note(text: str, stars: int = 1) -> str:
    "Add a note."
    return "kept " + text + " " + "*" * stars

server.run("streamable-http")
"""


@pytest.fixture
def notes_server(tmp_path: Path) -> Iterator[str]:
    """A server of its own on a free port of this machine; yields its address."""
    script = tmp_path / "notes_server.py"
    script.write_text(NOTES, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(script), str(port)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.slow
@pytest.mark.skipif(not HAS_ADAPTERS, reason="needs the extra mcp")
def test_a_server_is_called_over_http_and_asks_first(tmp_path: Path, notes_server: str) -> None:
    servers = {"notes": {"url": notes_server, "risk": "write"}}
    registry = ToolRegistry(settings_at(tmp_path, mcp_servers=servers, tool_seconds=60.0))
    assert registry.problems == ()
    assert run(registry, "add_note", text="milk").failure == "not_approved"
    assert run(registry, "add_note", approved=True, text="milk", stars=3).text == "kept milk ***"
    assert run(registry, "add_note", approved=True, text="milk", stars="many").failure == "bad_arguments"
