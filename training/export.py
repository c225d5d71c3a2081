"""An adapter as a GGUF file that llama.cpp loads onto the running base, and back from one."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import TrainingError
from core.language import Bilingual
from training.gguf_model import GgufModel, read_gguf
from training.lora import LoraWeights

# Our own keys: what an adapter was made for and from.
BASE_SHA256 = "fourfold.base.sha256"
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
        (BASE_SHA256, base.sha256),
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
    os.replace(beside, path)


def permuted_rows(b: NDArray[np.float32], n_heads: int) -> NDArray[np.float32]:
    """The rows of q or k (out, r) from PyTorch's order of a head's rotary halves to llama.cpp's neighbouring pairs."""
    out, rank = b.shape
    return b.reshape(n_heads, 2, out // n_heads // 2, rank).swapaxes(1, 2).reshape(out, rank)


def check_adapter(path: Path, base: GgufModel) -> None:
    """Raise TrainingError where the file is not an adapter for this base: another kind, another base, damaged."""
    fields, _tensors = read_gguf(path)
    if fields.get("general.type") != "adapter" or fields.get("adapter.type") != "lora":
        raise TrainingError(
            Bilingual(
                en=f"{path} is a GGUF file but not a LoRA adapter. Choose a file made by training.",
                zh=f"{path} 是 GGUF 文件，但不是 LoRA 适配器。请选择训练得到的文件。",
            )
        )
    made_for = str(fields.get(BASE_SHA256, ""))
    if fields.get("general.architecture") != base.architecture or (made_for and made_for != base.sha256):
        name = fields.get(BASE_NAME) or fields.get("general.architecture")
        raise TrainingError(
            Bilingual(
                en=f"{path} was trained for another base model ({name}); this one is {base.name}. Load that base first.",
                zh=f"{path} 是为另一个基座模型（{name}）训练的，当前基座是 {base.name}。请先加载对应的基座。",
            )
        )


def adapter_base(path: Path) -> tuple[str, str]:
    """The hash and the name of the base that an adapter file names; empty where it names none."""
    fields, _tensors = read_gguf(path)
    return str(fields.get(BASE_SHA256, "")), str(fields.get(BASE_NAME, ""))


def _for_gguf(tensor: str, b: NDArray[np.float32], base: GgufModel) -> NDArray[np.float32]:
    if not base.permutes_heads:
        return b
    if tensor.endswith("attn_q.weight"):
        return permuted_rows(b, base.n_heads)
    if tensor.endswith("attn_k.weight"):
        return permuted_rows(b, base.n_heads_kv)
    return b
