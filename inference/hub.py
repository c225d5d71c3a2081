"""Where models come from: the Hugging Face hub or a mirror of it (`HF_ENDPOINT`), or ModelScope.

Both give the list of a repository's files with sizes and SHA-256, and continue what was begun. Nothing here is called
without a person asking for a download.
"""

import contextlib
import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from core.config import Settings
from core.errors import ModelError, ModelNotFoundError, SettingError
from core.language import Bilingual

MODELSCOPE = "https://modelscope.cn"
SECONDS = 30.0
PIECE = 1 << 20
# Languages as model cards write them, mapped to those of the application.
_LANGUAGES = {"en": "en", "english": "en", "zh": "zh", "chinese": "zh", "multilingual": "zh"}


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository; `sha256` is empty where the hub does not tell it (small text files)."""

    path: str
    size: int
    sha256: str = ""


@dataclass(frozen=True)
class Repository:
    """What a hub says of a model. `languages` are the application's own among those of the card."""

    name: str
    files: tuple[RemoteFile, ...]
    licence: str = ""
    languages: tuple[str, ...] = ()


class Hub(Protocol):
    """A place to download from. Both methods raise ModelNotFoundError or ModelError."""

    def look(self, repository: str) -> Repository:
        """What the repository holds."""
        ...

    def fetch(self, repository: str, file: RemoteFile, folder: Path) -> Path:
        """Download one file below `folder`, continuing what is there; returns its path, not checked yet."""
        ...


def hub_of(settings: Settings) -> Hub:
    """The hub that the settings name. Raises SettingError when offline."""
    if settings.offline:
        raise SettingError(
            Bilingual(
                en="Fourfold is offline. To look for models or download them, set FOURFOLD_OFFLINE=false for this "
                "command.",
                zh="当前为离线模式。要查找或下载模型，请在此命令前设置 FOURFOLD_OFFLINE=false。",
            )
        )
    return ModelScopeHub() if settings.hub == "modelscope" else HuggingFaceHub()


class HuggingFaceHub:
    """The Hugging Face hub through its own client; the environment's HF_ENDPOINT names a mirror."""

    def look(self, repository: str) -> Repository:
        """What the repository holds."""
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        try:
            info = HfApi().model_info(repository, files_metadata=True)
        except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
            raise _unreachable(repository, error) from error
        files = tuple(
            RemoteFile(found.rfilename, found.size or 0, found.lfs.sha256 if found.lfs else "")
            for found in info.siblings or ()
        )
        card = info.card_data
        licence, languages = getattr(card, "license", None), getattr(card, "language", None)
        return Repository(repository, files, str(licence or ""), _known(languages))

    def fetch(self, repository: str, file: RemoteFile, folder: Path) -> Path:
        """Download one file below `folder`; the client continues what it began."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError

        try:
            return Path(hf_hub_download(repository, file.path, local_dir=folder))
        except (HfHubHTTPError, OSError, ValueError) as error:
            raise _unreachable(repository, error) from error


class ModelScopeHub:
    """ModelScope over its HTTP interface; the environment's MODELSCOPE_ENDPOINT names another address."""

    def __init__(self, endpoint: str = "") -> None:
        self._endpoint = (endpoint or os.environ.get("MODELSCOPE_ENDPOINT") or MODELSCOPE).rstrip("/")

    def look(self, repository: str) -> Repository:
        """What the repository holds; ModelScope's list tells no licence and no languages."""
        path = f"/api/v1/models/{urllib.parse.quote(repository)}/repo/files?Revision=master&Recursive=true"
        try:
            with _open(self._endpoint + path) as response:
                listed = json.loads(response.read())["Data"]["Files"]
            files = [item for item in listed if item.get("Type") != "tree"]
            found = tuple(
                RemoteFile(str(item["Path"]), int(item["Size"]), str(item.get("Sha256") or "")) for item in files
            )
        except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
            raise _unreachable(repository, error) from error
        return Repository(repository, found)

    def fetch(self, repository: str, file: RemoteFile, folder: Path) -> Path:
        """Download one file below `folder`, asking only for the bytes that are missing."""
        target = _inside(folder, file.path)
        if target.is_file():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        begun = target.with_name(f"{target.name}.incomplete")
        address = f"{self._endpoint}/models/{urllib.parse.quote(repository)}/resolve/master/"
        try:
            _continue(address + urllib.parse.quote(file.path), begun, file.size)
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(repository, error) from error
        return begun.replace(target)


def _continue(url: str, begun: Path, size: int) -> None:
    have = begun.stat().st_size if begun.is_file() else 0
    if have >= size > 0:
        return
    with _open(url, {"Range": f"bytes={have}-"} if have else {}) as response:
        # A server that does not know ranges sends everything again.
        _copy(response, begun, "ab" if response.status == http.client.PARTIAL_CONTENT else "wb")
    if size and begun.stat().st_size < size:
        raise ConnectionError(f"the connection ended after {begun.stat().st_size} of {size} bytes")


def _copy(response: Any, target: Path, how: str) -> None:
    with target.open(how) as file:
        while piece := response.read(PIECE):
            file.write(piece)


def _open(url: str, headers: dict[str, str] | None = None) -> Any:
    if not url.startswith(("https://", "http://")):
        raise SettingError(
            Bilingual(
                en=f"MODELSCOPE_ENDPOINT must begin with https://; it gives {url[:80]}.",
                zh=f"MODELSCOPE_ENDPOINT 必须以 https:// 开头；当前为 {url[:80]}。",
            )
        )
    return urllib.request.urlopen(  # noqa: S310 - the scheme was checked
        urllib.request.Request(url, headers={"User-Agent": "fourfold", **(headers or {})}),  # noqa: S310
        timeout=SECONDS,
    )


def _inside(folder: Path, path: str) -> Path:
    """The place of a repository's file below `folder`; a path that leads out of it is refused."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\\" in path:
        raise ModelError(
            Bilingual(
                en=f"The repository names a file outside its folder: {path[:120]!r}. Nothing was downloaded.",
                zh=f"仓库中的文件名指向文件夹之外：{path[:120]!r}。未下载任何内容。",
            )
        )
    return folder.joinpath(*parts.parts)


def _known(languages: Any) -> tuple[str, ...]:
    told = [languages] if isinstance(languages, str) else list(languages or ())
    found = {_LANGUAGES[str(name).lower()] for name in told if str(name).lower() in _LANGUAGES}
    found |= {"en"} if any(str(name).lower() == "multilingual" for name in told) else set()
    return tuple(sorted(found))


def _unreachable(repository: str, error: Exception) -> ModelError:
    status = getattr(error, "code", None)
    with contextlib.suppress(AttributeError):
        status = status or error.response.status_code  # type: ignore[attr-defined]
    if status in (401, 404):
        return ModelNotFoundError(
            Bilingual(
                en=f"There is no model {repository} on this hub, or it wants an account. Check its name.",
                zh=f"此模型站没有 {repository}，或需要登录。请检查名称。",
            )
        )
    return ModelError(
        Bilingual(
            en=f"{repository} could not be downloaded: {error}. Try again (it continues), set HF_ENDPOINT to a mirror, "
            "or set FOURFOLD_HUB=modelscope.",
            zh=f"无法下载 {repository}：{error}。可重试（会续传），或将 HF_ENDPOINT 设为镜像站，"
            "或设置 FOURFOLD_HUB=modelscope。",
        )
    )
