"""What `tune` asks of a worker: write a copy of the model in another type, and judge how well a model predicts a text.

An extension (`inference.extensions`); it computes in the chat's own context, so the worker is of no use afterwards.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inference.engine import GenerationCancelledError, LoadedModel, requantise
from inference.extensions import Operation, OperationResult

WINDOW = 512
# The first tokens of a window have too little before them to be judged.
UNJUDGED = 128
# 64 rows of logits of 150,000 values are 38 MB.
ROWS = 64


def write_copy(llama: LoadedModel, params: Mapping[str, Any]) -> OperationResult:
    """Write the loaded file anew as `target` in `quantisation`."""
    requantise(llama.path, Path(params["target"]), str(params["quantisation"]), llama.options.n_threads)
    return OperationResult()


def perplexity(llama: LoadedModel, params: Mapping[str, Any]) -> OperationResult:
    """Perplexity of `text` in at most `windows` windows of 512 tokens, and the number of tokens judged.

    exp of the mean negative log-probability of each token given those before it in its window, as in llama.cpp's own
    `llama-perplexity`.
    """
    tokens = llama.tokenize(str(params["text"]))
    window = min(WINDOW, llama.n_ctx)
    starts = range(0, len(tokens) - window + 1, window)[: int(params["windows"])]
    losses = [loss for start in starts for loss in _losses(llama, tokens[start : start + window])]
    mean = math.fsum(losses) / len(losses) if losses else math.inf
    return OperationResult(values={"perplexity": math.exp(min(mean, 700.0)), "tokens": len(losses)})


def _losses(llama: LoadedModel, tokens: list[int]) -> list[float]:
    llama.clear()
    step = min(ROWS, llama.n_batch)
    losses: list[float] = []
    for start in range(0, len(tokens) - 1, step):
        if llama.cancelled:
            raise GenerationCancelledError
        piece = tokens[start : min(start + step, len(tokens) - 1)]
        llama.decode(piece, start, n_outputs=len(piece))
        judged = [row for row in range(len(piece)) if start + row >= UNJUDGED]
        losses += [_loss(llama, row, tokens[start + row + 1]) for row in judged]
    return losses


def _loss(llama: LoadedModel, row: int, token: int) -> float:
    logits = llama.logits(row).astype(np.float64)
    logits -= logits.max()
    return float(np.log(np.exp(logits).sum()) - logits[token])


OPERATIONS: Mapping[str, Operation] = {"write_copy": write_copy, "perplexity": perplexity}
