"""Which way of computing the encoder is the fastest here? Measured once for a machine and a model, then remembered.

Every way must give the vectors of float32: the least cosine over the probe texts counts. A way that torch does not
offer on this machine is passed over.
"""

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from retrieval.bert_arrays import ArrayBert
from retrieval.protocol import Vectors

LEAST_COSINE = 0.99
# What is left where torch offers nothing.
ARRAYS = "arrays"
# What is taken unmeasured, where there is too little to encode for a measurement to pay.
USUAL = "torch-float32-2048"
# Texts of this many tokens in all are encoded without torch, whose import takes longer than they do.
FEW_TOKENS = 1_500
_VERSION = 1
Ids = Sequence[Sequence[int]]


class Runtime(Protocol):
    """A way of computing the encoder."""

    def embed(self, ids: Ids) -> Vectors:
        """float32 (len(ids), dimension), unit rows in the order of `ids` (tokens of each text, special ones too)."""
        ...


@dataclass(frozen=True)
class Measured:
    """One way on this machine: texts a second over the probe texts, and its least cosine to float32 there."""

    name: str
    texts_per_second: float
    least_cosine: float


@dataclass(frozen=True)
class Choice:
    """The way that was chosen, beside those that lost."""

    name: str
    measured: tuple[Measured, ...]


def probe_texts() -> list[str]:
    """Passages of prose, code and tables in both languages, for measuring and for the sizes that int8 needs."""
    loaded: list[str] = json.loads((Path(__file__).parent / "probe_texts.json").read_text(encoding="utf-8"))
    return loaded


def open_runtime(name: str, arrays: ArrayBert, examples: Ids) -> Runtime:
    """Make one of `WAYS`, or `ARRAYS`. Raises RuntimeError or ImportError where it is not offered here."""
    return arrays if name == ARRAYS else WAYS[name](arrays, examples)


def choose(arrays: ArrayBert, examples: Ids, memory: Path | None = None) -> Choice:
    """The fastest faithful way; read from `memory` where this machine was measured before, else measured and kept."""
    known = recall(memory)
    if known is not None:
        return known
    exact: Vectors | None = None
    measured = []
    for name in WAYS:
        found = _measure(name, arrays, examples, exact)
        if found is not None:
            measured.append(found[0])
            # The first way is float32, which the others are held against.
            exact = found[1] if exact is None else exact
    faithful = [way for way in measured if way.least_cosine >= LEAST_COSINE]
    best = max(faithful, key=lambda way: way.texts_per_second, default=None)
    choice = Choice(best.name if best else ARRAYS, tuple(measured))
    _remember(memory, choice)
    return choice


def _torch(precision: str, tokens_at_once: int) -> Callable[[ArrayBert, Ids], Runtime]:
    def make(arrays: ArrayBert, examples: Ids) -> Runtime:
        from retrieval.bert_torch import TorchBert

        return TorchBert(arrays, "int8" if precision == "int8" else "float32", tokens_at_once, examples)

    return make


# Batches of two sizes, since the better one depends on the caches of the processor. NumPy alone is a quarter as fast.
WAYS: dict[str, Callable[[ArrayBert, Ids], Runtime]] = {
    "torch-float32-2048": _torch("float32", 2_048),
    "torch-float32-8192": _torch("float32", 8_192),
    "torch-int8-1024": _torch("int8", 1_024),
    "torch-int8-4096": _torch("int8", 4_096),
}


def has_accelerator() -> bool:
    """Whether torch sees a graphics processor, which none of `WAYS` uses."""
    import torch

    return bool(torch.cuda.is_available() or torch.backends.mps.is_available())


def _measure(name: str, arrays: ArrayBert, examples: Ids, exact: Vectors | None) -> tuple[Measured, Vectors] | None:
    try:
        runtime = open_runtime(name, arrays, examples)
        vectors = runtime.embed(examples)
    except (ImportError, RuntimeError, AttributeError):
        # Not built into this torch, or not for this processor.
        return None
    # The first pass bore the cost of waking up, the second is the one that counts.
    started = time.perf_counter()
    runtime.embed(examples)
    speed = len(examples) / (time.perf_counter() - started)
    least = 1.0 if exact is None else float(np.einsum("nd,nd->n", vectors, exact).min())
    return Measured(name, round(speed, 1), round(least, 5)), vectors


def _machine() -> str:
    """What the choice depends on besides the model."""
    return f"{_VERSION} {platform.machine()} {platform.processor()} {os.cpu_count()} {platform.python_version()}"


def recall(memory: Path | None) -> Choice | None:
    """What was measured on this machine before, or None."""
    if memory is None or not memory.is_file():
        return None
    try:
        kept = json.loads(memory.read_text(encoding="utf-8"))
        choice = Choice(kept["name"], tuple(Measured(**row) for row in kept["measured"]))
    except (ValueError, KeyError, TypeError):
        # A damaged note is measured again.
        return None
    return choice if kept.get("machine") == _machine() and choice.name in (*WAYS, ARRAYS) else None


def _remember(memory: Path | None, choice: Choice) -> None:
    if memory is None:
        return
    memory.parent.mkdir(parents=True, exist_ok=True)
    draft = memory.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({"machine": _machine(), **asdict(choice)}), encoding="utf-8")
    draft.replace(memory)
