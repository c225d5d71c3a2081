"""The loop: one token at a time, drawn from a distribution. Another candidate is another branch; rewinding is free."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from interpretability.model_file import Floats


@dataclass(frozen=True)
class Step:
    """One turn of the loop: the token taken, the likeliest `candidates` (best first), the probability of ending."""

    token_id: int
    candidates: tuple[int, ...]
    probabilities: tuple[float, ...]
    end_probability: float

    @property
    def rank(self) -> int | None:
        """Place of the token taken among the candidates, from 1; None where it is not among them."""
        return self.candidates.index(self.token_id) + 1 if self.token_id in self.candidates else None


@dataclass(frozen=True)
class Branch:
    """A prompt and the steps taken after it. Every change gives a new branch; the old one stays as it was."""

    prompt_ids: tuple[int, ...]
    steps: tuple[Step, ...] = ()

    @property
    def ids(self) -> tuple[int, ...]:
        """All tokens so far, the prompt first: what the model is given for the next step."""
        return (*self.prompt_ids, *(step.token_id for step in self.steps))

    def extended(self, steps: Sequence[Step]) -> "Branch":
        """The branch with more steps."""
        return replace(self, steps=(*self.steps, *steps))

    def rewound(self, n_steps: int) -> "Branch":
        """The branch as it was after its first `n_steps` steps."""
        return replace(self, steps=self.steps[:n_steps])

    def choosing(self, at: int, token_id: int) -> "Branch":
        """A new branch that takes `token_id` at step `at` (from 0) and ends there; what came after is void."""
        return replace(self, steps=(*self.steps[:at], replace(self.steps[at], token_id=token_id)))


def steps_from(arrays: Mapping[str, NDArray[np.generic]]) -> tuple[Step, ...]:
    """The steps that the operation `continuations` returned."""
    rows = zip(arrays["drawn"], arrays["candidates"], arrays["probabilities"], arrays["end"], strict=True)
    return tuple(Step(int(drawn), _ints(ids), _floats(chances), float(end)) for drawn, ids, chances, end in rows)


def _ints(values: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _floats(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
