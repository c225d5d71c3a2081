"""What requests for a sum, a conversion or the time sound like."""

import pytest

from core.types import Message, Question
from orchestrator.routing_signals import Probe, signals_of
from orchestrator.tool_words import ToolWords, fit_tool_words, load_tool_words, word_features

REQUESTS = (
    "what is 3 plus 4",
    "tell me what 12 plus 5 is",
    "how many feet are in a mile",
    "how many cups are in a pint",
)
OTHERS = ("who wrote the plan", "tell me a joke", "how many people live in the mile end", "plus size dresses")


def test_features_are_whole_words_with_numbers_and_units_as_one_word_each() -> None:
    assert word_features("How many feet in 12.5 Miles?") == {
        "how", "many", "@unit", "in", "#",
        "^ how", "how many", "many @unit", "@unit in", "in #", "# @unit", "@unit $",
    }  # fmt: skip


def test_a_word_inside_another_word_is_none() -> None:
    assert "time" not in word_features("a sometimes timely pastime")
    assert "@unit" not in word_features("a footnote in milestones")


def test_what_was_fitted_tells_requests_from_others() -> None:
    words = fit_tool_words(REQUESTS, OTHERS)
    assert all(words.likeness(text) > 0.5 for text in REQUESTS)
    assert all(words.likeness(text) < 0.5 for text in OTHERS)
    assert "joke" not in words.weights, "a word of no request is not learnt"


def test_a_text_without_a_known_word_is_no_request() -> None:
    assert ToolWords({"plus": 2.0}, bias=9.0).likeness("今天星期几？") == 0.0


def test_the_likeness_is_the_logistic_of_bias_and_shared_weights() -> None:
    words = ToolWords({"plus": 1.0, "#": 3.0}, bias=-4.0)
    # Two known words of weight 1 and 3: -4 + (1 + 3) / (sqrt(2) / 2) = 1.657, whose logistic is 0.8398.
    assert words.likeness("# 2 plus") == pytest.approx(0.8398, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "sounds"),
    [
        ("tell me the exact time", True),
        ("what's twelve divided by three", True),
        ("give me kilograms to pounds", True),
        ("Who was the Normandy's first ruler?", False),
        ("write a poem about the sea", False),
    ],
)
def test_the_bundled_words(text: str, sounds: bool) -> None:
    assert (load_tool_words().likeness(text) > 0.5) == sounds


def test_a_follow_up_borrows_half() -> None:
    history = (Message("user", "how many cups are in a pint"), Message("assistant", "2"))
    alone = signals_of(Question("And the other way round?"), Probe())["tool_words"]
    leaning = signals_of(Question("And the other way round?", history), Probe())["tool_words"]
    assert leaning > alone
    assert leaning <= 0.5
