"""How a model is loaded; apart from the engine, so that the application can say it without llama.cpp."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LoadOptions:
    """How a model is loaded. `n_gpu_layers` -1 means all that fit; `kv_type` is the type of the KV cache.

    `original` names the file of which `path` is a requantised copy, empty where it is none. `reuse` off computes every
    prompt from its first token on, for comparisons. `states` is the folder of prompt states kept on disk, or empty.
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
