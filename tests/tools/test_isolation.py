"""The user's own code: what it says is used, what it breaks stays in its process."""

import re
import socket
from pathlib import Path

import psutil
import pytest

from core.errors import ToolError
from tests.tools.conftest import run, settings_at
from tools.isolation import MARK, Limits
from tools.registry import ToolRegistry
from tools.user_tools import load_folder, load_named

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "failure", "said"),
    [
        ("loop", "timeout", "longer than 1.5 s"),
        ("eat", "failed", "[Mm]emory"),
        ("fork", "failed", "may not start"),
        ("fork_unseen", "failed", "more than 8 processes"),
        ("raise_error", "failed", "ValueError: bad luck"),
        ("leave", "failed", "without a result"),
        ("connect", "failed", "may not use the network"),
    ],
)
def test_a_tool_that_misbehaves_is_contained_and_reported(
    hostile: ToolRegistry, name: str, failure: str, said: str
) -> None:
    outcome = run(hostile, name)
    assert (outcome.failure, bool(re.search(said, outcome.text))) == (failure, True), outcome.text
    assert not [process for process in psutil.process_iter() if _is_tool_run(process)]


def test_a_reading_tool_cannot_write(hostile: ToolRegistry, tmp_path: Path) -> None:
    target = tmp_path / "x"
    assert run(hostile, "write", path=str(target)).failure == "failed"
    assert not target.exists()


def test_nothing_of_the_environment_is_inherited(hostile: ToolRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOURFOLD_REMOTE_API_KEY", "secret")
    names = set(run(hostile, "environment").text.split())
    assert names <= {MARK, "HOME", "TMPDIR", "TEMP", "PATH", "LANG", "LC_ALL", "LC_CTYPE", "VIRTUAL_ENV"}


def test_what_a_tool_prints_does_not_spoil_its_result(hostile: ToolRegistry) -> None:
    assert run(hostile, "chatter", text="好").text == "好"


def test_a_file_that_fails_is_named_and_the_others_load(tmp_path: Path) -> None:
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "broken.py").write_text("raise RuntimeError('no')", encoding="utf-8")
    (folder / "empty.py").write_text("x = 1", encoding="utf-8")
    (folder / "calculator.py").write_text(
        "from langchain_core.tools import tool\n@tool\ndef calculator(x: int) -> int:\n    'Mine.'\n    return x\n",
        encoding="utf-8",
    )
    registry = ToolRegistry(settings_at(tmp_path, active_tools=("calculator", "nobody")))
    told = {Path(problem.origin).name: problem.message.en for problem in registry.problems}
    assert "RuntimeError: no" in told["broken.py"]
    assert "holds no tool" in told["empty.py"]
    assert "already the name" in told["calculator.py"]
    assert "'nobody'" in told["active_tools"]
    assert run(registry, "calculator", expression="1+1").text == "2"


@pytest.mark.parametrize("page", ["tools.md", "tools.zh-CN.md"])
def test_the_documented_tool_works_as_documented(tmp_path: Path, page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    code, printed = re.findall(r"```(?:python|text)\n(.*?)```", text, re.DOTALL)[:2]
    registry = ToolRegistry(settings_at(tmp_path))
    assert "body_mass_index" not in [entry.name for entry in registry.active()]
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "bmi.py").write_text(code, encoding="utf-8")
    registry.reload()
    assert run(registry, "body_mass_index", kilograms=80, metres=1.8).text == printed.strip()


def _is_tool_run(process: psutil.Process) -> bool:
    try:
        return MARK in process.environ() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


NET = '''
import socket
from langchain_core.tools import tool

@tool(extras={"risk": "network"})
def reach(host: str, port: int) -> str:
    """Connect."""
    socket.create_connection((host, port), 5).close()
    return "reached"
'''


def test_a_tool_of_the_network_stays_on_this_machine_while_offline(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (entry,) = load_folder(tmp_path, Limits(offline=True)).entries
        assert entry.tool.invoke({"host": "127.0.0.1", "port": port}) == "reached"
        # An address for documentation that nobody has: it must not even be tried.
        with pytest.raises(ToolError, match="offline"):
            entry.tool.invoke({"host": "192.0.2.1", "port": 80})
        with pytest.raises(ToolError, match="offline"):
            entry.tool.invoke({"host": "example.invalid", "port": 80})


def test_a_langchain_tool_is_named_by_its_import_path_with_a_risk_or_without(tmp_path: Path) -> None:
    (problem,) = load_named("langchain_core.tools.retriever:create_retriever_tool", Limits()).problems
    assert "holds no tool" in problem.message.en
    ready = "from langchain_core.tools import tool\n\n@tool\ndef double(number: int) -> str:\n    'Double.'\n"
    named = str(tmp_path / "ready.py")
    Path(named).write_text(ready + "    return str(2 * number)\n", encoding="utf-8")
    for written, risk in ((named, "network"), (f"{named}=read", "read"), (f"{named} = write", "write")):
        (entry,) = load_named(written, Limits()).entries
        assert (entry.name, entry.risk, entry.tool.invoke({"number": 4})) == ("double", risk, "8")
    (problem,) = load_named(f"{named}=free", Limits()).problems
    assert "free" in problem.message.en


def test_a_tool_that_wants_more_than_its_name_says_so_and_how_to_give_it() -> None:
    (problem,) = load_named("langchain_core.tools:StructuredTool", Limits()).problems
    assert "StructuredTool is not made without arguments (" in problem.message.en
    assert "my_tool = StructuredTool(...)" in problem.message.en


def test_a_docstring_describes_the_tool_and_each_argument(tmp_path: Path) -> None:
    (tmp_path / "paint.py").write_text(
        '''
from langchain_core.tools import tool

@tool(extras={"risk": "read"})
def paint(width: float, coats: int = 2) -> str:
    """How many litres of paint.

    Args:
        width (float): the width of the wall: in metres,
            without the door
        coats: how often

    Returns:
        the litres
    """
    return f"{width * coats}"
''',
        encoding="utf-8",
    )
    (entry,) = load_folder(tmp_path, Limits()).entries
    properties = entry.parameters["properties"]
    assert entry.description.en == "How many litres of paint."
    assert properties["width"]["description"] == "the width of the wall: in metres, without the door"
    assert (properties["coats"]["description"], properties["coats"]["default"]) == ("how often", 2)
