"""Models by name: where they are, what they need, whether they fit this machine, and which is the best that does.

Sizes are those of the files at their publishers; layers and heads are needed for the size of the KV cache.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from core.errors import ModelNotFoundError
from core.language import Bilingual
from inference.gguf_file import GgufHeader

Fit = Literal["fits", "tight", "no"]

GIB = 1024**3
# Compute buffers, the vocabulary's logits and the program itself.
OVERHEAD_BYTES = 400 * 1024**2
# Beyond this share of the free memory a machine begins to swap beside a browser.
COMFORTABLE = 0.75
F16_BYTES = 2
# A processor reads some 20 to 40 GB a second from memory, and a token all of the file: more of it is too slow to chat.
LARGEST_WITHOUT_GPU = 3_000_000_000


@dataclass(frozen=True)
class CatalogEntry:
    """One model: the repository and file on the Hugging Face hub, and what is known of it without loading it."""

    name: str
    repository: str
    file: str
    file_bytes: int
    parameters: float
    licence: str
    languages: tuple[str, ...]
    n_ctx_train: int
    n_layers: int
    n_kv_heads: int
    head_size: int


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that a model takes with a context of a certain length, beside what is free; `fit` says it in a word."""

    weights: int
    kv_cache: int
    available: int
    fit: Fit

    @property
    def needed(self) -> int:
        """All of it."""
        return self.weights + self.kv_cache + OVERHEAD_BYTES


@dataclass(frozen=True)
class EncoderEntry:
    """A sentence encoder: its repository, and what is known of it."""

    name: str
    repository: str
    file_bytes: int
    dimension: int
    licence: str
    languages: tuple[str, ...]


_BILINGUAL = ("en", "zh")

# fmt: off
ENCODERS: tuple[EncoderEntry, ...] = (
    EncoderEntry("multilingual-minilm", "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
                 471_000_000, 384, "Apache-2.0", _BILINGUAL),
    EncoderEntry("multilingual-e5-small", "intfloat/multilingual-e5-small", 471_000_000, 384, "MIT", _BILINGUAL),
    EncoderEntry("bge-m3", "BAAI/bge-m3", 2_270_000_000, 1024, "MIT", _BILINGUAL),
    EncoderEntry("bge-small-en", "BAAI/bge-small-en-v1.5", 133_000_000, 384, "MIT", ("en",)),
    EncoderEntry("bge-small-zh", "BAAI/bge-small-zh-v1.5", 96_000_000, 512, "MIT", ("zh",)),
)

CATALOG: tuple[CatalogEntry, ...] = (
    CatalogEntry("smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF", "smollm2-1.7b-instruct-q4_k_m.gguf",
                 1_060_000_000, 1.7e9, "Apache-2.0", ("en",), 8192, 24, 32, 64),
    CatalogEntry("qwen3-0.6b", "Qwen/Qwen3-0.6B-GGUF", "Qwen3-0.6B-Q8_0.gguf",
                 640_000_000, 0.6e9, "Apache-2.0", _BILINGUAL, 40_960, 28, 8, 128),
    CatalogEntry("qwen3-1.7b", "Qwen/Qwen3-1.7B-GGUF", "Qwen3-1.7B-Q8_0.gguf",
                 1_830_000_000, 1.7e9, "Apache-2.0", _BILINGUAL, 40_960, 28, 8, 128),
    CatalogEntry("qwen3-4b", "Qwen/Qwen3-4B-GGUF", "Qwen3-4B-Q4_K_M.gguf",
                 2_500_000_000, 4.0e9, "Apache-2.0", _BILINGUAL, 40_960, 36, 8, 128),
    CatalogEntry("qwen3-8b", "Qwen/Qwen3-8B-GGUF", "Qwen3-8B-Q4_K_M.gguf",
                 5_030_000_000, 8.2e9, "Apache-2.0", _BILINGUAL, 40_960, 36, 8, 128),
    CatalogEntry("qwen3-14b", "Qwen/Qwen3-14B-GGUF", "Qwen3-14B-Q4_K_M.gguf",
                 9_000_000_000, 14.8e9, "Apache-2.0", _BILINGUAL, 40_960, 40, 8, 128),
    CatalogEntry("qwen3-30b-a3b", "Qwen/Qwen3-30B-A3B-GGUF", "Qwen3-30B-A3B-Q4_K_M.gguf",
                 18_600_000_000, 30.5e9, "Apache-2.0", _BILINGUAL, 40_960, 48, 4, 128),
    CatalogEntry("llama-3.2-3b", "bartowski/Llama-3.2-3B-Instruct-GGUF", "Llama-3.2-3B-Instruct-Q4_K_M.gguf",
                 2_020_000_000, 3.2e9, "Llama 3.2 Community", ("en",), 131_072, 28, 8, 128),
    CatalogEntry("gemma-3-4b", "ggml-org/gemma-3-4b-it-GGUF", "gemma-3-4b-it-Q4_K_M.gguf",
                 2_490_000_000, 3.9e9, "Gemma", _BILINGUAL, 131_072, 34, 4, 256),
    CatalogEntry("phi-4-mini", "bartowski/microsoft_Phi-4-mini-instruct-GGUF",
                 "microsoft_Phi-4-mini-instruct-Q4_K_M.gguf",
                 2_490_000_000, 3.8e9, "MIT", _BILINGUAL, 131_072, 32, 8, 128),
)
# fmt: on


