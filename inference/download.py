"""Models from the Hugging Face hub or a mirror of it: resumable, checked by SHA-256, never without being asked."""

import hashlib
import re
from pathlib import Path

from core.config import Settings
from core.errors import ModelError, ModelLoadError, SettingError
from core.language import Bilingual
from inference.catalog import CatalogEntry
from inference.gguf_file import read_gguf_header

_SHA256 = re.compile(r"[0-9a-f]{64}")


def download(entry: CatalogEntry, settings: Settings) -> Path:
    """Fetch the model into the folder of models and return its path; what was begun before is continued.

    The environment's HF_ENDPOINT names a mirror. Raises SettingError when offline, ModelError when the hub does not
    answer, ModelLoadError when what came is not what the hub promised.
    """
    if settings.offline:
        raise SettingError(
            Bilingual(
                en=f"Fourfold is offline. To download {entry.name}, set FOURFOLD_OFFLINE=false for this command.",
                zh=f"当前为离线模式。要下载 {entry.name}，请在此命令前设置 FOURFOLD_OFFLINE=false。",
            )
        )
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    folder = settings.paths.models / entry.name
    try:
        promised = get_hf_file_metadata(hf_hub_url(entry.repository, entry.file)).etag or ""
        path = Path(hf_hub_download(entry.repository, entry.file, local_dir=folder))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            Bilingual(
                en=f"{entry.repository} could not be downloaded: {error}. Try again (it continues), or set HF_ENDPOINT "
                "to a mirror.",
                zh=f"无法下载 {entry.repository}：{error}。可重试（会续传），或将 HF_ENDPOINT 设为镜像站。",
            )
        ) from error
    check_download(path, promised)
    return path


def check_download(path: Path, promised: str) -> None:
    """Compare with the SHA-256 that the hub keeps for large files, and read the header. Raises ModelLoadError.

    A damaged file is deleted: the next download must not continue it.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if _SHA256.fullmatch(promised) and found != promised:
        path.unlink()
        raise ModelLoadError(
            Bilingual(
                en=f"{path.name} arrived damaged (SHA-256 {found[:12]}…, not {promised[:12]}…). Download it again.",
                zh=f"{path.name} 下载后已损坏（SHA-256 为 {found[:12]}…，应为 {promised[:12]}…）。请重新下载。",
            )
        )
    read_gguf_header(path)
