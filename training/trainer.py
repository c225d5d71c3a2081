"""The loop: batches of packs, a schedule, checks of the held-out loss, checkpoints from which it goes on.

Everything that decides the order of the data follows from the seed and the step, so a run that was killed and resumed
sees the same batches as one that was not.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from training.packing import Pack, TokenRow, batches, make_packs
from training.recipe import TrainingRecipe, scheduled_rate

SECONDS_BETWEEN_CHECKPOINTS = 60.0
CHECKPOINT_FILE = "checkpoint.safetensors"
BEST_FILE = "best.safetensors"


class Trainee(Protocol):
    """What the loop asks of a model; `training.lora.LoraModel` is the real one."""

    def accumulate(self, packs: Sequence[Pack], tokens: int | None = None) -> float:
        """Add the gradient of the mean loss of `packs`; return the loss."""
        ...

    def step(self, learning_rate: float) -> float:
        """Move by one step; return the norm of the gradient."""
        ...

    def held_out_loss(self, packs: Sequence[Pack]) -> float:
        """The mean loss without learning."""
        ...

    def save(self, path: Path, state: Mapping[str, Any]) -> None:
        """Write everything that `restore` wants."""
        ...

    def restore(self, path: Path) -> dict[str, Any]:
        """Take up a checkpoint and return its state."""
        ...


@dataclass(frozen=True)
class Progress:
    """Where a run stands. Losses in nats a token; `tokens` were computed, `examples` seen, in `seconds` of work."""

    step: int = 0
    total_steps: int = 0
    epoch: int = 0
    loss: float = 0.0
    held_out_loss: float | None = None
    best_held_out: float | None = None
    checks_without_gain: int = 0
    learning_rate: float = 0.0
    tokens: int = 0
    examples: int = 0
    seconds: float = 0.0

    @property
    def seconds_left(self) -> float:
        """An estimate from the pace so far."""
        return self.seconds / self.step * (self.total_steps - self.step) if self.step else 0.0


@dataclass(frozen=True)
class Run:
    """One training run: what is learned from, what is checked against, where checkpoints go."""

    rows: Sequence[TokenRow]
    held_out: Sequence[TokenRow]
    recipe: TrainingRecipe
    peak_rate: float
    folder: Path

    @property
    def checkpoint(self) -> Path:
        """The last state, from which a run goes on."""
        return self.folder / CHECKPOINT_FILE

    @property
    def best(self) -> Path:
        """The state with the best held-out loss."""
        return self.folder / BEST_FILE

    def epoch_batches(self, epoch: int) -> list[list[Pack]]:
        """The batches of one epoch, the same for the same seed."""
        packs = make_packs(self.rows, self.recipe.pack_tokens, self.recipe.seed * 1000 + epoch)
        return batches(packs, self.recipe.batch_examples)


def train(
    model: Trainee, run: Run, on_progress: Callable[[Progress], None], is_cancelled: Callable[[], bool]
) -> Progress:
    """Train, or go on from the checkpoint in the run's folder; return the last progress.

    Stops at the end of the epochs, early when the held-out loss no longer improves, or when `is_cancelled` turns
    true (asked before every step). Afterwards the model holds the adapter with the best held-out loss.
    """
    start = Progress(**model.restore(run.checkpoint)) if run.checkpoint.exists() else Progress()
    checked = make_packs(run.held_out, run.recipe.pack_tokens, run.recipe.seed)
    saved = time.monotonic()
    progress = start
    for progress in _steps(model, run, checked, start):
        on_progress(progress)
        if progress.held_out_loss is not None and progress.held_out_loss == progress.best_held_out:
            model.save(run.best, asdict(progress))
        if time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS or progress.held_out_loss is not None:
            model.save(run.checkpoint, asdict(progress))
            saved = time.monotonic()
        if is_cancelled() or progress.checks_without_gain >= run.recipe.patience or _share_done(run, progress) >= 1:
            break
    if run.best.exists() and not is_cancelled():
        model.restore(run.best)
    return progress


def _steps(model: Trainee, run: Run, checked: Sequence[Pack], progress: Progress) -> Iterator[Progress]:
    """Yield the progress after every step, beginning behind the step where `progress` stands."""
    per_epoch = [run.epoch_batches(epoch) for epoch in range(run.recipe.epochs)]
    total = sum(len(batch) for batch in per_epoch)
    step = 0
    for epoch, steps in enumerate(per_epoch):
        every = max(1, len(steps) // run.recipe.checks_per_epoch)
        for place, batch in enumerate(steps, 1):
            step += 1
            if step <= progress.step:
                continue
            progress = _one_step(model, run, batch, replace(progress, step=step, total_steps=total, epoch=epoch))
            # Where the clock ends the run, its last state is judged like any other: it may be the best.
            is_last = step == total or _share_done(run, progress) >= 1
            if checked and (place % every == 0 or is_last):
                progress = _checked(progress, model.held_out_loss(checked))
            yield progress


def _one_step(model: Trainee, run: Run, batch: Sequence[Pack], progress: Progress) -> Progress:
    rate = scheduled_rate(_share_done(run, progress), run.peak_rate, run.recipe.warm_up)
    started = time.monotonic()
    loss = model.accumulate(batch)
    model.step(rate)
    return replace(
        progress,
        loss=loss,
        held_out_loss=None,
        learning_rate=rate,
        tokens=progress.tokens + sum(len(pack.ids) for pack in batch),
        examples=progress.examples + sum(pack.examples for pack in batch),
        seconds=progress.seconds + time.monotonic() - started,
    )


def _share_done(run: Run, progress: Progress) -> float:
    """The share of the run that is behind when `progress.step` begins: of its steps or of its time, the larger one."""
    by_time = progress.seconds / (60 * run.recipe.max_minutes) if run.recipe.max_minutes else 0.0
    return max((progress.step - 1) / max(1, progress.total_steps), by_time)


def _checked(progress: Progress, loss: float) -> Progress:
    better = progress.best_held_out is None or loss < progress.best_held_out
    return replace(
        progress,
        held_out_loss=loss,
        best_held_out=loss if better else progress.best_held_out,
        checks_without_gain=0 if better else progress.checks_without_gain + 1,
    )
