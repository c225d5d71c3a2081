"""The loop with a trainee that only counts, and with the real model: resume, early stop, learning."""

import json
import resource
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.gguf_model import GgufModel
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

    def save(self, path: Path, state: Mapping[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([self.state, state]))

    def restore(self, path: Path) -> dict[str, Any]:
        self.state, state = json.loads(path.read_text())
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
    kept, state = json.loads(run.best.read_text())
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


def test_the_last_state_of_a_run_that_the_clock_ends_is_judged_and_kept(tmp_path: Path) -> None:
    run = run_in(tmp_path, replace(RECIPE, max_minutes=1e-9), held_out=4)
    end = train(Counter([2.0]), run, lambda _progress: None, lambda: False)
    assert (end.step, end.held_out_loss, run.best.exists()) == (1, 2.0, True)


@pytest.fixture
def run(tiny: GgufModel, tmp_path: Path) -> Run:
    recipe = TrainingRecipe(
        rank=8, alpha=16.0, epochs=4, batch_examples=2, pack_tokens=64, seed=5, threads=1, precision="float32"
    )
    some = [TokenRow((9, 35, 28, n, 200, 2), (False,) * 4 + (True, True)) for n in range(100, 104)]
    return Run(some, (), recipe, 2e-2, tmp_path)


def test_the_real_model_learns_and_resumes_to_the_same_weights(tiny: GgufModel, run: Run) -> None:
    seen: list[Progress] = []
    whole = LoraModel(tiny, run.recipe)
    train(whole, run, seen.append, lambda: False)
    assert seen[-1].loss < seen[0].loss / 2
    first, steps = LoraModel(tiny, run.recipe), len(seen)

    def note(progress: Progress) -> None:
        seen.append(progress)
        first.save(run.checkpoint, vars(progress))

    train(first, run, note, lambda: len(seen) == steps + 3)
    # Other random numbers to begin with: everything must come from the checkpoint.
    second = LoraModel(tiny, replace(run.recipe, seed=99))
    train(second, run, seen.append, lambda: False)
    assert [progress.step for progress in seen[steps:]] == list(range(1, steps + 1))
    assert [progress.loss for progress in seen[steps:]] == pytest.approx([progress.loss for progress in seen[:steps]])
    for name, b in whole.weights().b.items():
        assert np.allclose(second.weights().b[name], b, atol=1e-6)
        assert np.allclose(second.weights().a[name], whole.weights().a[name], atol=1e-6)


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tiny: GgufModel, run: Run) -> None:
    model = LoraModel(tiny, run.recipe)
    model.save(run.checkpoint, {"step": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may grow beyond a kilobyte: the system refuses to write, as it does on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        with pytest.raises(OSError, match="large"):
            model.save(run.checkpoint, {"step": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert model.restore(run.checkpoint) == {"step": 1}
    assert [path.name for path in run.folder.iterdir()] == [run.checkpoint.name]
