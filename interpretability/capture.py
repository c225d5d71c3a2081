"""What llama.cpp computes on its way to a token, read through a second context on the weights already loaded.

The chat's own context is not touched: it keeps its cache and its flash attention. The second context lives as long as
one operation, with flash attention off, because only then do attention weights exist as numbers.

`interpretability.operations` puts it to use.
"""

import ctypes
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as native
from numpy.typing import NDArray

from core.errors import ModelLoadError, PromptTooLongError
from core.language import Bilingual
from inference.adapters import check_adapter
from inference.engine import ABORTED, GenerationCancelledError, LoadedModel

Floats = NDArray[np.float32]

# Tokens per computation. It bounds what a long prompt needs beside the weights: the attention scores of one layer
# (heads x 128 x prompt) and the logits (128 x vocabulary) exist at a time, some 40 MB for the default model.
_UBATCH = 128


@dataclass(frozen=True)
class Wanted:
    """What to record. Rows begin at position `first`; the prompt before it is computed with the observer asleep.

    `attention`: layers whose full maps are kept. `segments`: borders of token positions; for every layer the attention
    paid to each segment is summed. `rope`: layers whose queries and keys are kept before and after the rotation.
    """

    first: int = 0
    hidden: bool = False
    attention: tuple[int, ...] = ()
    segments: tuple[int, ...] = ()
    rope: tuple[int, ...] = ()


@dataclass
class _Observer:
    """Collects tensors during one computation. It must never raise: an exception in the callback ends the process."""

    wanted: Wanted
    armed: bool = False
    n_tokens: int = 0
    end: int = 0
    found: dict[str, list[Floats]] = field(default_factory=dict)
    failure: Exception | None = None

    def __call__(self, tensor: int, ask: bool, _data: Any) -> bool:
        try:
            name, _, layer = _tensor_name(tensor).partition("-")
            key = self._key(name, layer)
            if key and not ask:
                self._record(key, name, tensor)
            return bool(key) or not ask
        except Exception as error:  # noqa: BLE001 - reported after the computation, see the class
            self.failure = error
            return not ask

    def _key(self, name: str, layer: str) -> str:
        """Under which key this tensor is wanted; empty where it is not."""
        if not self.armed or self.failure:
            return ""
        number = int(layer) if layer.isdigit() else -1
        if name == "kq_soft_max" and (number in self.wanted.attention or self.wanted.segments):
            return f"attention-{number}"
        if self.wanted.hidden and name in ("embd", "inp_embd", "l_out", "result_norm"):
            return f"{name.removeprefix('inp_')}-{number}" if number >= 0 else name.removeprefix("inp_")
        if number in self.wanted.rope and name in ("Qcur", "Kcur", "Qcur_normed", "Kcur_normed"):
            return f"{name[0]}-{number}"
        return ""

    def _record(self, key: str, name: str, tensor: int) -> None:
        data = _read(tensor)
        if name == "kq_soft_max":
            self._record_attention(key, data)
        elif name[1:].startswith("cur"):
            # Several nodes carry this name: the projection, its reshape, the rotation. The last before ROPE wins.
            stage = "after" if _operation(tensor) == "ROPE" else "before"
            pieces = self.found.setdefault(f"{key}-{stage}", [])
            heads = data.reshape(self.n_tokens, -1, data.shape[-1])
            if stage == "before" and pieces and len(pieces) > len(self.found.get(f"{key}-after", [])):
                pieces.pop()
            pieces.append(heads)
        else:
            self.found.setdefault(key, []).append(data.reshape(-1, data.shape[-1]))

    def _record_attention(self, key: str, data: Floats) -> None:
        maps = data.reshape(-1, self.n_tokens, data.shape[-1])[:, :, : self.end]
        layer = int(key.partition("-")[2])
        if layer in self.wanted.attention:
            # The cache is padded and grows from piece to piece: widen every piece to the whole prompt at the end.
            self.found.setdefault(key, []).append(maps)
        if self.wanted.segments:
            borders = [(min(start, self.end), min(stop, self.end)) for start, stop in _pairs(self.wanted.segments)]
            sums = np.stack([maps[:, :, start:stop].sum(-1) for start, stop in borders], axis=-1)
            self.found.setdefault(f"segments-{layer}", []).append(sums)


