"""Chat models and sentence encoders from a hub into the folder of models: continued, checked by SHA-256."""

import hashlib
import re
from pathlib import Path

from core.config import Settings
from core.errors import ModelLoadError
from core.language import Bilingual
from inference.catalog import CatalogEntry, EncoderEntry
from inference.gguf_file import read_gguf_header
from inference.hub import Hub, RemoteFile, hub_of
from inference.repositories import encoder_files, file_of

_SHA256 = re.compile(r"[0-9a-f]{64}")


def download(entry: CatalogEntry, settings: Settings) -> Path:
    """Fetch the model into the folder of models and return its path; what was begun before is continued.

    Raises SettingError when offline, ModelNotFoundError and ModelError where the hub has it not or does not answer,
    ModelLoadError when what came is not what the hub promised.
    """
    hub = hub_of(settings)
    promised = file_of(hub.look(entry.repository), entry.file)
    path = _fetched(hub, entry.repository, promised, settings.paths.models / entry.name)
    read_gguf_header(path)
    return path


def download_encoder(entry: EncoderEntry, settings: Settings) -> Path:
    """Fetch a sentence encoder's folder, weights in safetensors only; raises as `download` does."""
    hub = hub_of(settings)
    folder = settings.paths.models / entry.name
    for file in encoder_files(hub.look(entry.repository)):
        _fetched(hub, entry.repository, file, folder)
    return folder


def _fetched(hub: Hub, repository: str, file: RemoteFile, folder: Path) -> Path:
    path = hub.fetch(repository, file, folder)
    check_download(path, file.sha256)
    return path


def check_download(path: Path, promised: str) -> None:
    """Compare with the SHA-256 that the hub keeps for large files. Raises ModelLoadError.

    A damaged file is deleted: the next download must not continue it.
    """
    if not _SHA256.fullmatch(promised):
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != promised:
        path.unlink()
        raise ModelLoadError(
            Bilingual(
                en=f"{path.name} arrived damaged (SHA-256 {found[:12]}…, not {promised[:12]}…). Download it again.",
                zh=f"{path.name} 下载后已损坏（SHA-256 为 {found[:12]}…，应为 {promised[:12]}…）。请重新下载。",
            )
        )
