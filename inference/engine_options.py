"""How a model is loaded; apart from the engine, so that the application can say it without llama.cpp."""

from dataclasses import dataclass

from inference.gguf_file import GgufHeader, TensorEntry

RESPONSE_SECONDS = 0.04
FLOPS_PER_THREAD = 25e9
SMALLEST_BATCH = 32


@dataclass(frozen=True)
class LoadOptions:
    """How a model is loaded. `n_gpu_layers` -1 means all that fit; `kv_type` is the type of the KV cache.

    `original` names the file of which `path` is a requantised copy, empty where it is none. `reuse` off computes every
    prompt from its first token on, for comparisons. `states` is the folder of prompt states kept on disk, or empty.
    `stored_passages` keeps the KV caches of single passages (`inference.stored_passages`).
    """

    path: str
    n_ctx: int = 4096
    n_batch: int = 512
    n_threads: int = 1
    n_threads_batch: int = 1
    n_gpu_layers: int = -1
    flash_attention: bool = True
    kv_type: str = "f16"
    cache_bytes: int = 512 * 1024 * 1024
    original: str = ""
    reuse: bool = True
    states: str = ""
    stored_passages: bool = False


def responsive_batch(header: GgufHeader, n_threads: int) -> int:
    """Tokens in a batch so that its longest operation lasts about 40 ms: a cancel waits for the end of one.

    2 · rows · columns · tokens floating point operations, at what a thread of a plain processor does.
    """
    largest = max((it.shape[0] * it.shape[1] for it in header.tensors if _is_layer_matrix(it)), default=1)
    tokens = RESPONSE_SECONDS * FLOPS_PER_THREAD * max(n_threads, 1) / (2 * largest)
    return max(SMALLEST_BATCH, int(tokens) // SMALLEST_BATCH * SMALLEST_BATCH)


def _is_layer_matrix(tensor: TensorEntry) -> bool:
    # The matrix of the vocabulary is applied to the last token alone.
    return len(tensor.shape) >= 2 and tensor.name.startswith("blk.")
