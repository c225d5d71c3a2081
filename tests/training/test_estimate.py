"""The estimate against its own formula, and the refusal of what does not fit."""

from dataclasses import replace

import psutil
import pytest

from core.errors import TrainingError
from training.estimate import (
    Estimate,
    default_threads,
    estimate,
    matmul_speed,
    memory_for,
    refuse_too_large,
    within_memory,
)
from training.gguf_model import GgufModel
from training.packing import TokenRow, make_packs
from training.recipe import TrainingRecipe


def test_tokens_memory_and_saving_follow_from_the_packs(base: GgufModel) -> None:
    rows = [TokenRow((*range(50), n, n), (False,) * 51 + (True,)) for n in range(60, 64)]
    packs = make_packs(rows, 200, seed=0)
    found = estimate(base, TrainingRecipe(epochs=2), packs, row_tokens=4 * 52)
    # Forty-nine shared tokens once, three of its own for each row.
    assert found.tokens == 2 * (49 + 4 * 3)
    assert found.saved == pytest.approx(1 - 61 / 208)
    assert found.bytes > base.n_parameters * 4
    assert (
        found.bytes - 61 * base.n_layers * (10 * base.n_embd + 5 * base.n_ff) * 4 - base.n_parameters * 4 == 700_000_000
    )
    larger = estimate(replace(base, n_parameters=base.n_parameters * 10), TrainingRecipe(epochs=2), packs, 208)
    assert larger.seconds > found.seconds


def test_packs_shrink_until_they_fit_the_free_memory(tiny: GgufModel) -> None:
    recipe = TrainingRecipe(pack_tokens=768)
    assert within_memory(tiny, recipe) == recipe
    # So wide a model that a pack of 300 tokens alone takes all of this machine's memory.
    wide = replace(tiny, n_embd=psutil.virtual_memory().available // (300 * tiny.n_layers * 40))
    found = within_memory(wide, recipe).pack_tokens
    assert found in (128, 192)
    assert memory_for(wide, found * 2) > psutil.virtual_memory().available * 0.8
    assert within_memory(replace(wide, n_embd=wide.n_embd * 100), recipe).pack_tokens == 128


def test_the_speed_of_this_machine_is_plausible() -> None:
    assert 1e8 < matmul_speed(0.02) < 1e14
    assert default_threads() >= 1


def test_what_does_not_fit_is_refused_before_it_starts() -> None:
    refuse_too_large(Estimate(1.0, 1, 1, 0.0))
    with pytest.raises(TrainingError, match=r"1000\.0 GB") as caught:
        refuse_too_large(Estimate(1.0, 10**12, 1, 0.0))
    assert "内存" in caught.value.message.zh