class Probe:
    """A context of its own on a loaded model. Use it through `open_probe`."""

    def __init__(self, llama: LoadedModel, n_ctx: int, observe: bool) -> None:
        self.n_vocab = llama.n_vocab
        self._observer = _Observer(Wanted())
        # The reference must live as long as the context: ctypes does not keep the callback alive.
        self._callback = native.ggml_backend_sched_eval_callback(self._observe)
        params = native.llama_context_default_params()
        params.n_ctx = n_ctx
        params.n_batch = params.n_ubatch = _UBATCH
        params.n_threads, params.n_threads_batch = llama.options.n_threads, llama.options.n_threads_batch
        params.abort_callback, params.abort_callback_data = llama.abort_callback, llama.abort_data
        params.swa_full = True  # else the columns of a sliding-window layer are not positions
        params.no_perf = True
        if observe:
            params.flash_attn_type = 0
            params.cb_eval = self._callback
        self._context = native.llama_init_from_model(llama.model, params)
        if not self._context:
            raise ModelLoadError(
                Bilingual(
                    en=f"There is no memory for an X-ray of {n_ctx} tokens. Close another program or shorten the text.",
                    zh=f"内存不足，无法对 {n_ctx} 个词元做 X 光分析。请关闭其他程序或缩短文本。",
                )
            )
        self._batch = native.llama_batch_init(_UBATCH, 0, 1)

    def _observe(self, tensor: int, ask: bool, data: Any) -> bool:
        return self._observer(tensor, ask, data)

    def close(self) -> None:
        """Give the memory back."""
        native.llama_batch_free(self._batch)
        native.llama_free(self._context)

    def keep(self, n_tokens: int) -> int:
        """Forget everything after the first `n_tokens` positions; returns how many are left.

        That is 0 where the memory cannot forget a part: recurrent layers keep one state and no past.
        """
        memory = native.llama_get_memory(self._context)
        if n_tokens and native.llama_memory_seq_rm(memory, 0, n_tokens, -1):
            return n_tokens
        native.llama_memory_clear(memory, True)
        return 0

    def decode(self, ids: Sequence[int], start: int, outputs: int) -> Iterator[Floats]:
        """Compute `ids` at positions from `start`; yield logits (rows, n_vocab) for positions from `outputs` on."""
        for first, last in _chunks(start, start + len(ids), outputs):
            wants_rows = last > outputs
            self._fill(ids[first - start : last - start], first, wants_rows)
            self._observer.n_tokens, self._observer.end = last - first, last
            self._observer.armed = first >= self._observer.wanted.first
            status = native.llama_decode(self._context, self._batch)
            if self._observer.failure:
                raise self._observer.failure
            if status == ABORTED:
                raise GenerationCancelledError
            if status:
                raise PromptTooLongError(
                    Bilingual(
                        en=f"The model could not compute {last} tokens (code {status}). Shorten the text.",
                        zh=f"模型无法计算 {last} 个词元（代码 {status}）。请缩短文本。",
                    )
                )
            if wants_rows:
                rows = native.llama_get_logits(self._context)
                yield np.ctypeslib.as_array(rows, shape=(last - first, self.n_vocab))

    def trace(self, ids: Sequence[int], wanted: Wanted, logits: str = "last") -> dict[str, Floats]:
        """Compute `ids` from position 0 and return what was recorded, rows of all pieces joined.

        `logits`: `last` keeps those after the last token (1, n_vocab), `all` of every recorded row, `none` none.
        """
        self._observer = _Observer(wanted)
        rows = [block.copy() if logits == "all" else block[-1:].copy() for block in self.decode(ids, 0, wanted.first)]
        found = {key: _joined(key, pieces, len(ids)) for key, pieces in self._observer.found.items()}
        if logits != "none":
            found["logits"] = np.concatenate(rows) if logits == "all" else rows[-1]
        return found

    def steer(self, vectors: Floats, strength: float) -> None:
        """Add `strength * vectors[layer]` (n_layer, n_embd) to the output of each layer; layer 0 cannot be steered."""
        data = np.ascontiguousarray(vectors[1:] * strength, dtype=np.float32)
        pointer = data.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        native.llama_set_adapter_cvec(self._context, pointer, data.size, data.shape[1], 1, len(vectors) - 1)

    def adapt(self, adapter: Any, scale: float) -> None:
        """Switch a loaded LoRA adapter on."""
        adapters = (native.llama_adapter_lora_p_ctypes * 1)(adapter)
        native.llama_set_adapters_lora(self._context, adapters, 1, (ctypes.c_float * 1)(scale))

    def state_bytes(self) -> int:
        """Bytes that the cached keys and values take when saved."""
        return int(native.llama_state_seq_get_size(self._context, 0))

    def _fill(self, ids: Sequence[int], first: int, wants_rows: bool) -> None:
        self._batch.n_tokens = len(ids)
        for index, token in enumerate(ids):
            self._batch.token[index] = token
            self._batch.pos[index] = first + index
            self._batch.n_seq_id[index] = 1
            self._batch.seq_id[index][0] = 0
            # Every row must be an output, else the last layer computes one row alone.
            self._batch.logits[index] = wants_rows


