"""The products of training in bfloat16 against float32: values, gradients, and what a run learns."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training.adapted_linear import ROWS_AT_ONCE, hang, is_narrow_faster
from training.gguf_model import GgufModel
from training.lora import LoraModel
from training.packing import TokenRow
from training.recipe import TrainingRecipe
from training.trainer import Progress, Run, train


def pulled(is_narrow: bool, has_bias: bool, rows: int = 40) -> list[torch.Tensor]:
    """The output of one adapted layer and the gradients of its input and its two narrow matrices."""
    draw = torch.Generator().manual_seed(4)
    linear = torch.nn.Linear(96, 64, bias=has_bias)
    with torch.no_grad():
        for part in linear.parameters():
            part.copy_(torch.randn(part.shape, generator=draw))
    linear.requires_grad_(False)
    x, a, b = (torch.randn(shape, generator=draw).requires_grad_(True) for shape in ((1, rows, 96), (8, 96), (64, 8)))
    hang(linear, a, b, 2.0, is_narrow)
    out = linear(x)
    (out * torch.randn(out.shape, generator=draw)).sum().backward()
    gradients = [part.grad for part in (x, a, b) if part.grad is not None]
    assert len(gradients) == 3
    return [out.detach(), *gradients]


@pytest.mark.parametrize("rows", [1, 40, ROWS_AT_ONCE, ROWS_AT_ONCE + 1])
@pytest.mark.parametrize("has_bias", [False, True])
def test_narrow_products_and_their_gradients_are_those_of_float32_within_rounding(has_bias: bool, rows: int) -> None:
    for narrow, exact in zip(pulled(True, has_bias, rows), pulled(False, has_bias, rows), strict=True):
        assert narrow.dtype == torch.float32
        assert narrow.shape == exact.shape
        # Eight bits of a mantissa: a part in 256 a factor.
        assert float((narrow - exact).norm() / exact.norm()) < 0.01


def test_the_float32_layer_is_the_formula_itself() -> None:
    linear, x = torch.nn.Linear(6, 5), torch.randn(3, 6)
    a, b = torch.randn(2, 6), torch.randn(5, 2)
    wanted = x @ linear.weight.T + linear.bias + 3.0 * (x @ a.T @ b.T)
    hang(linear, a, b, 3.0, is_narrow=False)
    assert torch.allclose(linear(x), wanted, atol=1e-5)


def test_a_run_in_bfloat16_learns_what_a_run_in_float32_learns(tiny: GgufModel, tmp_path: Path) -> None:
    rows = [TokenRow((9, 35, 28, n, 200 + n % 4, 2), (False,) * 4 + (True, True)) for n in range(100, 108)]
    exact = TrainingRecipe(
        rank=8, alpha=16.0, epochs=6, batch_examples=4, pack_tokens=64, seed=5, threads=1, precision="float32"
    )
    ends: dict[str, Progress] = {}
    for precision in ("float32", "bfloat16"):
        recipe = replace(exact, precision=precision)
        model = LoraModel(tiny, recipe)
        assert model.is_narrow == (precision == "bfloat16")
        seen: list[Progress] = []
        run = Run(rows, (), recipe, 2e-2, tmp_path / precision)
        run.folder.mkdir()
        ends[precision] = train(model, run, seen.append, lambda: False)
        assert ends[precision].loss < seen[0].loss / 2
    assert ends["bfloat16"].loss == pytest.approx(ends["float32"].loss, abs=0.1)


def test_auto_takes_what_this_machine_multiplies_faster(tiny: GgufModel) -> None:
    assert LoraModel(tiny, TrainingRecipe(threads=1)).is_narrow == is_narrow_faster("cpu")
