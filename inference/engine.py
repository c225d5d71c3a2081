"""llama.cpp, sealed: one loaded model with one context and one sequence, in plain Python and NumPy types.

Lives in the worker process only. Not thread-safe except `tokenize`, `piece`, `cancel` and `cancelled`.
"""

import ctypes
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from core.errors import ModelLoadError
from core.language import Bilingual
from core.types import SamplingSettings
from inference import devices
from inference.engine_options import LoadOptions, responsive_batch
from inference.gguf_file import GgufHeader, read_gguf_header

# A stored passage lies in the spare one until it is moved to its place.
SEQUENCE, SPARE = 0, 1
ABORTED = 2
REPEAT_WINDOW = 64
GPU_DEVICE = 1
KV_TYPES = {"f32": 0, "f16": 1, "q8_0": 8}
QUANTISATIONS = {"F16": 1, "Q4_0": 2, "Q8_0": 7, "Q6_K": 18, "IQ4_NL": 25}


# The last complaints of the library, for the message of a model that cannot be loaded.
_LOG: deque[str] = deque(maxlen=8)


# The library has one log callback for the whole process and keeps its pointer only: ours lives as long as the module.
@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _keep_log(level: int, text: bytes, _data: object) -> None:
    if level in (2, 3):
        _LOG.append(text.decode("utf-8", errors="replace").strip())


# Once for every token: an address as a plain number, where the binding makes an object of it.
_LOGITS = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)(
    ctypes.cast(llama_cpp.llama_get_logits_ith, ctypes.c_void_p).value or 0
)


class GenerationCancelledError(Exception):
    """The abort flag was raised during a computation; what was decoded before it stays."""


