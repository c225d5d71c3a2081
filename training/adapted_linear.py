"""The linear layer of training: a frozen matrix and the two narrow ones of the adapter, perhaps by bfloat16 products.

y = W·x + scale·B·A·x (Hu et al. 2021). Processors with bfloat16 products do twice as many of them in the same time;
they add up in float32. The weights that are trained, their gradients and what runs between the layers stay float32.
"""

import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Below this gain the rounding is not worth it.
LEAST_GAIN = 1.3
TRIALS = 5
# Rows of a bfloat16 product are filled up to a multiple of this: the library behind it keeps code for every number of
# rows that it meets, about 6 MB each for a model of 135M, and packs are of many lengths.
ROWS_AT_ONCE = 64


def is_narrow_faster(device: str) -> bool:
    """Whether this machine multiplies in bfloat16 clearly faster than in float32: measured, a few milliseconds."""
    import torch

    if device != "cpu":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    x, w = torch.ones(512, 768), torch.ones(1536, 768)
    x16, w16 = x.to(torch.bfloat16), w.to(torch.bfloat16)
    return _seconds(lambda: x @ w.T) > LEAST_GAIN * _seconds(lambda: x16 @ w16.T)


def _seconds(product: Callable[[], object]) -> float:
    """Processor time of the fastest of a few runs: what else the machine does hardly matters to it."""
    taken = []
    for _ in range(TRIALS + 1):
        started = time.process_time()
        product()
        taken.append(time.process_time() - started)
    return min(taken[1:])


def hang(linear: Any, a: "torch.Tensor", b: "torch.Tensor", scale: float, is_narrow: bool) -> None:
    """Have `linear` add scale·B·A·x; `a` is (r, in), `b` (out, r), float32 and trained.

    `is_narrow` multiplies in bfloat16; the float32 matrix of `linear` stays as it is.
    """
    import torch

    functional = torch.nn.functional
    if is_narrow:
        product, narrow = _narrow_product(), linear.weight.detach().to(torch.bfloat16)

        def adapted(x: "torch.Tensor") -> "torch.Tensor":
            wide: torch.Tensor = product.apply(x, narrow, a, b, scale)
            return wide if linear.bias is None else wide + linear.bias

    else:

        def adapted(x: "torch.Tensor") -> "torch.Tensor":
            wide: torch.Tensor = functional.linear(x, linear.weight, linear.bias)
            # Scaling the narrow middle costs nothing; scaling the wide result would.
            return wide + functional.linear(functional.linear(x, a) * scale, b)

    linear.forward = adapted


@cache
def _narrow_product() -> Any:
    """The product as one step of the gradient's tape, which keeps `x` in bfloat16 and no wide result."""
    import torch

    def narrowed(wide: Any) -> Any:
        """Bfloat16 (rows, width) of the rows in float32, zeros below them up to a multiple of `ROWS_AT_ONCE`."""
        rows = wide.reshape(-1, wide.shape[-1])
        count = -(-len(rows) // ROWS_AT_ONCE) * ROWS_AT_ONCE
        filled = torch.zeros(count, rows.shape[1], dtype=torch.bfloat16, device=rows.device)
        filled[: len(rows)] = rows
        return filled

    def widened(rows: Any, shape: Any) -> Any:
        """Float32 in the given shape but for the last dimension, without the rows that were filled in."""
        return rows[: shape[:-1].numel()].float().reshape(*shape[:-1], -1)

    class NarrowProduct(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, narrow: Any, a: Any, b: Any, scale: float) -> Any:
            flat = narrowed(x)
            down, up = (a * scale).to(torch.bfloat16), b.to(torch.bfloat16)
            middle = flat @ down.T
            ctx.save_for_backward(flat, middle, narrow, down, up)
            ctx.scale = scale
            return widened(torch.addmm(flat @ narrow.T, middle, up.T), x.shape)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            (gradient,) = gradients
            flat, middle, narrow, down, up = ctx.saved_tensors
            wide = narrowed(gradient)
            inner = wide @ up
            back = widened(torch.addmm(wide @ narrow, inner, down), gradient.shape)
            return back, None, (inner.T @ flat).float() * ctx.scale, (wide.T @ middle).float(), None

    return NarrowProduct
