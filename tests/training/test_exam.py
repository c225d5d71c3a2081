"""Marks, intervals, contestants and the prompt search, with scripted engines and plain oracles."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from core.types import Message
from inference.fakes import FakeEngine
from inference.protocol import GenerationRequest
from training.contestants import (
    Reply,
    adapted,
    base_model,
    few_shot,
    logistic_regression,
    nearest,
    spread_over_labels,
    with_shots,
)
from training.exam import general_knowledge, hold_exam
from training.examples import Example, pair
from training.prompt_search import search
from training.scoring import accuracy, label_mark, mean_score, token_f1

ROWS = [
    pair(f"Label: {text}", label, label=label)
    for text, label in (("win money", "spam"), ("see you", "ham"), ("prize money", "spam"), ("hello you", "ham"))
]


@pytest.mark.parametrize(
    ("answer", "wanted", "f1"),
    [
        ("118 [2]", "118", 1.0),
        ("The 118.", "118", 1.0),
        ("in Paris", "Paris", 2 / 3),
        ("no", "yes", 0.0),
        ("北京市", "北京", 0.8),
    ],
)
def test_token_f1(answer: str, wanted: str, f1: float) -> None:
    assert token_f1(answer, wanted) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("answer", "mark"),
    [("spam", 1.0), ("Spam.", 1.0), ("It is spam", 1.0), ("ham or spam", 0.0), ("spammy", 0.0), ("", 0.0)],
)
def test_a_label_counts_where_it_alone_is_named(answer: str, mark: float) -> None:
    assert label_mark(answer, "spam", ["ham", "spam"]) == mark


def test_intervals_against_their_formulas() -> None:
    score = accuracy([1.0] * 8 + [0.0] * 2)
    # Wilson's interval for 8 of 10, from the textbook formula.
    middle, half = (
        (0.8 + 1.96**2 / 20) / (1 + 1.96**2 / 10),
        1.96 * math.sqrt(0.016 + 1.96**2 / 400) / (1 + 1.96**2 / 10),
    )
    assert score.low == pytest.approx(middle - half)
    assert score.high == pytest.approx(middle + half)
    draw = np.random.default_rng(0).random(400)
    spread = mean_score(list(draw))
    error = draw.std() / 20
    assert spread.low == pytest.approx(draw.mean() - 1.96 * error, abs=0.01)
    assert spread.high == pytest.approx(draw.mean() + 1.96 * error, abs=0.01)


def scripted(request: GenerationRequest) -> str:
    """A model that says `ham` to everything, unless the adapter or enough examples help it."""
    text = request.messages[-1].content
    helped = bool(request.adapter) or len(request.messages) > 3
    return "spam" if helped and "money" in text else "ham"


def test_the_exam_ranks_the_contestants_and_says_what_got_worse() -> None:
    reply = Reply(FakeEngine(scripted), 8)
    report = hold_exam([base_model(reply), few_shot(reply, ROWS), adapted(reply, "mine")], ROWS, ["ham", "spam"])
    assert [result.score.mean for result in report.results] == [0.5, 1.0, 1.0]
    assert report.worse == ()
    assert "cheaper" in report.advice.en
    assert "成本更低" in report.advice.zh
    assert report.summary() == '{"base": 0.5, "few_shot": 1.0, "adapter": 1.0}'


def test_rows_that_got_worse_are_shown() -> None:
    reply = Reply(FakeEngine(lambda request: "spam" if request.adapter else "ham"), 8)
    report = hold_exam([base_model(reply), adapted(reply, "mine")], ROWS, ["ham", "spam"])
    assert [(row.wanted, row.base, row.adapter) for row in report.worse] == [("ham", "ham", "spam")] * 2


def test_a_label_is_chosen_by_its_probability_whatever_the_model_would_write() -> None:
    def score(prompt: str, label: str) -> float:
        return -0.5 if ("money" in prompt) == (label == "spam") else -2.0

    reply = Reply(FakeEngine("A long sentence that names no label.", score=score), 8, ["ham", "spam"])
    assert [base_model(reply).answer(row) for row in ROWS] == [row.label for row in ROWS]


def test_general_knowledge_counts_the_right_words() -> None:
    assert general_knowledge(FakeEngine(["I do not know"])).mean == 0.0
    assert general_knowledge(FakeEngine(lambda request: "Paris, Tokyo and Rome")).mean == pytest.approx(3 / 40)


class WordVectors:
    """Counts two words: enough to tell the rows apart."""

    name, dimension, max_tokens, languages = "words", 2, 512, ("en",)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self.embed_query(text) for text in texts])

    def embed_query(self, text: str) -> NDArray[np.float32]:
        vector = np.asarray([1e-3 + text.count("money"), 1e-3 + text.count("you")], dtype=np.float32)
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def test_the_cheap_contestants_answer_by_likeness() -> None:
    train = [*ROWS, *(pair(f"Label: {n} you", "ham", label="ham") for n in range(3))]
    train += [pair(f"Label: {n} money", "spam", label="spam") for n in range(3)]
    for contestant in (nearest(WordVectors(), train), logistic_regression(WordVectors(), train)):
        assert contestant.answer(pair("Label: much money", "spam", label="spam")) == "spam"
        assert contestant.answer(pair("Label: love you", "ham", label="ham")) == "ham"


def test_examples_in_a_prompt_take_the_labels_in_turn() -> None:
    assert [one.label for one in spread_over_labels([ROWS[0], ROWS[2], ROWS[1]], 2)] == ["ham", "spam"]
    prompt = with_shots(Example((Message("system", "S"), *ROWS[1].messages)), [ROWS[0]])
    assert [message.role for message in prompt] == ["system", "user", "assistant", "user"]


def test_the_search_finds_the_prompt_that_helps() -> None:
    def row(number: int) -> Example:
        text, label = (("money", "spam"), ("you", "ham"))[number % 2]
        return pair(f"Label: {number} {text}", label, label=label)

    rows = [row(number) for number in range(90)]

    def score(prompt: str, label: str) -> float:
        """Examples in the prompt help; without any it is always `ham`."""
        helped = prompt.count("Label:") > 1
        return -0.5 if label == ("spam" if helped and "money" in prompt.split("Label:")[-1] else "ham") else -2.0

    report = search(FakeEngine(scripted, score=score), rows[:30], rows[30:60], rows[60:])
    assert (report.plain.mean, report.best.mean) == (0.5, 1.0)
    assert report.winner.shots
    assert len(report.ranking) == 13