class LoadedModel:
    """A model in memory. Build it with `LoadedModel(options)`; give the memory back with `close()`."""

    def __init__(self, options: LoadOptions) -> None:
        self.options = options
        self.path = Path(options.path)
        self.header: GgufHeader = read_gguf_header(self.path)
        self.kept: dict[str, Any] = {}
        self._closers: list[Callable[[], object]] = []
        _LOG.clear()
        llama_cpp.llama_log_set(_keep_log, ctypes.c_void_p(0))
        self._make_abort_flag()
        self.model = self._load_model()
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.context = self._make_context()
        self._memory = llama_cpp.llama_get_memory(self.context)
        self.n_ctx = int(llama_cpp.llama_n_ctx(self.context))
        self.n_vocab = int(llama_cpp.llama_vocab_n_tokens(self.vocab))
        self.n_layers = int(llama_cpp.llama_model_n_layer(self.model))
        self.n_embd = int(llama_cpp.llama_model_n_embd(self.model))
        self._make_batch()

    # --- loading -------------------------------------------------------------------------------------------------

    def _make_abort_flag(self) -> None:
        # llama.cpp asks the callback between any two operations of the graph. A Python callback would cost a tenth of
        # the speed; `strlen` of a buffer that holds "" or "\1" is a native function that answers 0 or 1.
        self._abort_flag = ctypes.create_string_buffer(2)
        address = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p).value
        self.abort_callback = llama_cpp.ggml_abort_callback(address or 0)
        self.abort_data = ctypes.cast(self._abort_flag, ctypes.c_void_p)

    def _load_model(self) -> Any:
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = self.options.n_gpu_layers if llama_cpp.llama_supports_gpu_offload() else 0
        model = llama_cpp.llama_model_load_from_file(str(self.path).encode(), params)
        if not model:
            self._refuse("llama.cpp cannot load it")
        return model

    def _make_context(self) -> Any:
        params = llama_cpp.llama_context_default_params()
        trained = int(llama_cpp.llama_model_n_ctx_train(self.model))
        params.n_ctx = min(self.options.n_ctx, trained) if trained > 0 else self.options.n_ctx
        params.n_batch = params.n_ubatch = min(self._batch_tokens(), params.n_ctx)
        params.n_threads, params.n_threads_batch = self.options.n_threads, self.options.n_threads_batch
        params.flash_attn_type = -1 if self.options.flash_attention else 0
        params.type_k = params.type_v = KV_TYPES[self.options.kv_type]
        params.abort_callback, params.abort_callback_data = self.abort_callback, self.abort_data
        params.no_perf = True
        if self.options.stored_passages:
            params.n_seq_max, params.kv_unified = 2, True
        context = llama_cpp.llama_init_from_model(self.model, params)
        if not context:
            self._refuse(f"there is not enough memory for a context of {params.n_ctx} tokens")
        return context

    def _batch_tokens(self) -> int:
        if llama_cpp.llama_supports_gpu_offload() and self.options.n_gpu_layers:
            return self.options.n_batch
        return min(self.options.n_batch, responsive_batch(self.header, self.options.n_threads_batch))

    def _refuse(self, reason: str) -> None:
        detail = f"{reason} ({'; '.join(_LOG)})" if _LOG else reason
        raise ModelLoadError(
            Bilingual(
                en=f"{self.path} cannot be used: {detail}. Choose another model or a smaller context (FOURFOLD_N_CTX).",
                zh=f"无法使用 {self.path}：{detail}。请换一个模型或减小上下文（FOURFOLD_N_CTX）。",
            )
        )

    def _make_batch(self) -> None:
        self.n_batch = int(llama_cpp.llama_n_batch(self.context))
        self._batch = llama_cpp.llama_batch_init(self.n_batch, 0, 1)
        view = np.ctypeslib.as_array
        self._tokens: NDArray[np.int32] = view(self._batch.token, (self.n_batch,))
        self._positions: NDArray[np.int32] = view(self._batch.pos, (self.n_batch,))
        self._wanted: NDArray[np.int8] = view(self._batch.logits, (self.n_batch,))
        view(self._batch.n_seq_id, (self.n_batch,))[:] = 1
        for index in range(self.n_batch):
            self._batch.seq_id[index][0] = SEQUENCE
        self._row: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._row_address = 0

    def on_close(self, function: Callable[[], object]) -> None:
        """Register what must be freed before the model."""
        self._closers.append(function)

    def close(self) -> None:
        """Free everything. The object must not be used afterwards."""
        for function in reversed(self._closers):
            function()
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self.context)
        llama_cpp.llama_model_free(self.model)

    # --- cancellation --------------------------------------------------------------------------------------------

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked to stop the computation that runs."""
        return self._abort_flag[0] != b"\0"

    def cancel(self) -> None:
        """Stop the running computation at its next operation; from any thread."""
        self._abort_flag[0] = b"\1"

    def resume(self) -> None:
        """Take the flag down again."""
        self._abort_flag[0] = b"\0"

    # --- text and tokens -----------------------------------------------------------------------------------------

    def tokenize(self, text: str) -> list[int]:
        """Token ids; special tokens are recognised, none is added."""
        data = text.encode("utf-8")
        size = len(data) + 16
        buffer = (ctypes.c_int32 * size)()
        count = llama_cpp.llama_tokenize(self.vocab, data, len(data), buffer, size, False, True)
        return list(buffer[:count])

    def piece(self, token: int, special: bool = False) -> bytes:
        """The bytes of one token; control tokens are empty unless `special`."""
        buffer = ctypes.create_string_buffer(256)
        count = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, special)
        if count < 0:
            buffer = ctypes.create_string_buffer(-count)
            count = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, special)
        return buffer.raw[:count]

    def is_end(self, token: int) -> bool:
        """Whether the token ends a generation."""
        return bool(llama_cpp.llama_vocab_is_eog(self.vocab, token))

    def is_control(self, token: int) -> bool:
        """Whether the token is a control token, which no text can contain."""
        return bool(llama_cpp.llama_vocab_is_control(self.vocab, token))

    def special_token(self, name: str) -> int:
        """The id of `bos`, `eos` or `eot`; -1 where the vocabulary has none."""
        functions = {
            "bos": llama_cpp.llama_vocab_bos,
            "eos": llama_cpp.llama_vocab_eos,
            "eot": llama_cpp.llama_vocab_eot,
        }
        return int(functions[name](self.vocab))

    @property
    def tokenize_address(self) -> int:
        """Address of the native tokeniser, for libraries that call it themselves."""
        return int(ctypes.cast(llama_cpp.llama_cpp._lib.llama_tokenize, ctypes.c_void_p).value or 0)

    # --- computing -----------------------------------------------------------------------------------------------

    def decode(self, tokens: Sequence[int], position: int, n_outputs: int = 1) -> None:
        """Compute at most `n_batch` tokens that stand at `position` and after; logits for the last `n_outputs`.

        Raises GenerationCancelledError where the flag went up; then nothing of this batch remains in the KV cache.
        """
        count = len(tokens)
        self._tokens[:count] = tokens
        self._positions[:count] = np.arange(position, position + count)
        self._wanted[:count] = 0
        self._wanted[count - n_outputs : count] = 1
        self._batch.n_tokens = count
        self._run(position)

    def decode_one(self, token: int, position: int) -> None:
        """The same for a single token, without the arrays' overhead."""
        self._tokens[0], self._positions[0], self._wanted[0] = token, position, 1
        self._batch.n_tokens = 1
        self._run(position)

    def _run(self, position: int) -> None:
        status = llama_cpp.llama_decode(self.context, self._batch)
        if status == 0:
            return
        self.truncate(position)
        if status == ABORTED or self.cancelled:
            raise GenerationCancelledError
        raise ModelLoadError(
            Bilingual(
                en=f"llama.cpp could not compute (status {status}). Make the context smaller (FOURFOLD_N_CTX).",
                zh=f"llama.cpp 计算失败（状态 {status}）。请减小上下文（FOURFOLD_N_CTX）。",
            )
        )

    def logits(self, index: int = -1) -> NDArray[np.float32]:
        """float32 (n_vocab,): a writable view of the batch's token `index`, valid until the next `decode`."""
        address = _LOGITS(self.context, index)
        if address != self._row_address:
            # Making the view costs more than looking for the largest value in it; while writing it is always the same.
            pointer = ctypes.cast(address, ctypes.POINTER(ctypes.c_float))
            self._row, self._row_address = np.ctypeslib.as_array(pointer, (self.n_vocab,)), address
        return self._row

    def truncate(self, position: int) -> bool:
        """Forget everything from `position` on; False where this memory cannot forget a part (recurrent models)."""
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, SEQUENCE, position, -1))

    def clear(self) -> None:
        """Forget everything."""
        llama_cpp.llama_memory_clear(self._memory, False)

    def save_state(self) -> NDArray[np.uint8]:
        """The KV cache of what is computed, as bytes."""
        size = llama_cpp.llama_state_seq_get_size(self.context, SEQUENCE)
        state = np.empty(size, dtype=np.uint8)
        pointer = state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        written = llama_cpp.llama_state_seq_get_data(self.context, pointer, size, SEQUENCE)
        return state[:written]

    def restore_state(self, state: NDArray[np.uint8]) -> bool:
        """Put a saved KV cache in place of the present one; False where it does not fit, and then nothing is left."""
        self.clear()
        pointer = state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        return bool(llama_cpp.llama_state_seq_set_data(self.context, pointer, state.nbytes, SEQUENCE))

    @property
    def can_shift(self) -> bool:
        """Whether what is computed can be moved to other positions."""
        return bool(llama_cpp.llama_memory_can_shift(self._memory))

    def attach(self, state: NDArray[np.uint8], start: int, end: int, shift: int) -> bool:
        """Put those tokens of a state that stand at [start, end) once moved by `shift` behind the live ones.

        False where there is no room for it; nothing changes then.
        """
        pointer = state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        if not llama_cpp.llama_state_seq_set_data(self.context, pointer, state.nbytes, SPARE):
            return False
        llama_cpp.llama_memory_seq_add(self._memory, SPARE, -1, -1, shift)
        llama_cpp.llama_memory_seq_cp(self._memory, SPARE, SEQUENCE, start, end)
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, SPARE, -1, -1))

    # --- adapters ------------------------------------------------------------------------------------------------

    def load_adapter(self, path: Path) -> Any:
        """Load a LoRA adapter onto this base. Raises ModelLoadError where llama.cpp refuses it."""
        adapter = llama_cpp.llama_adapter_lora_init(self.model, str(path).encode())
        # A NULL pointer comes back as an object that is not None but false.
        if not adapter:
            raise ModelLoadError(
                Bilingual(
                    en=f"The adapter {path} cannot be loaded onto {self.path.name}: {'; '.join(_LOG)}.",
                    zh=f"无法将适配器 {path} 加载到 {self.path.name}：{'; '.join(_LOG)}。",
                )
            )
        return adapter

    def set_adapter(self, adapter: Any) -> None:
        """Put one adapter into force, or none. The caller clears the KV cache, which belongs to the one before."""
        if adapter is None:
            llama_cpp.llama_set_adapters_lora(self.context, None, 0, None)
            return
        adapters = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(adapter)
        llama_cpp.llama_set_adapters_lora(self.context, adapters, 1, (ctypes.c_float * 1)(1.0))

    # --- sampling ------------------------------------------------------------------------------------------------

    @contextmanager
    def sampler(self, settings: SamplingSettings, seed: int) -> Iterator[Callable[[], int]]:
        """A function that draws the next token from the last logits; they may have been changed, and it changes them.

        What needs no copy of every logit into llama.cpp's records of twelve bytes is done in place: the penalty of the
        tokens drawn last, and the choice of the likeliest.
        """
        recent: deque[int] = deque(maxlen=REPEAT_WINDOW)
        chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        for sampler in self._samplers(settings, seed):
            llama_cpp.llama_sampler_chain_add(chain, sampler)

        def draw() -> int:
            if settings.repeat_penalty != 1.0 and recent:
                penalise(self.logits(), sorted(set(recent)), settings.repeat_penalty)
            greedy = settings.temperature <= 0
            token = self.logits().argmax() if greedy else llama_cpp.llama_sampler_sample(chain, self.context, -1)
            recent.append(int(token))
            return int(token)

        try:
            yield draw
        finally:
            llama_cpp.llama_sampler_free(chain)

    def _samplers(self, settings: SamplingSettings, seed: int) -> Iterator[Any]:
        # The order of llama.cpp's own defaults after its penalties: top-k, top-p, min-p, temperature, draw.
        if settings.top_k > 0:
            yield llama_cpp.llama_sampler_init_top_k(settings.top_k)
        yield llama_cpp.llama_sampler_init_top_p(settings.top_p, 1)
        yield llama_cpp.llama_sampler_init_min_p(settings.min_p, 1)
        yield llama_cpp.llama_sampler_init_temp(settings.temperature)
        yield llama_cpp.llama_sampler_init_dist(seed)

    # --- what it runs on -----------------------------------------------------------------------------------------

    def device(self) -> tuple[str, int]:
        """Where the model runs, in words, and the number of its layers that are on a GPU."""
        if not llama_cpp.llama_supports_gpu_offload():
            return devices.NO_BACKEND.en, 0
        asked, total = self.options.n_gpu_layers, self.n_layers + 1
        on_gpu = total if asked < 0 else min(asked, total)
        if not on_gpu:
            return devices.NOT_ASKED.en, 0
        return devices.on_layers(on_gpu, total, _gpu_names()), on_gpu


