"""What to take from a repository of a hub: one GGUF of several, or the files of a sentence encoder."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from core.errors import ModelNotFoundError
from core.language import Bilingual
from inference.catalog import CatalogEntry, find_entry
from inference.hub import Hub, RemoteFile, Repository

# `owner/name`, with the wanted quantisation behind a colon: Qwen/Qwen3-4B-GGUF:Q4_K_M.
_REPOSITORY = re.compile(r"([\w][\w.\-]*/[\w][\w.\-]*)(?::([\w.\-]+))?")
# The usual best bargain first.
PREFERRED = ("Q4_K_M", "Q8_0", "Q5_K_M", "Q4_0", "Q6_K")
_NOT_A_MODEL = re.compile(r"mmproj|-\d{5}-of-\d{5}|imatrix", re.IGNORECASE)
_ENCODER_FILES = (".json", ".txt", ".safetensors", ".model")
_ENCODER_SKIPPED = ("onnx/", "openvino/", "original/")


def is_repository(name: str) -> bool:
    """Whether `name` has the form owner/name or owner/name:quantisation."""
    return _REPOSITORY.fullmatch(name) is not None


def folder_name(repository: str) -> str:
    """The folder of a repository among the models: one path component."""
    return repository.replace("/", "--")


def entry_of_repository(name: str, hub: Hub) -> CatalogEntry:
    """An entry like those of the catalogue for `owner/name[:quantisation]`, from what the hub says.

    Its layers are unknown before the download: `estimate_entry` then compares with the nearest in size.
    """
    match = _REPOSITORY.fullmatch(name)
    if match is None:
        return find_entry(name)
    found = hub.look(match[1])
    file = best_file(found, match[2] or "")
    return CatalogEntry(
        name=folder_name(match[1]),
        repository=match[1],
        file=file.path,
        file_bytes=file.size,
        parameters=0,
        licence=found.licence,
        languages=found.languages or ("en",),
        n_ctx_train=0,
        n_layers=0,
        n_kv_heads=0,
        head_size=0,
    )


def best_file(repository: Repository, quantisation: str = "") -> RemoteFile:
    """The GGUF of that quantisation, or the usual choice among several. Raises ModelNotFoundError."""
    files = [file for file in repository.files if file.path.endswith(".gguf") and not _NOT_A_MODEL.search(file.path)]
    for wanted in [quantisation] if quantisation else PREFERRED:
        chosen = [file for file in files if wanted.lower() in PurePosixPath(file.path).name.lower()]
        if chosen:
            return min(chosen, key=lambda file: len(file.path))
    if files and not quantisation:
        return min(files, key=lambda file: file.size)
    raise _nothing(repository.name, [file.path for file in files])


def file_of(repository: Repository, path: str) -> RemoteFile:
    """The file of that path. Raises ModelNotFoundError with what there is."""
    for file in repository.files:
        if file.path == path:
            return file
    raise _nothing(repository.name, [file.path for file in repository.files if file.path.endswith(".gguf")])


def encoder_files(repository: Repository) -> list[RemoteFile]:
    """What sentence-transformers reads, without other runtimes' copies of the weights. Raises ModelNotFoundError."""
    files = [
        file
        for file in repository.files
        if file.path.endswith(_ENCODER_FILES) and not file.path.startswith(_ENCODER_SKIPPED)
    ]
    if not any(file.path == "modules.json" for file in files):
        raise _nothing(repository.name, [file.path for file in repository.files][:10])
    return files


def _nothing(repository: str, found: Sequence[str]) -> ModelNotFoundError:
    names = ", ".join(found[:20]) or "-"
    return ModelNotFoundError(
        Bilingual(
            en=f"{repository} holds no such model file; it has: {names}. Choose one with {repository}:QUANTISATION.",
            zh=f"{repository} 中没有所需的模型文件；现有：{names}。可用 {repository}:量化类型 指定。",
        )
    )
