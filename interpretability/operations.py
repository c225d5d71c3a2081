"""What the X-ray asks of the process that owns the model: each operation runs in the model's queue, in its turn.

Parameters are plain JSON. Prompts come as token ids, so that what is shown is what was computed.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.types import SamplingSettings
from inference.engine import LoadedModel
from inference.extensions import Operation, OperationResult
from interpretability import capture
from interpretability.capture import Probe, Wanted
from interpretability.sampling_steps import Sampler, softmax

Params = Mapping[str, Any]
SELF_CHECK_TEXT = "The capital of France is"


def trace(llama: LoadedModel, params: Params) -> OperationResult:
    """Hidden states, attention, queries and keys, logits of one prompt.

    Parameters: `ids`; `first`, `hidden`, `attention`, `segments`, `rope` as in `capture.Wanted`; `logits` (last, all or
    none); `adapter` (path) and `adapter_scale`; `steering` {vectors, strength}; `model` (path of another GGUF).
    Arrays: `embd` and `l_out-N` (rows, n_embd), `attention-N` (heads, rows, n_tokens), `segments-N` (heads, rows,
    segments), `Q-N-before`, `Q-N-after`, `K-N-before`, `K-N-after` (rows, heads, head size), `logits` (rows, n_vocab).
    """
    wanted = Wanted(
        first=int(params.get("first", 0)),
        hidden=bool(params.get("hidden", False)),
        attention=tuple(params.get("attention", ())),
        segments=tuple(params.get("segments", ())),
        rope=tuple(params.get("rope", ())),
    )
    started = time.perf_counter()
    with _probe(llama, params, len(params["ids"]), observe=capture.can_observe()) as probe:
        arrays = probe.trace(params["ids"], wanted, str(params.get("logits", "last")))
        values = {"seconds": time.perf_counter() - started, "state_bytes": probe.state_bytes()}
    return OperationResult(values, arrays)


def log_probabilities(llama: LoadedModel, params: Params) -> OperationResult:
    """Natural-log probability of every token of `continuation` after each of `prompts` (lists of ids).

    Array: `log_probabilities` float64 (prompts, continuation). Prompts that begin alike are computed once that far.
    """
    prompts, continuation = params["prompts"], list(params["continuation"])
    longest = max(len(prompt) for prompt in prompts) + len(continuation)
    rows = []
    with _probe(llama, params, longest, observe=False) as probe:
        known: list[int] = []
        for prompt in prompts:
            ids = [*prompt, *continuation]
            rows.append(_score(probe, ids, len(prompt), _common(known, prompt)))
            known = ids
    return OperationResult(arrays={"log_probabilities": np.stack(rows)})


def continuations(llama: LoadedModel, params: Params) -> OperationResult:
    """Go on from `ids` for at most `n` tokens; at every step the token drawn and the most likely candidates.

    Parameters beside `ids` and `n`: `sampling` (fields of SamplingSettings), `top` candidates to keep (10), and those
    of `trace` for adapters, steering and another model. Values: `ended`. Arrays: `drawn` (steps,), `candidates` int64
    and `probabilities` float32 (steps, top), `end` float32 (steps,): the probability of ending, `logits` (steps,
    n_vocab) where `keep_logits` is true.
    """
    ids, limit = list(params["ids"]), int(params.get("n", 1))
    sampler = Sampler(SamplingSettings(**dict(params.get("sampling", {}))))
    recorder = _Recorder(int(params.get("top", 10)), bool(params.get("keep_logits", False)), _ends(llama))
    with _probe(llama, params, len(ids) + limit, observe=False) as probe:
        rows = list(probe.decode(ids, 0, len(ids) - 1))[-1][-1]
        for step in range(limit):
            token = sampler.draw(rows, recorder.drawn).token_id
            recorder.record(rows, token)
            if token in recorder.ends or step == limit - 1:
                break
            rows = next(iter(probe.decode([token], len(ids) + step, len(ids) + step)))[-1]
    return OperationResult({"ended": recorder.drawn[-1] in recorder.ends}, recorder.arrays())


def pieces(llama: LoadedModel, params: Params) -> OperationResult:
    """The tokens of `text` (or given as `ids`) in this or another `model`. Values: `ids`, `pieces` (hexadecimal)."""
    with ExitStack() as stack:
        model = stack.enter_context(capture.open_model(llama, str(params["model"]))) if params.get("model") else llama
        ids = list(params["ids"]) if "ids" in params else list(model.tokenize(params["text"]))
        return OperationResult({"ids": ids, "pieces": [model.piece(token, special=True).hex() for token in ids]})


def self_check(llama: LoadedModel, _params: Params) -> OperationResult:
    """Whether the library still shows what the X-ray reads.

    Values: a boolean for each part and the `reason` of a failure. Parts: `logits`; `hidden` (the layers and
    what they end in were seen); `attention` (rows sum to 1, the future is 0).
    """
    ids = list(llama.tokenize(SELF_CHECK_TEXT))
    found = {"logits": False, "hidden": False, "attention": False, "reason": ""}
    try:
        with capture.open_probe(llama, len(ids), observe=False) as probe:
            found["logits"] = bool(np.isfinite(probe.trace(ids, Wanted())["logits"]).all())
        if not capture.can_observe():
            return OperationResult({**found, "reason": "the library does not export its tensor functions"})
        with capture.open_probe(llama, len(ids)) as probe:
            seen = probe.trace(ids, Wanted(hidden=True, attention=tuple(range(512))), "all")
    except Exception as error:  # noqa: BLE001 - whatever moved in the library, the page must open with what is left
        return OperationResult({**found, "reason": f"{type(error).__name__}: {error}"})
    maps = [array for key, array in seen.items() if key.startswith("attention")]
    found["hidden"] = "result_norm" in seen and any(key.startswith("l_out") for key in seen)
    found["attention"] = bool(maps) and all(_is_causal(array) for array in maps)
    return OperationResult({**found, "attention_layers": len(maps)})


OPERATIONS: Mapping[str, Operation] = {
    "trace": trace,
    "log_probabilities": log_probabilities,
    "continuations": continuations,
    "pieces": pieces,
    "self_check": self_check,
}


@contextmanager
def _probe(llama: LoadedModel, params: Params, n_tokens: int, observe: bool) -> Iterator[Probe]:
    """A probe on the model that `params` names, with its adapter and its steering switched on."""
    with ExitStack() as stack:
        model = llama
        if params.get("model"):
            model = stack.enter_context(capture.open_model(llama, str(params["model"])))
        adapter = None
        if params.get("adapter"):
            adapter = stack.enter_context(capture.open_adapter(model, str(params["adapter"])))
        probe = stack.enter_context(capture.open_probe(model, n_tokens, observe))
        if adapter is not None:
            probe.adapt(adapter, float(params.get("adapter_scale", 1.0)))
        if params.get("steering"):
            steering = params["steering"]
            probe.steer(np.asarray(steering["vectors"], dtype=np.float32), float(steering["strength"]))
        yield probe


class _Recorder:
    """What is kept of every step of a continuation."""

    def __init__(self, top: int, keep_logits: bool, ends: frozenset[int]) -> None:
        self.top, self.keep_logits, self.ends = top, keep_logits, ends
        self.drawn: list[int] = []
        self._rows: list[tuple[NDArray[np.int64], NDArray[np.float32], float]] = []
        self._logits: list[NDArray[np.float32]] = []

    def record(self, logits: NDArray[np.float32], token: int) -> None:
        probabilities = softmax(logits)
        best = np.argsort(-probabilities, kind="stable")[: self.top]
        self._rows.append((best, probabilities[best], float(probabilities[list(self.ends)].sum())))
        self.drawn.append(token)
        if self.keep_logits:
            self._logits.append(logits.copy())

    def arrays(self) -> dict[str, NDArray[Any]]:
        candidates, probabilities, end = zip(*self._rows, strict=True)
        arrays: dict[str, NDArray[Any]] = {
            "drawn": np.asarray(self.drawn, dtype=np.int64),
            "candidates": np.stack(candidates).astype(np.int64),
            "probabilities": np.stack(probabilities),
            "end": np.asarray(end, dtype=np.float32),
        }
        return {**arrays, "logits": np.stack(self._logits)} if self._logits else arrays


def _ends(llama: LoadedModel) -> frozenset[int]:
    return frozenset(token for token in range(llama.n_vocab) if llama.is_end(token))


def _score(probe: Probe, ids: Sequence[int], n_prompt: int, n_known: int) -> NDArray[np.float64]:
    """Log-probability of ids[n_prompt:]; the first `n_known` positions are in the context already."""
    # The last prompt token predicts the first of the continuation, so it is always computed again.
    start = probe.keep(min(n_known, n_prompt - 1))
    scores: list[float] = []
    at = n_prompt
    for block in probe.decode(ids[start:-1], start, n_prompt - 1):
        for row in block:
            wide = row.astype(np.float64)
            peak = wide.max()
            scores.append(float(wide[ids[at]] - peak - np.log(np.exp(wide - peak).sum())))
            at += 1
    return np.asarray(scores)


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """Length of the common beginning."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(first), len(second)))


def _is_causal(maps: NDArray[np.float32]) -> bool:
    future = np.triu(np.ones(maps.shape[1:], dtype=bool), k=1)
    return bool(np.allclose(maps.sum(-1), 1.0, atol=1e-4) and not maps[:, future].any())
