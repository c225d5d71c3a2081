"""Archives, opened under limits: what they hold is read in memory, nothing is ever written to a path they name."""

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from core.errors import DocumentTooLargeError
from core.language import Bilingual
from core.types import Page
from ingest import reasons
from ingest.loaders.containers import MAX_ENTRIES, MAX_TOTAL_BYTES, Container
from ingest.loaders.mail import read_attachment
from ingest.loaders.packed import RAR, SEVEN_ZIP, packed_entries
from ingest.loaders.registry import KIND_OF_SUFFIX, KNOWN_SUFFIXES
from ingest.types import Parsed, Source

_OPENERS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)
_MAX_TOLD = 20
# Where Word, PowerPoint and Excel keep what was inserted as an object.
_OBJECTS = "/embeddings/"


def load_archive(source: Source) -> Parsed:
    """The files inside as pages under their names; archives within archives are opened once, then no more."""
    return _read_all(source, _entries(source))


def load_objects(source: Source) -> Parsed:
    """The documents that an office file holds as objects (a workbook on a slide), as pages under their names."""
    container = Container(source)
    inside = [name for name in container.names if _OBJECTS in name and _is_wanted(name)]
    return _read_all(source, ((name.rpartition("/")[2], container.read(name)) for name in inside))


def _read_all(source: Source, entries: Iterator[tuple[str, bytes]]) -> Parsed:
    pages: list[Page] = []
    warnings: list[Bilingual] = []
    for name, data in entries:
        if KIND_OF_SUFFIX.get(name.rpartition(".")[2].lower()) == "picture":
            # Pictures in an archive are seldom pages of text, and hundreds of them would eat the time for the rest.
            continue
        if _is_nested(name) and source.depth >= 1:
            warnings.append(Bilingual(f"{name}: an archive in an archive is not opened", f"{name}：不打开嵌套的压缩包"))
            continue
        found, told = read_attachment(source, name, data, len(pages))
        pages.extend(found)
        warnings.extend(told)
    named = tuple(Page(f"# {page.label}\n\n{page.text}", page.number, page.label) for page in pages)
    return Parsed(
        named,
        "",
        "application/zip",
        "markdown",
        {"files": len(named)},
        tuple(warnings[:_MAX_TOLD]),
        incomplete=bool(warnings),
    )


def load_compressed(source: Source) -> Parsed:
    """GZ, BZ2, XZ: one file (or a TAR) behind one layer."""
    from ingest.loaders import registry

    opener = _OPENERS[source.data[:2]]
    try:
        with opener(io.BytesIO(source.data)) as stream:
            data = bytes(stream.read(MAX_TOTAL_BYTES + 1))
    except _BROKEN as error:
        raise reasons.damaged(source.name, str(error)) from error
    if len(data) > MAX_TOTAL_BYTES:
        raise reasons.too_large(source.name, reasons.UNPACKS_TOO_LARGE)
    base = source.name.rpartition(".")[0] or source.name
    name = base if source.suffix != "tgz" else base + ".tar"
    return registry.load(Source(name, data, source.password, source.depth + 1))


def _entries(source: Source) -> Iterator[tuple[str, bytes]]:
    if source.data[257:262] == b"ustar":
        yield from _tar_entries(source)
        return
    if source.data.startswith((SEVEN_ZIP, RAR)):
        yield from packed_entries(source, _is_wanted)
        return
    container = Container(source)
    for name in container.names:
        if _is_wanted(name):
            yield _legible(name), container.read(name)


def _tar_entries(source: Source) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(fileobj=io.BytesIO(source.data), mode="r:") as archive:
            # Regular files only: links and devices are how an archive reaches outside itself.
            wanted = (member for member in _members(source, archive) if member.isfile() and _is_wanted(member.name))
            for member in wanted:
                stream = archive.extractfile(member)
                yield member.name, stream.read(MAX_TOTAL_BYTES) if stream else b""
    except DocumentTooLargeError:
        raise
    except (*_BROKEN, tarfile.TarError) as error:
        raise reasons.damaged(source.name, str(error)) from error


def _members(source: Source, archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for count, member in enumerate(archive):
        if count >= MAX_ENTRIES:
            raise reasons.too_large(source.name, reasons.UNPACKS_TOO_LARGE)
        yield member


def _is_wanted(name: str) -> bool:
    """Files of a kind that is read, without the droppings of operating systems."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    suffix = base.rpartition(".")[2].lower()
    return not base.startswith(".") and "__MACOSX" not in name and (suffix in KNOWN_SUFFIXES or "." not in base)


def _is_nested(name: str) -> bool:
    return name.lower().endswith((".zip", ".tar", ".tgz", ".gz", ".7z", ".rar", ".xz", ".bz2"))


def _legible(name: str) -> str:
    """Old archives hold names in the code page of their author, which the ZIP format cannot tell."""
    try:
        raw = name.encode("cp437")
    except UnicodeEncodeError:
        return name
    if raw.isascii():
        return name
    from ingest.loaders.encoding import decode

    return decode(raw).text
