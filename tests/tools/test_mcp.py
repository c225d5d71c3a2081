"""Tools of MCP servers: a real reference server where it is installed, and what is said where it cannot be used."""

import importlib.util
import sys
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
