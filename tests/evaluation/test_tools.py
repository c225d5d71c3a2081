"""`python -m evaluation tools`: cases of three forms, what a raw model writes, figures, and a run that goes on."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from core.errors import SettingError
from core.types import ToolCall
from evaluation.call_cases import Case, read_cases, sampled
from evaluation.tools import free_calls, judge, parsed_calls, summary, verdicts_of
from inference.fakes import FakeEngine

AREA = {
    "name": "area",
    "description": "Area of a triangle.",
    "parameters": {
        "type": "dict",
        "properties": {"base": {"type": "integer"}, "unit": {"type": "string", "default": "cm"}},
        "required": ["base"],
    },
}
WANTED = ({"area": {"base": [10], "unit": ["", "cm"]}},)


def case(number: int, answers: tuple[Any, ...] | None = WANTED, category: str = "simple") -> Case:
    return Case(f"c{number}", category, "base 10", (AREA,), answers)


def proposing(*calls: ToolCall) -> Any:
    def propose(_question: str, _functions: Sequence[Mapping[str, Any]]) -> tuple[ToolCall, ...]:
        return calls

    return propose


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('[{"name": "area", "arguments": {"base": 10}}]', [("area", {"base": 10})]),
        ('Sure! {"name": "area", "arguments": {}} and more', [("area", {})]),
        (
            '```json\n[{"name": "a", "arguments": {"x": [1]}}, {"name": "b", "arguments": 3}]```',
            [("a", {"x": [1]}), ("b", {})],
        ),
        ("[]", []),
        ("The area is [10].", []),
        ('{"name": "area", "arguments": {"base": 1', []),
    ],
)
def test_what_a_raw_model_writes_is_read_as_far_as_it_is_json(text: str, calls: list[tuple[str, Any]]) -> None:
    assert [(call.name, dict(call.arguments)) for call in parsed_calls(text)] == calls


def test_the_raw_model_gets_no_constraint_and_no_adapter() -> None:
    engine = FakeEngine(['[{"name": "area", "arguments": {"base": 10}}]'])
    assert judge(case(1), free_calls(engine)).right
    (request,) = engine.requests
    assert (request.grammar, request.json_schema, request.adapter) == ("", None, "")
    assert "Area of a triangle." in request.messages[0].content


def test_figures_count_what_was_right_valid_needless_and_missed() -> None:
    right = judge(case(1), proposing(ToolCall("", "area", {"base": 10})))
    invalid = judge(case(2), proposing(ToolCall("", "area", {"base": "ten"})))
    missed = judge(case(3), proposing())
    needless = judge(case(4, (), "irrelevance"), proposing(ToolCall("", "area", {"base": 1})))
    quiet = judge(case(5, (), "irrelevance"), proposing())
    figures = summary([right, invalid, missed, needless, quiet])
    assert figures["accuracy"] == {
        "irrelevance": {"n": 2, "accuracy": 0.5, "interval": [0.0, 1.0]},
        "simple": {"n": 3, "accuracy": 0.3333, "interval": [0.0, 1.0]},
    }
    assert (figures["valid_calls"], figures["needless_calls"], figures["missed_calls"]) == (0.6667, 0.5, 0.3333)


def test_any_call_counts_where_no_answer_is_known() -> None:
    assert judge(case(1, None), proposing(ToolCall("", "area", {"base": 1}))).right
    assert not judge(case(1, None), proposing()).right


def test_a_run_that_ended_early_goes_on_where_it_stood(tmp_path: Path) -> None:
    kept = tmp_path / "results.jsonl"
    first = verdicts_of("product", proposing(ToolCall("", "area", {"base": 10})), [case(1)], kept)
    both = verdicts_of("product", proposing(), [case(1), case(2)], kept)
    assert [verdict.right for verdict in (*first, *both)] == [True, True, False]
    assert len(kept.read_text(encoding="utf-8").splitlines()) == 2
    other_way = verdicts_of("free", proposing(), [case(1)], kept)
    assert not other_way[0].right


def test_a_sample_is_the_same_for_a_seed_and_bounded_by_category() -> None:
    cases = [case(number, category="ab"[number % 2]) for number in range(20)]
    drawn = sampled(list(cases), [], 3, seed=5)
    assert [item.id for item in drawn] == [item.id for item in sampled(list(cases), [], 3, seed=5)]
    assert sorted(item.category for item in drawn) == ["a"] * 3 + ["b"] * 3
    assert {item.category for item in sampled(list(cases), ["a"], 0, seed=5)} == {"a"}


def test_cases_of_each_form_are_read(tmp_path: Path) -> None:
    bfcl = {
        "id": "b", "category": "simple_python", "question": [[{"role": "user", "content": "base 10"}]],
        "function": [AREA], "ground_truth": [{"area": {"base": [10], "unit": [""]}}],
    }  # fmt: skip
    ace = {
        "id": "x_acebench_1", "category": "normal_single_turn_parallel_function", "question": "user: base 1 and 2",
        "function": [AREA], "ground_truth": {"area_1": {"base": 1}, "area_2": {"base": 2}},
    }  # fmt: skip
    dialogue = {**ace, "category": "agent_multi_turn"}
    file = tmp_path / "cases.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in (bfcl, ace, dialogue)), encoding="utf-8")
    single, parallel = read_cases(file)
    assert (single.question, single.answers) == ("base 10", ({"area": {"base": [10], "unit": [""]}},))
    assert parallel.question == "base 1 and 2"
    assert parallel.answers == ({"area": {"base": [1]}}, {"area": {"base": [2]}})
    calls = [ToolCall("", "area", {"base": base}) for base in (2, 1)]
    assert judge(parallel, proposing(*calls)).right
    with pytest.raises(SettingError, match="no file"):
        next(read_cases(tmp_path / "absent.jsonl"))
