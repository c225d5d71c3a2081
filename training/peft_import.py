"""A LoRA folder of the library peft, taken into the library as a GGUF adapter.

What llama.cpp's format has no room for is refused with its name: rank-stabilised scaling, DoRA, saved embeddings.
"""

import json
import re
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from core.errors import ModelLoadError, TrainingError
from core.language import Bilingual
from inference.adapters import check_adapter
from inference.gguf_file import read_gguf_header
from training.adapters import Adapter, AdapterCard, AdapterLibrary, checked_name
from training.export import AdapterOrigin, write_adapter
from training.gguf_model import GgufModel, check_trainable
from training.lora import LINEARS, LoraWeights

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
_TENSOR = re.compile(r"layers\.(\d+)\.(\w+\.\w+)\.lora_([AB])\.(?:default\.)?weight$")
_UNKNOWN = ("use_rslora", "use_dora", "modules_to_save", "rank_pattern", "alpha_pattern")


def import_peft(library: AdapterLibrary, folder: Path, name: str, base: GgufModel) -> Adapter:
    """Convert and check against `base`. Raises TrainingError or ModelLoadError with the reason."""
    check_trainable(base)
    weights = read_peft(folder)
    staged = folder_for(library) / f".{checked_name(name)}.gguf"
    write_adapter(staged, weights, base, AdapterOrigin(name))
    try:
        check_adapter(staged, read_gguf_header(base.path), base.sha256)
    except ModelLoadError:
        staged.unlink()
        raise
    card = AdapterCard(name, task="imported", base_name=base.name, base_sha256=base.sha256)
    return library.add(staged, card)


def read_peft(folder: Path) -> LoraWeights:
    """The matrices of a peft folder by GGUF tensor name. Raises TrainingError where it is something else."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        config: dict[str, Any] = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS_FILE)
        rank, alpha = int(config["r"]), float(config["lora_alpha"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        _refuse(folder, f"{CONFIG_FILE} or {WEIGHTS_FILE} cannot be read ({error})")
    special = [key for key in _UNKNOWN if config.get(key)]
    if special:
        _refuse(folder, f"it uses {', '.join(special)}, which a GGUF adapter cannot express")
    sides: dict[str, dict[str, NDArray[np.float32]]] = {"A": {}, "B": {}}
    for key, matrix in tensors.items():
        match = _TENSOR.search(key)
        if match is None or match.group(2) not in LINEARS:
            _refuse(folder, f"it changes {key}, which is no linear layer of a block")
        tensor = f"blk.{match.group(1)}.{LINEARS[match.group(2)]}.weight"
        sides[match.group(3)][tensor] = matrix.astype(np.float32)
    if not sides["A"] or sides["A"].keys() != sides["B"].keys():
        _refuse(folder, "its A and B matrices do not pair up")
    return LoraWeights(rank, alpha, sides["A"], sides["B"])


def folder_for(library: AdapterLibrary) -> Path:
    """The user's folder of adapters, made where it is absent."""
    folder = library.folders[0]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _refuse(folder: Path, reason: str) -> NoReturn:
    raise TrainingError(
        Bilingual(
            en=f"The adapter in {folder} cannot be taken in: {reason}.",
            zh=f"无法导入 {folder} 中的适配器：{reason}。",
        )
    )
