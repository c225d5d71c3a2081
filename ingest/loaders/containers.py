"""Opening ZIP containers (office files, books, archives) under limits, and XML without entities or network."""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from lxml import etree

from ingest import reasons
from ingest.types import Source

MAX_ENTRIES = 2_000
MAX_RATIO = 100
MAX_TOTAL_BYTES = 500 * 1024 * 1024
# Small files of zeros compress a thousandfold and harm nobody.
RATIO_APPLIES_FROM = 8 * 1024 * 1024
_PIECE = 1 << 16
_LOCAL_HEADER = b"PK\x03\x04"


class Container:
    """A ZIP file read into memory entry by entry. Names stay text and never become paths."""

    def __init__(self, source: Source) -> None:
        self._name = source.name
        self._spent = 0
        try:
            self._zip: zipfile.ZipFile | None = zipfile.ZipFile(io.BytesIO(source.data))
            self._salvaged: dict[str, bytes] = {}
            self.names = [info.filename for info in self._zip.infolist() if not info.is_dir()]
        except (zipfile.BadZipFile, ValueError, OSError, struct.error, NotImplementedError):
            self._zip = None
            self._salvaged = _salvage(source.data)
            self.names = list(self._salvaged)
        if not self.names:
            raise reasons.damaged(source.name, "not a readable ZIP container")
        if len(self.names) > MAX_ENTRIES:
            raise reasons.too_large(source.name, reasons.UNPACKS_TOO_LARGE)

    @property
    def is_salvaged(self) -> bool:
        """Whether the directory of the file was broken and the entries were found one by one."""
        return self._zip is None

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def read(self, name: str) -> bytes:
        """The bytes of one entry; empty where its data is broken. Raises DocumentTooLargeError past the limits."""
        if self._zip is None:
            return self._salvaged.get(name, b"")
        try:
            info = self._zip.getinfo(name)
        except KeyError:
            return b""
        if info.flag_bits & 0x1:
            raise reasons.encrypted(self._name)
        data = self._read_limited(info)
        self._spent += len(data)
        return data

    def _read_limited(self, info: zipfile.ZipInfo) -> bytes:
        """What the directory says of the size may be a lie, so the stream itself is counted."""
        left = MAX_TOTAL_BYTES - self._spent
        allowed = min(left, max(RATIO_APPLIES_FROM, info.compress_size * MAX_RATIO))
        pieces: list[bytes] = []
        size = 0
        for piece in self._pieces(info):
            pieces.append(piece)
            size += len(piece)
            if size > allowed:
                raise reasons.too_large(self._name, reasons.UNPACKS_TOO_LARGE)
        return b"".join(pieces)

    def _pieces(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        try:
            with self._zip.open(info) as stream:  # type: ignore[union-attr]
                while piece := stream.read(_PIECE):
                    yield piece
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError):
            # A checksum at the end that does not fit: what came before it is still text.
            return

    def xml(self, name: str) -> Any:
        """The root element of an entry, or None where it is absent or empty. Broken XML is read as far as it goes."""
        data = self.read(name)
        return parse_xml(data) if data.strip() else None


def parse_xml(data: bytes) -> Any:
    """The root element, or None. No entity is expanded, no DTD loaded, nothing fetched."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, recover=True, huge_tree=False, remove_comments=True
    )
    try:
        return etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None


def local_name(element: Any) -> str:
    """The tag without its namespace, so that strict and transitional office files read alike."""
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def attribute(element: Any, name: str) -> str:
    """The value of an attribute in any namespace; empty where it is absent."""
    for key, value in element.attrib.items():
        if key == name or key.endswith("}" + name):
            return str(value)
    return ""


def local_names(data: bytes) -> set[str]:
    """The names in the local headers of a ZIP whose directory is broken."""
    return set(_salvage(data))


def _salvage(data: bytes) -> dict[str, bytes]:
    """Entries found by their local headers, for files whose directory is broken or cut off."""
    found: dict[str, bytes] = {}
    total = 0
    for match in re.finditer(re.escape(_LOCAL_HEADER), data):
        entry = _salvage_entry(data, match.start())
        if entry is None:
            continue
        name, content = entry
        total += len(content)
        if total > MAX_TOTAL_BYTES or len(found) >= MAX_ENTRIES:
            break
        found.setdefault(name, content)
    return found


def _salvage_entry(data: bytes, offset: int) -> tuple[str, bytes] | None:
    header = data[offset : offset + 30]
    if len(header) < 30:
        return None
    method, packed, name_length, extra_length = (
        int.from_bytes(header[8:10], "little"),
        int.from_bytes(header[18:22], "little"),
        int.from_bytes(header[26:28], "little"),
        int.from_bytes(header[28:30], "little"),
    )
    begin = offset + 30 + name_length + extra_length
    name = data[offset + 30 : offset + 30 + name_length].decode("utf-8", "replace")
    if not name or begin > len(data):
        return None
    if method == 0:
        return name, data[begin : begin + packed]
    try:
        return name, zlib.decompressobj(-15).decompress(data[begin:], RATIO_APPLIES_FROM * 4)
    except zlib.error:
        return None