def penalise(logits: NDArray[np.float32], tokens: Sequence[int], penalty: float) -> None:
    """Make `tokens` less likely, in place, as llama.cpp's penalty of repetitions does: away from zero, downwards."""
    values = logits[tokens]
    logits[tokens] = np.where(values <= 0, values * np.float32(penalty), values / np.float32(penalty))


def requantise(source: Path, target: Path, quantisation: str, n_threads: int) -> None:
    """Write `source` anew as `target` in another of `QUANTISATIONS`. Raises ModelLoadError where llama.cpp cannot.

    The matrix of the vocabulary keeps its type: it is read once for every new token, and a larger one slows writing.
    """
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread, params.allow_requantize = QUANTISATIONS[quantisation], n_threads, True
    kept = {tensor.name: tensor.ggml_type for tensor in read_gguf_header(source).tensors}
    embedding = kept.get("token_embd.weight")
    if embedding is not None:
        params.token_embedding_type, params.output_tensor_type = embedding, kept.get("output.weight", embedding)
    if llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params)):
        raise ModelLoadError(
            Bilingual(
                en=f"llama.cpp cannot write {source.name} as {quantisation}: {'; '.join(_LOG)}. It stays as it is.",
                zh=f"llama.cpp 无法将 {source.name} 转为 {quantisation}：{'; '.join(_LOG)}。模型保持不变。",
            )
        )


def _gpu_names() -> str:
    """Names of the GPUs that this build of ggml sees, as ggml gives them."""
    library = llama_cpp.llama_cpp._lib
    get, describe, kind = (
        library.ggml_backend_dev_get,
        library.ggml_backend_dev_description,
        library.ggml_backend_dev_type,
    )
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    describe.restype, describe.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
    kind.restype, kind.argtypes = ctypes.c_int, [ctypes.c_void_p]
    library.ggml_backend_dev_count.restype = ctypes.c_size_t
    devices = [get(index) for index in range(library.ggml_backend_dev_count())]
    return ", ".join((describe(device) or b"?").decode() for device in devices if kind(device) == GPU_DEVICE)
