"""What `tune` found for one model on one machine: a folder with the faster copy, if any, and `tuning.json`.

The manifest is written last and renamed into place. A tuning of another machine or library, or one whose copy is gone
or was changed, is not used: the model then runs as it came.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from core.config import Settings
from inference.engine_options import LoadOptions

MANIFEST = "tuning.json"
CPU_FILE = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Tuning:
    """The fastest way to run the model whose file has `model_sha256` on `machine`.

    `copy` is the file name of a requantised copy beside the manifest, `copy_bytes` its size; empty and 0: the model
    runs from its own file. `figures` tells what was measured.
    """

    model_sha256: str
    machine: str
    n_threads: int
    n_batch: int
    flash_attention: bool
    kv_type: str
    copy: str = ""
    copy_bytes: int = 0
    figures: Mapping[str, Any] = field(default_factory=dict)


_TUNING = TypeAdapter(Tuning)


def machine_name() -> str:
    """Processor, number of cores and version of the library: what a measurement of speed holds for."""
    words = [_processor(), str(os.cpu_count()), importlib.metadata.version("llama-cpp-python")]
    return " · ".join(words)


def _processor() -> str:
    try:
        lines = CPU_FILE.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        # Only Linux has this file.
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def tuning_folder(settings: Settings, sha256: str) -> Path:
    """Where the tuning of that model lies; one folder per model and machine, so that a home may be shared."""
    machine = hashlib.sha256(machine_name().encode()).hexdigest()[:8]
    return settings.paths.models / "tuned" / f"{sha256[:16]}-{machine}"


def find_tuning(settings: Settings, sha256: str) -> Tuning | None:
    """The tuning of that model on this machine; None where there is none that can be trusted."""
    folder = tuning_folder(settings, sha256)
    try:
        found = _TUNING.validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        # Absent or damaged: it can be made again.
        return None
    fits = found.model_sha256 == sha256 and found.machine == machine_name()
    return found if fits and _copy_is_there(folder, found) else None


def _copy_is_there(folder: Path, tuning: Tuning) -> bool:
    if not tuning.copy:
        return True
    # A name is one path component, whoever wrote the manifest.
    path = folder / Path(tuning.copy).name
    return path.is_file() and path.stat().st_size == tuning.copy_bytes


def save_tuning(settings: Settings, tuning: Tuning) -> Path:
    """Write the manifest beside the copy; returns its path."""
    folder = tuning_folder(settings, tuning.model_sha256)
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f"{MANIFEST}.new"
    beside.write_text(json.dumps(asdict(tuning), ensure_ascii=False, indent=1), encoding="utf-8")
    return beside.replace(folder / MANIFEST)


def forget_tuning(settings: Settings, sha256: str) -> bool:
    """Undo: delete manifest and copy; false where there was nothing."""
    folder = tuning_folder(settings, sha256)
    if not folder.is_dir():
        return False
    shutil.rmtree(folder)
    return True


def tuned_options(options: LoadOptions, settings: Settings, sha256: str) -> LoadOptions:
    """The options as the tuning of the model has them; a number of threads that the user set stays."""
    tuning = find_tuning(settings, sha256)
    if tuning is None:
        return options
    threads = settings.n_threads or tuning.n_threads
    changed = replace(
        options,
        n_threads=threads,
        n_threads_batch=threads,
        n_batch=tuning.n_batch,
        flash_attention=tuning.flash_attention,
        kv_type=tuning.kv_type,
    )
    if not tuning.copy:
        return changed
    return replace(changed, path=str(tuning_folder(settings, sha256) / tuning.copy), original=options.path)
