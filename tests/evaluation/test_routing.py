"""The routing exam: figures, overrules as cases, a refit that learns from them, and the questions of strangers."""

import itertools
import json
from pathlib import Path

import pytest

from core.config import Settings
from core.errors import SettingError
from core.types import CONCRETE_MODES, Chunk, Document, Page, Question
from evaluation.routing import RoutingCase, confusion, export, measured, refit
from evaluation.routing_outsiders import outsiders
from orchestrator.history import History, Overrule
from orchestrator.router import BUNDLED_WEIGHTS, Router, load_weights
from orchestrator.routing_signals import Probe
from retrieval.fakes import HashEmbedder
from retrieval.library import Library

TOOLS = Probe(tools=("calculator",))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def case(text: str, expected: str, kind: str = "", milliseconds: float = 0.0) -> RoutingCase:
    return RoutingCase(Question(text), expected, TOOLS, milliseconds, kind)  # type: ignore[arg-type]


def test_confusion_counts_by_what_was_expected():
    found = confusion(["rag", "rag", "tools", "prompt"], ["rag", "prompt", "tools", "prompt"])
    assert found["accuracy"]["mean"] == 0.75
    assert found["by_mode"] == {"prompt": 1.0, "tools": 1.0, "rag": 0.5}
    assert found["confusion"]["rag"] == {"prompt": 1, "tools": 0, "rag": 1, "finetuned": 0}


def test_the_figures_come_with_kinds_and_milliseconds():
    cases = [case("What is 17% of 2,400?", "tools", "sum", 10.0), case("Write a poem", "tools", "wish", 30.0)]
    # Half a second passes in each route.
    found = measured(Router(), cases, clock=itertools.count(0.0, 0.5).__next__)
    assert found["by_kind"]["sum"]["mean"] == 1.0
    assert found["by_kind"]["wish"]["mean"] == 0.0
    assert found["milliseconds"] == {"p50": 520.0, "p95": 529.0, "most": 530.0}


def test_the_bundled_weights_route_most_of_the_written_cases_without_any_search():
    rows = [json.loads(line) for line in (BUNDLED_WEIGHTS.parent.parent / "evaluation/cases/routing.jsonl").open()]
    assert len(rows) >= 300
    assert {row["expected"] for row in rows} == set(CONCRETE_MODES)
    tools = [
        case(row["question"], row["expected"]) for row in rows if row["expected"] == "tools" and not row["history"]
    ]
    assert measured(Router(), tools)["accuracy"]["mean"] >= 0.85


def test_overrules_are_written_as_cases(tmp_path: Path):
    history = History(tmp_path / "c.db")
    history.add_overrule(Overrule("算一下", ("你好", "您好"), "mine", "rag", "tools"))
    assert export(history, tmp_path / "cases.jsonl")["cases"] == 1
    [line] = (tmp_path / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    written = {"question": "算一下", "history": ["你好", "您好"], "collection": "mine", "expected": "tools"}
    assert json.loads(line) == written


def test_a_refit_learns_from_what_was_overruled(settings: Settings):
    library = Library(settings, HashEmbedder())
    text = "The tower opened in 1889 and stands in Paris near the river."
    with library.writer("mine") as store:
        store.put_document(
            Document("t", "Tower", (Page(text),), "t"), [Chunk("", "", text, 0, 0, len(text), title="Tower")]
        )
    tuning = [one for n in range(40) if not (one := case(f"What is {n} * {n + 1}?", "tools")).is_kept]
    told = [Overrule("When did the tower open near the river?", (), "mine", "tools", "rag")] * 5
    target = refit(tuning, told, library, settings)
    assert target == settings.paths.home / "router.json"
    weights = load_weights(target).as_json()
    assert weights["rag"]["term_coverage"] > 0 > weights["tools"]["term_coverage"]
    assert weights["tools"]["arithmetic"] > 0


def test_strangers_are_of_all_modes_and_the_same_every_time():
    data = Settings().eval_data
    if not (data / "qa").is_dir():
        pytest.skip(f"no evaluation data at {data}; set FOURFOLD_EVAL_DATA")
    found = outsiders(data)
    assert found == outsiders(data)
    counts = {mode: sum(one.expected == mode for one in found) for mode in CONCRETE_MODES}
    assert min(counts.values()) >= 70
    assert len({one.question for one in found}) >= 0.98 * len(found) >= 300


def test_without_the_data_the_command_says_what_to_set(tmp_path: Path):
    with pytest.raises(SettingError, match="FOURFOLD_EVAL_DATA"):
        outsiders(tmp_path)
