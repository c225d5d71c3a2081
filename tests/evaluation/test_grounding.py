"""Reading alone, with a scripted reader: who is shown what, and how it is marked."""

import argparse

import pytest

from core.grounded_prompt import REFUSAL
from evaluation.datasets import ExamQuestion, Passage
from evaluation.grounding import Read, _read_all, figures
from inference.fakes import FakeEngine

CONTEXTS = {
    key: Passage(key, text, key.upper())
    for key, text in {
        "a": "The tower was built in 1889 by the river.",
        "b": "The tower by the river was built of iron.",
        "c": "Bees make honey in summer.",
        "d": "The river was built over by a bridge.",
    }.items()
}
QUESTION = ExamQuestion("q", "When was the tower built?", ("a",), ("1889",))


def options(**changes: object) -> argparse.Namespace:
    return argparse.Namespace(**{"distractors": 2, "withhold": False, "adapter": "", **changes})


def test_the_most_alike_passages_distract_and_the_number_of_the_right_one_is_known() -> None:
    engine = FakeEngine(["1889 [1]"])
    (read,) = _read_all(engine, [QUESTION], CONTEXTS, options())
    shown = engine.requests[0].messages[-1].content
    assert CONTEXTS["a"].text in shown
    assert CONTEXTS["c"].text not in shown
    assert f"[{read.gold}] A\n{CONTEXTS['a'].text}" in shown


def test_withheld_the_right_passage_is_not_shown() -> None:
    engine = FakeEngine([REFUSAL.en])
    (read,) = _read_all(engine, [QUESTION], CONTEXTS, options(distractors=0, withhold=True, adapter="grounded"))
    assert CONTEXTS["a"].text not in engine.requests[0].messages[-1].content
    assert engine.requests[0].adapter == "grounded"
    assert read.gold == 0
    assert figures([read])["refused_as_it_should"]["mean"] == 1.0


@pytest.mark.parametrize(
    ("text", "f1", "right", "refused"),
    [
        ("1889 [2]", 1.0, 1.0, 0.0),
        ("1889 [1]", 1.0, 0.0, 0.0),
        ("in 1889", 2 / 3, 0.0, 0.0),
        (REFUSAL.en, 0.0, 0.0, 1.0),
    ],
)
def test_marks(text: str, f1: float, right: float, refused: float) -> None:
    found = figures([Read(QUESTION, text, 2)])
    assert found["f1"]["mean"] == pytest.approx(f1, abs=1e-3)
    assert found["refused_though_shown"]["mean"] == refused
    assert found["cites_the_right_one"]["mean"] == right
