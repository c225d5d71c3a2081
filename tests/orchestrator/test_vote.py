"""The model's vote: constrained to two modes, asked in either order, heard only where both orders agree."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from core.config import Settings
from core.errors import ModelLoadError
from core.language import Bilingual
from core.types import CONCRETE_MODES, Question
from inference.fakes import FAKE_INFO, FakeEngine
from orchestrator.build import REFITTED_WEIGHTS, assistant_over
from orchestrator.events import RouteChosen
from orchestrator.vote import ModelVote
from tests.orchestrator.parts import TOWER, Passages, only

LARGE = replace(FAKE_INFO, n_parameters=7_000_000_000)


def prefers(words: str):
    """Scores of a model that wants the option with `words`, whatever its letter."""

    def score(prompt: str, letter: str) -> float:
        [line] = [line for line in prompt.splitlines() if line.startswith((f"{letter}:", f"{letter}："))]
        return -0.1 if words in line else -2.0

    return score


@pytest.mark.parametrize(("words", "mode"), [("documents", "rag"), ("general knowledge", "prompt")])
def test_the_mode_that_wins_in_either_order_is_named(words: str, mode: str):
    engine = FakeEngine(info=LARGE, score=prefers(words))
    assert ModelVote(engine)(Question("Hm, what of it?"), ("rag", "prompt")) == mode
    assert engine.requests == []


def test_a_question_in_chinese_is_put_in_chinese():
    engine = FakeEngine(info=LARGE, score=prefers("文档"))
    assert ModelVote(engine)(Question("那么怎么办才好呢？"), ("prompt", "rag")) == "rag"


def test_a_model_that_names_the_place_has_no_opinion():
    engine = FakeEngine(info=LARGE, score=lambda _prompt, letter: -0.1 if letter == "A" else -3.0)
    assert ModelVote(engine)(Question("Hm?"), ("rag", "prompt")) is None


def test_a_small_model_is_not_asked():
    def never(_prompt: str, _letter: str) -> float:
        raise AssertionError("asked")

    assert (
        ModelVote(FakeEngine(info=replace(FAKE_INFO, n_parameters=135_000_000), score=never))(
            Question("Hm?"), ("rag", "prompt")
        )
        is None
    )


def test_a_model_that_does_not_load_leaves_the_choice_to_the_signals():
    def fails(_prompt: str, _letter: str) -> float:
        raise ModelLoadError(Bilingual("no", "不"))

    assert ModelVote(FakeEngine(info=LARGE, score=fails))(Question("Hm?"), ("rag", "prompt")) is None


def test_the_vote_is_wired_and_stands_on_the_receipt(tmp_path: Path):
    # Weights of nothing but nought: every question is a tie.
    settings = Settings(home=tmp_path / "home")
    settings.paths.home.mkdir(exist_ok=True)
    even = json.dumps({mode: {"bias": 0.0} for mode in CONCRETE_MODES})
    (settings.paths.home / REFITTED_WEIGHTS).write_text(even)
    engine = FakeEngine(("x",), LARGE, score=prefers("documents"))
    who = assistant_over(settings, engine, Passages([TOWER]))
    route = only(list(who.answer(Question("When did the tower open?"))), RouteChosen).route
    assert (route.mode, route.runner_up, route.chosen_by) == ("rag", "prompt", "vote")
