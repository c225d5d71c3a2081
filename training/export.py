"""An adapter as a GGUF file that llama.cpp loads onto the running base."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.adapters import BASE_HASH_KEY
from training.gguf_model import GgufModel
from training.lora import LoraWeights

# Our own keys beside the base's hash: what an adapter was made for and from.
BASE_NAME = "fourfold.base.name"
DATA_SHA256 = "fourfold.data.sha256"
TEMPLATE_SHA256 = "fourfold.template.sha256"
EXAM = "fourfold.exam"


@dataclass(frozen=True)
class AdapterOrigin:
    """What is written into the adapter besides its weights; `exam` is a short JSON text."""

    name: str
    data_sha256: str = ""
    exam: str = ""


def write_adapter(path: Path, weights: LoraWeights, base: GgufModel, origin: AdapterOrigin) -> None:
    """Write the adapter beside `path`, then rename it into place. Tensors are float16."""
    from gguf import GGUFWriter

    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    writer = GGUFWriter(beside, base.architecture)
    writer.add_type("adapter")
    writer.add_name(origin.name)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", weights.alpha)
    for key, value in (
        (BASE_HASH_KEY, base.sha256),
        (BASE_NAME, base.name),
        (TEMPLATE_SHA256, base.template_sha256),
        (DATA_SHA256, origin.data_sha256),
        (EXAM, origin.exam),
    ):
        if value:
            writer.add_string(key, value)
    for tensor in weights.a:
        writer.add_tensor(f"{tensor}.lora_a", weights.a[tensor].astype(np.float16))
        writer.add_tensor(f"{tensor}.lora_b", _for_gguf(tensor, weights.b[tensor], base).astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    beside.replace(path)


def permuted_rows(b: NDArray[np.float32], n_heads: int) -> NDArray[np.float32]:
    """The rows of q or k (out, r) from PyTorch's order of a head's rotary halves to llama.cpp's neighbouring pairs."""
    out, rank = b.shape
    return b.reshape(n_heads, 2, out // n_heads // 2, rank).swapaxes(1, 2).reshape(out, rank)


def _for_gguf(tensor: str, b: NDArray[np.float32], base: GgufModel) -> NDArray[np.float32]:
    if not base.permutes_heads:
        return b
    if tensor.endswith("attn_q.weight"):
        return permuted_rows(b, base.n_heads)
    if tensor.endswith("attn_k.weight"):
        return permuted_rows(b, base.n_heads_kv)
    return b
