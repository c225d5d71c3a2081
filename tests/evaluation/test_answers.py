"""The answers exam over a fake model: what is judged, what is averaged, which questions are asked."""

import argparse
import json
from pathlib import Path

import pytest

from core.config import Settings
from core.grounded_prompt import REFUSAL
from evaluation.answers import _chosen, _kept, answer_all, summary
from evaluation.datasets import ExamQuestion, Passage
from evaluation.meter import answering_sentence, area_under_curve, meters
from evaluation.retrieval import collection_of
from inference.fakes import FAKE_INFO, FakeEngine
from inference.protocol import GenerationRequest
from orchestrator.build import assistant_over
from retrieval.fakes import HashEmbedder
from retrieval.library import Library
from training.grounded import is_held_out

CONTEXTS = [
    Passage("t", "The tower opened in 1889. It stands in Paris and is 330 metres tall.", "Tower"),
    Passage("b", "The bridge opened in 1932. It was designed by John Bradfield.", "Bridge"),
    Passage("r", "The river is 6300 kilometres long and rises on a high plateau.", "River"),
]
QUESTIONS = [
    ExamQuestion("1", "When did the tower in Paris open?", ("t",), ("1889",)),
    ExamQuestion("2", "When did the bridge designed by Bradfield open?", ("b",), ("1932",)),
    ExamQuestion("3", "Who painted the bridge designed by Bradfield?", ("b",), (), answerable=False),
]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(Settings(home=tmp_path / "home"), HashEmbedder())


def reader(request: GenerationRequest) -> str:
    """Knows the tower, invents a year for the bridge, and refuses who painted it."""
    if "Who painted" in request.prompt:
        return REFUSAL.en
    return "1889 [1]" if "tower in Paris" in request.prompt else "The bridge opened in 1999 [1]. It was designed [1]."


def test_answers_are_judged_and_averaged(library: Library):
    collection = collection_of(library, CONTEXTS)
    assistant = assistant_over(library.settings, FakeEngine(reader), library.searcher(), grounded="")
    answers = list(answer_all(assistant, collection, QUESTIONS, extractive=False))
    found = summary(answers)
    assert [answer.kind for answer in answers] == ["model", "model", "refusal"]
    assert (answers[0].f1, answers[0].exact, answers[0].cited, answers[0].supported) == (1.0, 1.0, ("t",), (True,))
    assert answers[1].contained == 0.0
    assert found["answered_of_unanswerable"] == {"mean": 0.0, "low": 0.0, "high": 0.0, "n": 1}
    assert found["refused_of_answerable"]["n"] == 2
    assert found["citation_precision"]["mean"] == 1.0
    assert found["kinds"] == {"model": 2, "refusal": 1}


def test_extractive_answers_need_no_model(library: Library, tmp_path: Path):
    collection = collection_of(library, CONTEXTS)
    engine = FakeEngine(reader)
    assistant = assistant_over(library.settings, engine, library.searcher(), grounded="")
    answers = _kept(answer_all(assistant, collection, QUESTIONS[:2], extractive=True), tmp_path / "details.jsonl")
    assert [answer.contained for answer in answers] == [1.0, 1.0]
    assert engine.requests == []
    assert len((tmp_path / "details.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_only_unseen_articles_are_reported(tmp_path: Path):
    titles = [f"Article {number}" for number in range(40)]
    (tmp_path / "c.jsonl").write_text(
        "".join(json.dumps({"id": str(n), "title": title, "text": "x"}) + "\n" for n, title in enumerate(titles))
    )
    (tmp_path / "q.jsonl").write_text(
        "".join(json.dumps({"id": str(n), "question": "?", "context_id": str(n)}) + "\n" for n in range(40))
    )
    files = {"contexts": tmp_path / "c.jsonl", "questions": tmp_path / "q.jsonl"}
    options = argparse.Namespace(**files, reporting=True, limit=0, half="all")
    asked = [int(item.id) for item in _chosen(options)]
    assert asked == [n for n, title in enumerate(titles) if is_held_out(title)]
    assert 0 < len(asked) < 25
    halves = [_chosen(argparse.Namespace(**files, reporting=True, limit=0, half=half)) for half in ("tuning", "kept")]
    assert sorted(int(item.id) for half in halves for item in half) == asked
    assert all(halves)
    options.limit = 3
    assert len(_chosen(options)) == 3


def test_the_meter_tells_true_passages_from_foreign_ones():
    contexts = {passage.id: passage for passage in CONTEXTS}
    # A model that finds the words easier where they stand in the prompt.
    engine = FakeEngine(info=FAKE_INFO, score=lambda prompt, text: -0.5 if text.strip(" .") in prompt else -2.0)
    true, foreign = meters(engine, QUESTIONS[0], contexts)
    assert true == pytest.approx(1.5)
    assert foreign == pytest.approx(0.0)
    assert answering_sentence(CONTEXTS[0].text, "1889") == "The tower opened in 1889."
    assert answering_sentence(CONTEXTS[0].text, "nowhere") == "nowhere"


@pytest.mark.parametrize(
    ("true", "foreign", "area"),
    [([1.0, 2.0], [0.0], 1.0), ([0.0], [1.0], 0.0), ([1.0], [1.0], 0.5), ([1.0, 3.0], [2.0], 0.5)],
)
def test_the_area_counts_pairs(true: list[float], foreign: list[float], area: float):
    assert area_under_curve(true, foreign) == area
