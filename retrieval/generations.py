"""Immutable generations of derived indexes: written beside, synced, checksummed, renamed, then named in SQLite.

A generation is a folder whose manifest is written last and lists the SHA-256 of every file. The row that names it in
the collection's SQLite file is the commit point: what no row names is rubbish, what a row names is whole, or else it
is set aside and made again.
"""

import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.errors import CollectionError
from core.language import Bilingual
from retrieval.store import CollectionStore

MANIFEST = "manifest.json"
_SIGNS_OF_THE_DISK = ("No space left", "IO error", "write error")
_log = logging.getLogger(__name__)


def make_generation(
    store: CollectionStore, kind: str, fill: Callable[[Path], Mapping[str, Any]], known: Mapping[str, str] | None = None
) -> None:
    """Let `fill` write an index into a new folder and return its description, then make it the current generation.

    `known` holds checksums, by file name, of immutable files that were taken over from the generation before. Raises
    CollectionError where the disk is full; the generation before stays, and nothing of the new one.
    """
    name = f"{kind}-{uuid.uuid4().hex[:12]}"
    building = store.folder / f"building-{name}"
    building.mkdir()
    try:
        description = fill(building)
        files = {path.name: (known or {}).get(path.name) or _sha256(path) for path in _files(building)}
        manifest = json.dumps({**description, "files": files}, indent=1)
        (building / MANIFEST).write_text(manifest, encoding="utf-8")
        _sync(building)
    except BaseException as error:
        shutil.rmtree(building, ignore_errors=True)
        if _is_of_the_disk(error):
            raise CollectionError(_describe_disk(store.name, error)) from error
        raise
    building.rename(store.folder / name)
    _sync_folder(store.folder)
    before = store.generation(kind)
    store.set_generation(kind, name)
    _sweep(store.folder, kind, {name, before})


def open_generation(store: CollectionStore, kind: str) -> tuple[Path, dict[str, Any]] | None:
    """The folder and manifest of the current generation, its checksums verified; None where there is none to trust.

    A damaged one is set aside under another name, so that the next writer makes it again.
    """
    name = store.generation(kind)
    if name is None:
        return None
    folder = store.folder / name
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        damaged = [file for file, digest in manifest["files"].items() if _sha256(folder / file) != digest]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        _log.warning("generation %s cannot be read: %s", folder, error)
        damaged = [MANIFEST]
    if damaged:
        _log.warning("generation %s is damaged (%s); it is set aside and will be rebuilt", folder, ", ".join(damaged))
        _set_aside(folder)
        return None
    return folder, manifest


def _is_of_the_disk(error: BaseException) -> bool:
    """Whether the disk is to blame: tantivy says so by a ValueError, FAISS by a RuntimeError."""
    return isinstance(error, OSError) or any(sign in str(error) for sign in _SIGNS_OF_THE_DISK)


def _describe_disk(collection: str, error: BaseException) -> Bilingual:
    return Bilingual(
        en=f"The index of the collection {collection!r} could not be written: {error}. The documents are safe and can "
        "be searched, more slowly. Free some space on the disk; the index follows at the next change.",
        zh=f"无法写入文档集“{collection}”的索引：{error}。文档均已保存，仍可检索，只是较慢。请释放磁盘空间，下次更改时会重建索引。",
    )


def _set_aside(folder: Path) -> None:
    try:
        folder.rename(folder.with_name(f"damaged-{folder.name}-{uuid.uuid4().hex[:6]}"))
    except OSError as error:
        # Another process was faster, or the disk is read-only; in both cases the generation is not used.
        _log.warning("cannot set %s aside: %s", folder, error)


def _files(folder: Path) -> list[Path]:
    # tantivy's lock files are empty and come and go.
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.endswith(".lock"))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    for path in _files(folder):
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(folder: Path, kind: str, kept: set[str | None]) -> None:
    """Delete generations that no row names; the one before stays for readers that are just opening it."""
    for pattern in (f"{kind}-*", f"building-{kind}-*", f"damaged-{kind}-*"):
        for path in folder.glob(pattern):
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)
