"""How a training run goes: the numbers that a person may choose, and the learning rate that follows from them."""

import math
from dataclasses import dataclass

SMALL_MODEL_PARAMETERS = 300_000_000
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class TrainingRecipe:
    """The settings of one run. The defaults are those that published work supports for LoRA.

    `learning_rate` 0 chooses by the size of the model; `batch_examples` are seen between two steps of the optimiser;
    `pack_tokens` go through the model at once, which bounds memory; an example longer than `max_tokens` is left out.
    `patience` is the number of checks of the held-out loss without a better one after which training stops.
    `max_minutes` > 0 ends the run after so much computing, with the schedule shaped to it. `precision` is that of the
    products with the frozen matrices: `float32`, `bfloat16`, or `auto`, the faster one on this machine.
    """

    rank: int = 16
    alpha: float = 32.0
    learning_rate: float = 0.0
    epochs: int = 3
    batch_examples: int = 8
    warm_up: float = 0.05
    max_tokens: int = 1024
    pack_tokens: int = 768
    held_out_share: float = 0.1
    checks_per_epoch: int = 2
    patience: int = 3
    seed: int = 42
    threads: int = 0
    max_minutes: float = 0.0
    precision: str = "auto"

    def rate_for(self, n_parameters: int) -> float:
        """The peak learning rate for a model of this size: small models want more."""
        if self.learning_rate > 0:
            return self.learning_rate
        return 5e-4 if n_parameters < SMALL_MODEL_PARAMETERS else 2e-4

    @property
    def scale(self) -> float:
        """The factor before B·A."""
        return self.alpha / self.rank


def scheduled_rate(done: float, peak: float, warm_up: float) -> float:
    """The learning rate when the share `done` (0..1) of the run is behind: a linear rise, then a cosine to a twentieth.

    The rise takes the share `warm_up`; the first steps are never quite zero.
    """
    if done < warm_up:
        return peak * max(0.05, done / warm_up)
    progress = min(1.0, (done - warm_up) / max(1e-9, 1 - warm_up))
    return peak * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))
