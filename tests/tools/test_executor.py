"""One call: known, valid, approved, in time. What goes wrong is a result."""

import time
from pathlib import Path

import pytest
from langchain_core.tools import BaseTool, StructuredTool, tool

from core.language import Bilingual
from core.types import Scope
from retrieval.fakes import HashEmbedder
from tests.tools.conftest import call_of, settings_at
from tools.base import Risk, ToolEntry
from tools.executor import LONGEST_RESULT, ToolExecutor, denied
from tools.registry import MOST_OFFERED, ToolParts, ToolRegistry

DONE: list[str] = []


@tool
def delete_file(name: str, times: int = 1) -> str:
    """Delete a file."""
    DONE.append(name)
    return f"deleted {name}"


@tool
def sleep(seconds: float) -> str:
    """Sleep."""
    time.sleep(seconds)
    return "awake"


@tool
def talk(characters: int) -> str:
    """Talk."""
    return "x" * characters


def entry(function: BaseTool, risk: Risk = "read") -> ToolEntry:
    return ToolEntry(function, risk, Bilingual("", ""), Bilingual(function.description, function.description), "test")


@pytest.fixture
def executor() -> ToolExecutor:
    DONE.clear()
    return ToolExecutor((entry(delete_file, "write"), entry(sleep), entry(talk)), seconds=0.2)


@pytest.mark.parametrize(
    ("name", "arguments", "failure", "said"),
    [
        ("remove", {}, "unknown_tool", "no tool called 'remove'"),
        ("delete_file", {}, "bad_arguments", "'name' is a required property"),
        ("delete_file", {"name": 5}, "bad_arguments", "5 is not of type 'string'"),
        ("delete_file", {"name": "a", "force": True}, "bad_arguments", "'force' was unexpected"),
        ("delete_file", {"name": "a"}, "not_approved", "until a person allows"),
        ("sleep", {"seconds": 5.0}, "timeout", "longer than 0.2 s"),
    ],
)
def test_a_call_that_cannot_be_made_is_told_as_data(
    executor: ToolExecutor, name: str, arguments: dict[str, object], failure: str, said: str
) -> None:
    outcome = executor.run(call_of(name, **arguments))
    assert outcome.failure == failure
    assert said in outcome.text
    assert outcome.message is not None
    assert outcome.message.zh != outcome.message.en
    assert not DONE


def test_an_approved_call_runs_once_and_a_denied_one_never(executor: ToolExecutor) -> None:
    call = call_of("delete_file", name="a.txt")
    assert executor.run(call, approved=True).text == "deleted a.txt"
    assert denied(call).failure == "denied"
    assert DONE == ["a.txt"]


def test_a_long_result_is_cut_and_a_stopped_tool_is_left(executor: ToolExecutor) -> None:
    assert len(executor.run(call_of("talk", characters=LONGEST_RESULT * 2)).text) < LONGEST_RESULT + 100
    assert executor.run(call_of("sleep", seconds=0.15), is_cancelled=lambda: True).failure == "timeout"


def test_with_many_tools_only_the_fitting_ones_are_offered(tmp_path: Path) -> None:
    registry = ToolRegistry(settings_at(tmp_path), ToolParts(embedder=HashEmbedder()))
    entries = registry.active()
    offered = registry.fitting("What is 3 * 4?", entries, limit=2)
    assert (offered[0].name, len(offered)) == ("calculator", 2)


@pytest.mark.parametrize(
    ("question", "wanted"),
    [("Rotate the picture of the harbour", "rotate_picture"), ("旋转港口的图片", "rotate_picture")],
)
def test_among_many_tools_the_fitting_one_is_offered(tmp_path: Path, question: str, wanted: str) -> None:
    def described(name: str, en: str, zh: str) -> ToolEntry:
        function = StructuredTool.from_function(lambda: "", name=name, description=en)
        return ToolEntry(function, "read", Bilingual(name, name), Bilingual(en, zh))

    many = [
        described(f"report_{number}", f"Write report number {number}", f"撰写第{number}号报告") for number in range(40)
    ]
    entries = [*many, described(wanted, "Rotate a picture", "旋转图片")]
    offered = ToolRegistry(settings_at(tmp_path), ToolParts(embedder=HashEmbedder(256))).fitting(question, entries)
    assert len(offered) == MOST_OFFERED
    assert offered[0].name == wanted


def test_the_settings_or_the_caller_decide_what_is_active(tmp_path: Path) -> None:
    registry = ToolRegistry(settings_at(tmp_path, active_tools=("calculator", "current_time")))
    assert [item.name for item in registry.active()] == ["calculator", "current_time"]
    assert [item.name for item in registry.active(Scope(), ("current_time",))] == ["current_time"]


def test_every_built_in_describes_its_arguments_in_both_languages(tmp_path: Path) -> None:
    for item in ToolRegistry(settings_at(tmp_path)).all():
        schema = item.schema("zh")["function"]
        assert schema["description"] == item.description.zh != item.description.en
        assert all(argument.get("description") for argument in schema["parameters"]["properties"].values())
