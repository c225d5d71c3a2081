"""llama.cpp's own speed in the worker, measured as `llama-bench` does it: bare decodes of tokens, no text, no sampling.

An extension (`inference.extensions`) for benchmarks. It computes in the chat's own context, so the engine that runs it
must not be used for chats afterwards: open one for it and close it.
"""

import time
from collections.abc import Mapping
from typing import Any

from inference.engine import LoadedModel
from inference.extensions import Operation, OperationResult


def raw_speed(llama: LoadedModel, params: Mapping[str, Any]) -> OperationResult:
    """Seconds of `prompt_tokens` read in batches and then of `new_tokens` computed one at a time."""
    n_prompt, n_new = int(params["prompt_tokens"]), int(params["new_tokens"])
    tokens = [(1000 + 37 * place) % llama.n_vocab for place in range(n_prompt)]
    llama.clear()
    started = time.perf_counter()
    for start in range(0, n_prompt, llama.n_batch):
        llama.decode(tokens[start : start + llama.n_batch], start)
    # The library computes in the background of the call until somebody asks for the result.
    llama.logits()
    read = time.perf_counter()
    for place in range(n_new):
        llama.decode_one(tokens[place % n_prompt], n_prompt + place)
        llama.logits()
    written = time.perf_counter()
    llama.clear()
    return OperationResult(values={"prompt_seconds": read - started, "generate_seconds": written - read})


OPERATIONS: Mapping[str, Operation] = {"raw_speed": raw_speed}