def find_entry(name: str) -> CatalogEntry:
    """The entry of that name, upper or lower case. Raises ModelNotFoundError with the names that there are."""
    for entry in CATALOG:
        if entry.name == name.lower():
            return entry
    names = ", ".join(entry.name for entry in CATALOG)
    raise ModelNotFoundError(
        Bilingual(
            en=f"{name!r} is neither a file nor a name in the catalogue. Give the path of a GGUF or one of: {names}.",
            zh=f"{name!r} 既不是文件，也不在模型目录中。请给出 GGUF 文件的路径，或以下名称之一：{names}。",
        )
    )


def find_encoder(name: str) -> EncoderEntry | None:
    """The sentence encoder of that name, None where there is none."""
    return next((entry for entry in ENCODERS if name.lower() in (entry.name, entry.repository.lower())), None)


def kv_cache_bytes(n_ctx: int, n_layers: int, n_kv_heads: int, head_size: int, value_bytes: int = F16_BYTES) -> int:
    """Bytes of keys and values: two vectors of every kv head in every layer for every token of the context."""
    return 2 * n_ctx * n_layers * n_kv_heads * head_size * value_bytes


def estimate_entry(entry: CatalogEntry, n_ctx: int, available: int | None = None) -> MemoryEstimate:
    """What a model of the catalogue would take, before it is downloaded; `available` in bytes, None: measured now."""
    if not entry.n_layers:
        # The shape of a model outside the catalogue is in its file: until then, that of its nearest in size.
        near = min(CATALOG, key=lambda known: abs(known.file_bytes - entry.file_bytes))
        return _estimate(entry.file_bytes, estimate_entry(near, n_ctx, available).kv_cache, available)
    context = min(n_ctx, entry.n_ctx_train)
    cache = kv_cache_bytes(context, entry.n_layers, entry.n_kv_heads, entry.head_size)
    return _estimate(entry.file_bytes, cache, available)


def estimate_file(header: GgufHeader, n_ctx: int, available: int | None = None) -> MemoryEstimate:
    """The same for a file that is there, from its own header."""
    heads = header.of_architecture("attention.head_count", 1)
    head_size = header.of_architecture("attention.key_length") or header.of_architecture("embedding_length") // heads
    cache = kv_cache_bytes(
        min(n_ctx, header.of_architecture("context_length", n_ctx)),
        header.of_architecture("block_count"),
        header.of_architecture("attention.head_count_kv", heads),
        head_size,
    )
    return _estimate(header.file_size, cache, available)


def recommended(
    n_ctx: int, language: str = "en", available: int | None = None, largest: float = math.inf
) -> CatalogEntry | None:
    """The largest model that fits comfortably, has at most `largest` bytes and writes `language`; None if none does."""
    fitting = [
        entry
        for entry in CATALOG
        if language in entry.languages
        and entry.file_bytes <= largest
        and estimate_entry(entry, n_ctx, available).fit == "fits"
    ]
    return max(fitting, key=lambda entry: entry.parameters, default=None)


def downloaded(entry: CatalogEntry, models: Path) -> Path | None:
    """Where the model lies in the folder of models; None where it was not downloaded."""
    path = models / entry.name / entry.file
    return path if path.is_file() else None


def _estimate(weights: int, cache: int, available: int | None) -> MemoryEstimate:
    free = psutil.virtual_memory().available if available is None else available
    needed = weights + cache + OVERHEAD_BYTES
    fit: Fit = "fits" if needed <= COMFORTABLE * free else "tight" if needed <= free else "no"
    return MemoryEstimate(weights, cache, free, fit)
