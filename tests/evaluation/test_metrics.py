"""The measures against values worked out by hand."""

import math
from pathlib import Path

import pytest

from core.errors import SettingError
from evaluation.datasets import read_contexts, read_jsonl, read_questions
from evaluation.metrics import (
    bootstrap_interval,
    contained,
    exact_match,
    hit,
    ndcg,
    recall,
    reciprocal_rank,
    token_f1,
)


def test_ranking_measures():
    ranking = ["a", "b", "c", "d"]
    assert (hit(ranking, {"b"}, 1), hit(ranking, {"b"}, 2)) == (0.0, 1.0)
    assert recall(ranking, {"b", "x"}, 10) == 0.5
    assert reciprocal_rank(ranking, {"c"}, 10) == pytest.approx(1 / 3)
    assert ndcg(ranking, {"c"}, 10) == pytest.approx(1 / math.log2(4))
    assert ndcg(ranking, {"a", "c"}, 10) == pytest.approx((1 + 0.5) / (1 + 1 / math.log2(3)))
    assert (ndcg(ranking, {"d"}, 3), ndcg([], {"d"}, 3), ndcg(ranking, set(), 3)) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("answer", "gold", "f1", "exact", "inside"),
    [
        ("The Eiffel Tower.", ["eiffel tower"], 1.0, 1.0, 1.0),
        ("It is in Paris, France", ["Paris"], 2 * (1 / 5) / (1 + 1 / 5), 0.0, 1.0),
        ("丢了308分", ["308 分"], 2 * 0.5 / 1.5, 0.0, 1.0),
        ("黑豹队", ["黑豹"], 0.8, 0.0, 1.0),
        ("parisian", ["paris"], 0.0, 0.0, 0.0),
        ("", ["x"], 0.0, 0.0, 0.0),
    ],
)
def test_answer_measures(answer: str, gold: list[str], f1: float, exact: float, inside: float):
    assert token_f1(answer, gold) == pytest.approx(f1)
    assert exact_match(answer, gold) == exact
    assert contained(answer, gold) == inside


def test_the_interval_holds_the_mean_and_narrows():
    low, high = bootstrap_interval([0.0, 1.0] * 20)
    assert low < 0.5 < high
    wider = bootstrap_interval([0.0, 1.0] * 5)
    assert wider[1] - wider[0] > high - low
    assert bootstrap_interval([]) == (0.0, 0.0)


def test_reading_sets(tmp_path: Path):
    contexts = tmp_path / "c.jsonl"
    contexts.write_text('{"id": "1", "title": null, "text": "t"}\n\n', encoding="utf-8")
    assert [(passage.id, passage.title) for passage in read_contexts(contexts)] == [("1", "")]
    questions = tmp_path / "q.jsonl"
    rows = [f'{{"id": {number}, "question": "q{number}", "context_id": "1"}}' for number in range(10)]
    questions.write_text("\n".join(rows), encoding="utf-8")
    assert [question.text for question in read_questions(questions, 2)] == ["q0", "q5"]
    assert read_questions(questions)[3].context_ids == ("1",)
    questions.write_text("{bad", encoding="utf-8")
    with pytest.raises(SettingError, match="line 1"):
        list(read_jsonl(questions))
    with pytest.raises(SettingError, match="missing"):
        list(read_jsonl(tmp_path / "missing.jsonl"))
