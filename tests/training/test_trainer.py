"""The loop with a trainee that only counts, and with the real model: resume, early stop, learning."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.lora import LoraModel
from training.packing import Pack, TokenRow
from training.recipe import TrainingRecipe, scheduled_rate
from training.trainer import Progress, Run, train


class Counter:
    """A trainee whose state is the sum of all tokens it was shown, weighted by the step."""

    def __init__(self, losses: Sequence[float] = ()) -> None:
        self.state = 0.0
        self.shown: list[int] = []
        self._losses = list(losses)

    def accumulate(self, packs: Sequence[Pack], tokens: int | None = None) -> float:
        self.shown += [int(token) for pack in packs for token in pack.targets]
        return 1.0

    def step(self, learning_rate: float) -> float:
        self.state += learning_rate * sum(self.shown[-3:])
        return 1.0

    def held_out_loss(self, packs: Sequence[Pack]) -> float:
        return self._losses.pop(0) if self._losses else 1.0

    def save(self, folder: Path, state: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "state.json").write_text(json.dumps([self.state, state]))

    def restore(self, folder: Path) -> dict[str, Any]:
        self.state, state = json.loads((folder / "state.json").read_text())
        return dict(state)


def rows(count: int) -> list[TokenRow]:
    return [TokenRow((n, n, n, n + 100), (False, False, False, True)) for n in range(count)]


def run_in(folder: Path, recipe: TrainingRecipe, held_out: int = 0) -> Run:
    return Run(rows(24), rows(held_out), recipe, 1.0, folder)


RECIPE = TrainingRecipe(epochs=2, batch_examples=4, pack_tokens=8, seed=3)


def test_a_run_that_was_stopped_and_resumed_ends_where_the_other_does(tmp_path: Path) -> None:
    whole = Counter()
    end = train(whole, run_in(tmp_path / "a", RECIPE), lambda _progress: None, lambda: False)
    run = run_in(tmp_path / "b", RECIPE)
    first = Counter()
    seen: list[Progress] = []

    def note(progress: Progress) -> None:
        seen.append(progress)
        first.save(run.checkpoint, vars(progress))

    train(first, run, note, lambda: len(seen) == 5)
    second = Counter()
    resumed = train(second, run, lambda _progress: None, lambda: False)
    assert seen[-1].step == 5
    assert resumed.step == end.step == 12
    assert second.state == pytest.approx(whole.state)
    assert first.shown + second.shown == whole.shown


def test_it_stops_when_the_held_out_loss_no_longer_falls_and_keeps_the_best(tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=10, checks_per_epoch=1, patience=2)
    run = run_in(tmp_path, recipe, held_out=4)
    trainee = Counter([3.0, 2.0, 2.5, 2.6, 1.0])
    end = train(trainee, run, lambda _progress: None, lambda: False)
    assert (end.best_held_out, end.checks_without_gain, end.epoch) == (2.0, 2, 3)
    kept, state = json.loads((run.best / "state.json").read_text())
    assert state["held_out_loss"] == 2.0
    assert trainee.state == kept


def test_the_rate_rises_then_falls_and_follows_the_clock_where_asked() -> None:
    rates = [scheduled_rate(done / 100, 1.0, 0.1) for done in range(101)]
    assert rates.index(max(rates)) == 10
    assert max(rates) == pytest.approx(1.0)
    assert rates[0] == pytest.approx(0.05)
    assert rates[-1] == pytest.approx(0.05)
    assert all(one >= other for one, other in pairwise(rates[10:]))


def test_a_run_with_a_time_limit_ends_at_it(tmp_path: Path) -> None:
    recipe = replace(RECIPE, max_minutes=1e-9)
    end = train(Counter(), run_in(tmp_path, recipe), lambda _progress: None, lambda: False)
    assert end.step == 1


def test_the_real_model_learns_and_resumes_to_the_same_weights(blank: LoraModel, tmp_path: Path) -> None:
    recipe = TrainingRecipe(rank=8, alpha=16.0, epochs=2, batch_examples=2, pack_tokens=64, seed=5)
    prompts = [[504, 3575, 282, n] for n in range(1000, 1004)]
    some = [TokenRow((*prompt, 2000, 2), (False,) * 4 + (True, True)) for prompt in prompts]
    run = Run(some, (), recipe, 2e-3, tmp_path / "one")
    losses: list[float] = []

    def note(progress: Progress) -> None:
        losses.append(progress.loss)

    start = blank.weights()
    train(blank, run, note, lambda: False)
    whole = blank.weights()
    assert losses[-1] < losses[0]
    blank.set_weights(start)
    other = replace(run, folder=tmp_path / "two")
    taken: list[int] = []

    def stop_after_two(progress: Progress) -> None:
        taken.append(progress.step)
        blank.save(other.checkpoint, vars(progress))

    train(blank, other, stop_after_two, lambda: len(taken) == 2)
    blank.set_weights(start)
    train(blank, other, note, lambda: False)
    resumed = blank.weights()
    name = "blk.7.ffn_up.weight"
    assert np.abs(whole.b[name]).max() > 0
    assert np.allclose(resumed.b[name], whole.b[name], atol=1e-6)
    assert np.allclose(resumed.a[name], whole.a[name], atol=1e-6)
