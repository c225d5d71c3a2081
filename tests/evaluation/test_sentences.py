"""Sentences ranked without a model: the fit finds what tells answers apart; the shipped weights keep their quality."""

import argparse

import numpy as np
import pytest

from core.config import Settings
from evaluation.sentences import Ranked, figures, fit, run
from orchestrator.extractive import LENGTH_PRICE, load_weights, price_of_length
from orchestrator.sentence_features import N_FEATURES


def question(answer_at: int, size: int = 4, seed: int = 0) -> Ranked:
    """A question whose answering sentence alone has feature 3; the other features are noise."""
    features = np.random.default_rng(seed).normal(size=(size, N_FEATURES))
    features[:, 3] = 0.0
    features[answer_at, 3] = 1.0
    texts = tuple(f"word{place} and more" for place in range(size))
    holds = np.array([float(place == answer_at) for place in range(size)])
    return Ranked(texts, features, holds, (f"word{answer_at}",), True)


def test_the_fit_finds_the_feature_that_tells():
    asked = [question(seed % 4, seed=seed) for seed in range(60)]
    weights = fit(asked)
    assert int(np.argmax(np.abs(weights))) == 3
    assert weights[3] > 0
    found = figures([question(2, seed=99), question(0, seed=98)], weights)
    assert found["contained_in_1"]["mean"] == 1.0
    assert found["characters"]["mean"] == 2 * len("word0 and more")


def test_questions_that_nothing_answers_do_not_teach():
    silent = Ranked(("a", "b"), np.ones((2, N_FEATURES)), np.zeros(2), ("x",), True)
    asked = [question(seed % 4, seed=seed) for seed in range(20)]
    assert np.allclose(fit(asked), fit([*asked, silent]))


def test_long_sentences_pay():
    assert price_of_length(["a" * 10, "a" * 30]).tolist() == pytest.approx([LENGTH_PRICE * 0.5, LENGTH_PRICE * 1.5])
    assert price_of_length([]).tolist() == []
    assert load_weights().shape == (N_FEATURES,)


def test_the_shipped_weights_keep_their_measured_quality():
    settings = Settings()
    if not (settings.eval_data / "qa").is_dir():
        pytest.skip(f"no evaluation data at {settings.eval_data}; set FOURFOLD_EVAL_DATA")
    found = run(argparse.Namespace(fit=[], report=["xquad_zh"], limit=120, write=False), settings)
    assert found["fitted_on"] == 0
    assert found["sets"]["xquad_zh"]["contained_in_2"]["mean"] >= 0.85
    assert found["sets"]["xquad_zh"]["characters"]["mean"] <= 125
