"""LoRA adapters by name: found in known folders, checked in Python, switched on the loaded base without a reload."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from core.errors import ModelLoadError, ModelNotFoundError
from core.language import Bilingual
from inference.engine import LoadedModel
from inference.gguf_file import GgufHeader, read_gguf_header

ADAPTER_FILE = "adapter.gguf"
# The SHA-256 of the base that the adapter was trained on; ours write it, foreign files may lack it.
BASE_HASH_KEY = "fourfold.base.sha256"
_NAME = re.compile(r"[\w][\w.\- ]{0,127}")
# In a folder's path it stands for the person who asks; the engine puts that person before the adapter's name.
OWNER = "{owner}"
_OWNER = re.compile(r"[0-9a-f]{32}")


def find_adapter(name: str, folders: Sequence[Path]) -> Path:
    """`<folder>/<name>/adapter.gguf` in the first folder that has it. Raises ModelNotFoundError.

    Of `owner/name` the folders of that owner are looked at (`OWNER` in their paths), and those that are everybody's.
    """
    owner, _, name = name.rpartition("/")
    if owner and not _OWNER.fullmatch(owner):
        folders = ()
    folders = tuple(Path(str(folder).replace(OWNER, owner or OWNER)) for folder in folders)
    # A name is one path component: it may come over the network.
    candidates = [folder / name / ADAPTER_FILE for folder in folders] if _NAME.fullmatch(name) else []
    for path in candidates:
        if path.is_file():
            return path
    places = "-" if owner else ", ".join(str(folder) for folder in folders) or "-"
    raise ModelNotFoundError(
        Bilingual(
            en=f"There is no adapter named {name!r} in {places}. Train it or choose another.",
            zh=f"在 {places} 中没有名为 {name!r} 的适配器。请先训练，或选择其他适配器。",
        )
    )


def check_adapter(path: Path, base: GgufHeader, base_sha256: str = "") -> GgufHeader:
    """Refuse what does not belong to `base`, before llama.cpp sees it. Raises ModelLoadError with the reason."""
    header = read_gguf_header(path)
    if header.metadata.get("general.type") != "adapter" or header.metadata.get("adapter.type") != "lora":
        _refuse(path, "it is not a LoRA adapter", "它不是 LoRA 适配器")
    if header.architecture != base.architecture:
        made = header.architecture
        _refuse(
            path,
            f"it was made for {made}, the model is {base.architecture}",
            f"它适用于 {made}，而模型是 {base.architecture}",
        )
    wanted = str(header.metadata.get(BASE_HASH_KEY, ""))
    if wanted and base_sha256 and wanted != base_sha256:
        _refuse(path, "it was trained on another model file", "它是在另一个模型文件上训练的")
    _check_shapes(path, header, base)
    return header


def _check_shapes(path: Path, header: GgufHeader, base: GgufHeader) -> None:
    known = {tensor.name: tensor.shape for tensor in base.tensors}
    for tensor in header.tensors:
        name, _, side = tensor.name.rpartition(".lora_")
        shape = known.get(name)
        if shape is None or side not in ("a", "b"):
            _refuse(path, f"the model has no place for {tensor.name[:80]}", f"模型中没有 {tensor.name[:80]} 的位置")
        ours, theirs = (shape[0], tensor.shape[0]) if side == "a" else (shape[-1], tensor.shape[-1])
        if ours != theirs:
            _refuse(path, f"{tensor.name[:80]} has another size than the model", f"{tensor.name[:80]} 与模型尺寸不符")


def _refuse(path: Path, reason: str, reason_zh: str) -> NoReturn:
    raise ModelLoadError(
        Bilingual(
            en=f"The adapter {path} cannot be used: {reason}. Choose an adapter trained for this model.",
            zh=f"无法使用适配器 {path}：{reason_zh}。请选择为此模型训练的适配器。",
        )
    )


class AdapterShelf:
    """The adapters that were loaded onto one model, and the one in force."""

    def __init__(self, model: LoadedModel, folders: Sequence[Path], base_sha256: str = "") -> None:
        self._model = model
        self._folders = tuple(folders)
        self._base_sha256 = base_sha256
        self._loaded: dict[tuple[str, int], Any] = {}
        self._active: Any = None

    def activate(self, name: str) -> str:
        """Put the adapter `name` into force, or the base alone where it is empty; tens of microseconds once loaded.

        Returns what tells its KV caches from others': the file and its time of change, empty for the base.
        """
        key = self._load(name) if name else None
        adapter = self._loaded[key] if key else None
        if adapter is not self._active:
            self._model.set_adapter(adapter)
            self._active = adapter
        return f"{key[0]}|{key[1]}" if key else ""

    def _load(self, name: str) -> tuple[str, int]:
        path = find_adapter(name, self._folders)
        # A retrained adapter has the same name and another time of change.
        key = (str(path), path.stat().st_mtime_ns)
        if key not in self._loaded:
            check_adapter(path, self._model.header, self._base_sha256)
            self._loaded[key] = self._model.load_adapter(path)
        return key
