"""The adapters on this machine: those that come with the program and those that were trained or imported.

An adapter is a folder of its own: `adapter.gguf` (the weights, which name the base they belong to) and `card.json`
(what it was made from, how, and how it did in its exam). It is written beside and renamed into place, so half of one
never shows.
"""

import json
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.config import Settings
from core.errors import ModelLoadError, TrainingError
from core.language import Bilingual
from core.paths import bundled_adapters
from inference.adapters import ADAPTER_FILE, BASE_HASH_KEY, check_adapter
from inference.gguf_file import GgufHeader, read_gguf_header
from training.export import BASE_NAME
from training.gguf_model import file_sha256

CARD_FILE = "card.json"
GROUNDED = "grounded"
# The one that fills in the forms of tools; both are taken without being asked for.
TOOLS = "tools"
_NAME = re.compile(r"[\w][\w.\- ]{0,63}")


@dataclass(frozen=True)
class AdapterCard:
    """What an adapter is: free to read, written once. `exam` holds the tables of `training.exam`."""

    name: str
    task: str = ""
    base_name: str = ""
    base_sha256: str = ""
    data_sha256: str = ""
    template_sha256: str = ""
    created: str = ""
    examples: int = 0
    recipe: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    exam: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Adapter:
    """An adapter in its folder. `bundled` ones came with the program and cannot be deleted."""

    name: str
    path: Path
    base_sha256: str
    base_name: str
    architecture: str
    card: AdapterCard
    bundled: bool = False

    def fits(self, base_sha256: str) -> bool:
        """Whether it was trained on the base with this hash; one that names no base fits any, at its own risk."""
        return not self.base_sha256 or self.base_sha256 == base_sha256


def bundled() -> Path:
    """The folder of the adapters that come with the program: one folder each, as in the data folder."""
    return bundled_adapters()


def chosen_for(name: str, settings: Settings, base_sha256: str) -> str:
    """`name` where there is an adapter so called that names just this base, else empty."""
    found = AdapterLibrary(settings).list() if base_sha256 else ()
    return name if any(item.name == name and item.base_sha256 == base_sha256 for item in found) else ""


def checked_name(name: str) -> str:
    """Return `name` where it can be the name of a folder. Raises TrainingError."""
    if not _NAME.fullmatch(name):
        raise TrainingError(
            Bilingual(
                en=f"{name!r} cannot name an adapter: use letters, digits, spaces, '.', '-', '_' (at most 64).",
                zh=f"{name!r} 不能作为适配器名称：请使用字母、数字、空格、“.”、“-”、“_”，最多 64 个字符。",
            )
        )
    return name


class AdapterLibrary:
    """Lists, reads, imports and deletes adapters."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.paths.adapters

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where adapters are looked for; the user's own come first."""
        return self._folder, bundled()

    def list(self) -> tuple[Adapter, ...]:
        """All adapters by name; a damaged one is left out, one of the user's hides a bundled namesake."""
        found: dict[str, Adapter] = {}
        for folder in self.folders:
            for path in sorted(folder.glob(f"*/{ADAPTER_FILE}")):
                if path.parent.name.startswith(".") or path.parent.name in found:
                    continue
                try:
                    found[path.parent.name] = self._read(path)
                except ModelLoadError:
                    continue
        return tuple(found[name] for name in sorted(found))

    def get(self, name: str) -> Adapter:
        """The adapter of that name. Raises TrainingError where there is none, ModelLoadError where it is damaged."""
        for folder in self.folders:
            path = folder / checked_name(name) / ADAPTER_FILE
            if path.is_file():
                return self._read(path)
        known = ", ".join(adapter.name for adapter in self.list()) or "-"
        raise TrainingError(
            Bilingual(
                en=f"There is no adapter named {name!r}. Those here: {known}.",
                zh=f"没有名为 {name!r} 的适配器。现有：{known}。",
            )
        )

    def delete(self, name: str) -> None:
        """Remove the adapter and everything in its folder. Raises TrainingError for one that came with the program."""
        adapter = self.get(name)
        if adapter.bundled:
            raise TrainingError(
                Bilingual(
                    en=f"The adapter {name!r} comes with the program and stays. Simply do not choose it.",
                    zh=f"适配器 {name!r} 随程序提供，不能删除；不选用即可。",
                )
            )
        # Renamed first: whatever interrupts the rest, the adapter is gone.
        gone = self._folder / f".{name}.deleted"
        shutil.rmtree(gone, ignore_errors=True)
        adapter.path.parent.rename(gone)
        shutil.rmtree(gone)

    def add(self, weights: Path, card: AdapterCard) -> Adapter:
        """Take `weights` (moved) and its card into the library under the card's name, in place of a namesake."""
        folder = self._folder / checked_name(card.name)
        beside = self._folder / f".{card.name}.new"
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        shutil.move(weights, beside / ADAPTER_FILE)
        (beside / CARD_FILE).write_text(json.dumps(asdict(card), ensure_ascii=False, indent=1), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
        return self._read(folder / ADAPTER_FILE)

    def import_gguf(self, path: Path, name: str, base: Path) -> Adapter:
        """Copy a foreign GGUF adapter in, after checking it against the header and the hash of `base`.

        Raises ModelLoadError with the reason where it is no adapter, is damaged, or belongs to another base.
        """
        sha256 = file_sha256(base)
        base_header = read_gguf_header(base)
        check_adapter(path, base_header, sha256)
        self._folder.mkdir(parents=True, exist_ok=True)
        copy = self._folder / f".{checked_name(name)}.copy"
        shutil.copyfile(path, copy)
        base_name = str(base_header.metadata.get("general.name", base.stem))
        return self.add(copy, AdapterCard(name, task="imported", base_name=base_name, base_sha256=sha256))

    def _read(self, path: Path) -> Adapter:
        header = read_gguf_header(path)
        card = _read_card(path.parent / CARD_FILE, path.parent.name)
        return Adapter(
            name=path.parent.name,
            path=path,
            base_sha256=_text(header, BASE_HASH_KEY) or card.base_sha256,
            base_name=_text(header, BASE_NAME) or card.base_name,
            architecture=header.architecture,
            card=card,
            bundled=path.parent.parent == bundled(),
        )


def _text(header: GgufHeader, key: str) -> str:
    return str(header.metadata.get(key, ""))


def _read_card(path: Path, name: str) -> AdapterCard:
    """The card beside an adapter; a plain one where it is absent or of another make."""
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        return AdapterCard(**{**row, "name": name})
    except (OSError, ValueError, TypeError):
        return AdapterCard(name)
