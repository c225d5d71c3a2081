"""The planted facts: what the cases are made of, and one of them by the real model."""

from collections import Counter
from pathlib import Path

import pytest

from core.config import Settings
from evaluation.planted import N_PASSAGES, planted_cases, read_facts, run_planted
from inference.runtime import open_engine
from interpretability.xray import OPERATIONS, Xray


def test_thirty_facts_that_cannot_be_mixed_up():
    facts = read_facts()
    assert Counter(fact.kind for fact in facts) == dict.fromkeys(
        ("date", "price", "person", "number", "place", "material"), 5
    )
    assert len({fact.question for fact in facts}) == len({fact.title for fact in facts}) == 30
    for fact in facts:
        # The answer's own words stand in its passage and in no other: nothing else can have given it.
        words = {word.strip(".,") for word in fact.answer.split() if word[:1].isdigit() or word[:1].isupper()}
        telling = [word for word in words if word in fact.text]
        others = [other.text for other in facts if other is not fact]
        assert telling or fact.kind == "material"
        assert not any(fact.answer in text for text in others)


@pytest.mark.parametrize("same_kind", [False, True])
def test_cases_go_round_and_keep_to_their_kind(same_kind: bool):
    cases = planted_cases(read_facts(), same_kind)
    assert Counter(case.planted for case in cases) == {0: 8, 1: 8, 2: 7, 3: 7}
    for case in cases:
        assert len({passage.title for passage in case.passages}) == N_PASSAGES
        assert case.passages[case.planted] is case.fact
        others = [passage.kind == case.fact.kind for passage in case.passages if passage is not case.fact]
        assert others == [same_kind] * 3


def test_one_case_by_the_real_model(tmp_path: Path):
    engine = open_engine(Settings(home=tmp_path, n_ctx=512), extensions=(OPERATIONS,))
    try:
        report = run_planted(engine, Xray(engine.call, Path(engine.info.path)), planted_cases(read_facts())[:1])
    finally:
        engine.close()
    result = report.results[0]
    assert report.cases == 1
    assert result.left_out == result.planted
    assert len(result.weights) == N_PASSAGES
    assert result.grounding > 0
