"""How long a run will take on this machine and how much memory it will need, before it starts."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import psutil

from core.errors import TrainingError
from core.language import Bilingual
from training.gguf_model import GgufModel
from training.packing import Pack
from training.recipe import TrainingRecipe

# Floating-point operations a parameter and token: forward 2, gradient of the activations 2 (the weights are frozen).
OPERATIONS = 4
# Share of the speed of a bare matrix product that a training step reaches; from runs of the default model.
EFFICIENCY = 0.5
RUNTIME_BYTES = 700_000_000
LEAST_PACK = 128
SHARE_OF_FREE = 0.8


@dataclass(frozen=True)
class Estimate:
    """`seconds` of computing, `bytes` at the peak, `tokens` computed in all epochs; `saved` of the rows' own tokens."""

    seconds: float
    bytes: int
    tokens: int
    saved: float


def estimate(base: GgufModel, recipe: TrainingRecipe, packs: Sequence[Pack], row_tokens: int) -> Estimate:
    """Estimate a run over `packs`; `row_tokens` is what they would be without shared beginnings."""
    tokens = sum(len(pack.ids) for pack in packs)
    longest = max((len(pack.ids) for pack in packs), default=0)
    per_second = matmul_speed() * EFFICIENCY / (OPERATIONS * base.n_parameters)
    return Estimate(
        seconds=tokens * recipe.epochs / per_second,
        bytes=memory_for(base, longest),
        tokens=tokens * recipe.epochs,
        saved=1 - tokens / max(1, row_tokens),
    )


def memory_for(base: GgufModel, pack_tokens: int) -> int:
    """Bytes at the peak where `pack_tokens` go through the model at once: float32 weights, and what is kept of each.

    Kept for the backward pass, per layer and token: about ten rows of the width and five of the feed-forward's.
    """
    kept = pack_tokens * base.n_layers * (10 * base.n_embd + 5 * base.n_ff) * 4
    return base.n_parameters * 4 + kept + RUNTIME_BYTES


def within_memory(base: GgufModel, recipe: TrainingRecipe) -> TrainingRecipe:
    """The recipe with packs as large as it asks for, or smaller where the free memory wants that (not below 128)."""
    room = psutil.virtual_memory().available * SHARE_OF_FREE
    tokens = recipe.pack_tokens
    while tokens > LEAST_PACK and memory_for(base, tokens) > room:
        tokens = max(LEAST_PACK, tokens // 2)
    return replace(recipe, pack_tokens=tokens)


def matmul_speed(seconds: float = 0.3) -> float:
    """Floating-point operations a second of a matrix product of the size that training uses, measured now."""
    draw = np.random.default_rng(0)
    a = draw.standard_normal((512, 768), dtype=np.float32)
    b = draw.standard_normal((768, 1536), dtype=np.float32)
    a @ b
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        a @ b
        count += 1
    return count * 2 * 512 * 768 * 1536 / (time.perf_counter() - started)


def refuse_too_large(needed: Estimate) -> None:
    """Raise TrainingError where the machine has not the memory now."""
    available = psutil.virtual_memory().available
    if needed.bytes <= available:
        return
    gigabytes, free = needed.bytes / 1e9, available / 1e9
    raise TrainingError(
        Bilingual(
            en=f"Training would need about {gigabytes:.1f} GB of memory and {free:.1f} GB are free. "
            "Close other programs, choose a smaller base, or lower --pack-tokens.",
            zh=f"训练约需 {gigabytes:.1f} GB 内存，目前可用 {free:.1f} GB。"
            "请关闭其他程序、换更小的基座，或调小 --pack-tokens。",
        )
    )


def default_threads() -> int:
    """All cores but one, so that the machine stays usable; two at least where there are two."""
    cores = os.cpu_count() or 1
    return max(min(2, cores), cores - 1)