@contextmanager
def open_probe(llama: LoadedModel, n_tokens: int, observe: bool = True) -> Iterator[Probe]:
    """A second context for `n_tokens`, freed at the end of the block. Without `observe` it is for logits only."""
    probe = Probe(llama, -(-n_tokens // 256) * 256, observe)
    try:
        yield probe
    finally:
        probe.close()


@contextmanager
def open_adapter(llama: LoadedModel, path: str) -> Iterator[Any]:
    """A LoRA adapter file loaded onto the model. Raises ModelLoadError where it does not fit."""
    check_adapter(Path(path), llama.header)
    adapter = llama.load_adapter(Path(path))
    try:
        yield adapter
    finally:
        native.llama_adapter_lora_free(adapter)


@contextmanager
def open_model(llama: LoadedModel, path: str) -> Iterator[LoadedModel]:
    """A second model beside `llama`, for the time of a comparison. Raises ModelLoadError where it cannot be run."""
    # Its own context is never used, so it is as small as one can be.
    other = LoadedModel(replace(llama.options, path=path, n_ctx=256, n_batch=32))
    try:
        yield other
    finally:
        other.close()


def can_observe(library: Any = native._lib) -> bool:
    """Whether this build of the library lets tensors be read: the functions for it are reachable."""
    return all(hasattr(library, name) for name in _FUNCTIONS)


_FUNCTIONS: dict[str, tuple[list[Any], Any]] = {
    "ggml_get_name": ([ctypes.c_void_p], ctypes.c_char_p),
    "ggml_op_desc": ([ctypes.c_void_p], ctypes.c_char_p),
    "ggml_nbytes": ([ctypes.c_void_p], ctypes.c_size_t),
    "ggml_nrows": ([ctypes.c_void_p], ctypes.c_int64),
    "ggml_nelements": ([ctypes.c_void_p], ctypes.c_int64),
    "ggml_backend_tensor_get": ([ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t], None),
}


@cache
def _function(name: str) -> Any:
    function = getattr(native._lib, name)
    function.argtypes, function.restype = _FUNCTIONS[name]
    return function


def _tensor_name(tensor: int) -> str:
    return str(_function("ggml_get_name")(tensor).decode("utf-8", "replace"))


def _operation(tensor: int) -> str:
    return str(_function("ggml_op_desc")(tensor).decode("ascii", "replace"))


def _read(tensor: int) -> Floats:
    """A float32 tensor as (rows, columns). The shape is asked of the library: its struct may change between builds."""
    rows, elements = _function("ggml_nrows")(tensor), _function("ggml_nelements")(tensor)
    if _function("ggml_nbytes")(tensor) != elements * 4:
        raise TypeError(f"{_tensor_name(tensor)} is not a plain float32 tensor")
    data = np.empty((rows, elements // rows), dtype=np.float32)
    _function("ggml_backend_tensor_get")(tensor, data.ctypes.data, 0, data.nbytes)
    return data


def _chunks(start: int, stop: int, border: int) -> Iterator[tuple[int, int]]:
    """Half-open pieces of start..stop, none longer than a computation, none across `border`."""
    at = start
    while at < stop:
        end = min(at + _UBATCH, stop)
        end = border if at < border < end else end
        yield at, end
        at = end


def _pairs(borders: Sequence[int]) -> list[tuple[int, int]]:
    return list(itertools.pairwise(borders))


def _joined(key: str, pieces: list[Floats], n_tokens: int) -> Floats:
    """Join the rows of all pieces; attention maps (heads, rows, columns) are first widened to the whole prompt."""
    if key.startswith("segments"):
        return np.concatenate(pieces, axis=1)
    if not key.startswith("attention"):
        return np.concatenate(pieces)
    widened = [np.pad(piece, ((0, 0), (0, 0), (0, n_tokens - piece.shape[2]))) for piece in pieces]
    return np.concatenate(widened, axis=1)
