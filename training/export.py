"""An adapter as a GGUF file that llama.cpp loads onto the running base, and back."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.adapters import BASE_HASH_KEY, check_adapter
from inference.gguf_file import read_gguf_header
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


def read_adapter(path: Path, base: GgufModel) -> LoraWeights:
    """What `write_adapter` wrote, in PyTorch's order again: to go on training from it.

    Raises ModelLoadError where the file does not belong to `base`.
    """
    from gguf import GGUFReader

    header = check_adapter(path, read_gguf_header(base.path), base.sha256)
    sides: dict[str, dict[str, NDArray[np.float32]]] = {"a": {}, "b": {}}
    for tensor in GGUFReader(path).tensors:
        name, _, side = tensor.name.rpartition(".lora_")
        matrix = np.array(tensor.data, dtype=np.float32)
        sides[side][name] = matrix if side == "a" else _for_torch(name, matrix, base)
    rank = next(iter(sides["a"].values())).shape[0]
    return LoraWeights(rank, float(header.metadata["adapter.lora.alpha"]), sides["a"], sides["b"])


def permuted_rows(b: NDArray[np.float32], n_heads: int) -> NDArray[np.float32]:
    """The rows of q or k (out, r) from PyTorch's order of a head's rotary halves to llama.cpp's neighbouring pairs."""
    out, rank = b.shape
    return b.reshape(n_heads, 2, out // n_heads // 2, rank).swapaxes(1, 2).reshape(out, rank)


def original_rows(b: NDArray[np.float32], n_heads: int) -> NDArray[np.float32]:
    """The inverse of `permuted_rows`."""
    out, rank = b.shape
    return b.reshape(n_heads, out // n_heads // 2, 2, rank).swapaxes(1, 2).reshape(out, rank)


def _for_gguf(tensor: str, b: NDArray[np.float32], base: GgufModel) -> NDArray[np.float32]:
    heads = _permuted_heads(tensor, base)
    return permuted_rows(b, heads) if heads else b


def _for_torch(tensor: str, b: NDArray[np.float32], base: GgufModel) -> NDArray[np.float32]:
    heads = _permuted_heads(tensor, base)
    return original_rows(b, heads) if heads else b


def _permuted_heads(tensor: str, base: GgufModel) -> int:
    """The number of heads whose rows stand in another order in the file; 0 where none do."""
    if not base.permutes_heads:
        return 0
    if tensor.endswith("attn_q.weight"):
        return base.n_heads
    return base.n_heads_kv if tensor.endswith("attn_k.weight") else 0
