"""DOC, the Word format of 1997 to 2003 ([MS-DOC]) and, where simple, that of 1995: the text of its piece table."""

import re
import struct

from core.types import Page
from ingest import reasons
from ingest.loaders.compound import opened, read_stream
from ingest.loaders.encoding import decode
from ingest.loaders.office_password import load_encrypted
from ingest.types import Parsed, Source

_MAGIC, _MAGIC_95 = 0xA5EC, 0xA5DC
_ENCRYPTED, _SECOND_TABLE = 0x0100, 0x0200
_WORD_97 = 0x00C1
_CLX_PLACE = 0x01A2
_MAX_PIECES = 200_000
# Inside a field, what stands between 0x13 and 0x14 is its instruction, what follows up to 0x15 its result.
_INSTRUCTION = re.compile(r"\x13[^\x13\x14\x15]*\x14")
_WHOLE_FIELD = re.compile(r"\x13[^\x13\x14\x15]*\x15")


def load_doc(source: Source) -> Parsed:
    """One page. Raises DocumentEncryptedError, or DocumentDamagedError where the tables of the file are broken."""
    with opened(source) as container:
        main = read_stream(container, "WordDocument")
        if len(main) < 0x44:
            raise reasons.damaged(source.name, "its main stream is too short")
        magic, version = struct.unpack_from("<HH", main)
        flags = struct.unpack_from("<H", main, 0x0A)[0]
        if flags & _ENCRYPTED:
            return load_encrypted(source)
        if magic not in (_MAGIC, _MAGIC_95):
            raise reasons.damaged(source.name, "not a Word document")
        table = read_stream(container, "1Table" if flags & _SECOND_TABLE else "0Table")
        text = _from_pieces(main, table) if version >= _WORD_97 else _from_range(main)
    return Parsed((Page(_readable(text)),), "", "application/msword", "plain")


def _from_pieces(main: bytes, table: bytes) -> str:
    """Follow the piece table; every piece is UTF-16 or, compressed, Windows-1252."""
    if len(main) < _CLX_PLACE + 8:
        return _from_range(main)
    start, length = struct.unpack_from("<II", main, _CLX_PLACE)
    pieces = _piece_table(table[start : start + length])
    count = (len(pieces) - 4) // 12
    if not 0 < count <= _MAX_PIECES:
        return _from_range(main)
    ends = struct.unpack_from(f"<{count + 1}I", pieces)
    out = []
    for place in range(count):
        length = ends[place + 1] - ends[place]
        field = struct.unpack_from("<I", pieces, 4 * (count + 1) + 8 * place + 2)[0]
        offset, is_compressed = field & 0x3FFFFFFF, field & 0x40000000
        if length < 0 or length > len(main):
            continue
        if is_compressed:
            out.append(main[offset // 2 : offset // 2 + length].decode("cp1252", "replace"))
        else:
            out.append(main[offset : offset + 2 * length].decode("utf-16-le", "replace"))
    return "".join(out)


def _piece_table(clx: bytes) -> bytes:
    """Skip the property records (type 1) before the piece table (type 2)."""
    place = 0
    while place + 5 <= len(clx):
        if clx[place] == 2:
            length = struct.unpack_from("<I", clx, place + 1)[0]
            return clx[place + 5 : place + 5 + length]
        if clx[place] != 1:
            return b""
        place += 3 + int(struct.unpack_from("<H", clx, place + 1)[0])
    return b""


def _from_range(main: bytes) -> str:
    """Word 95 kept its text in one run of bytes."""
    first, last = struct.unpack_from("<II", main, 0x18)
    return decode(main[first:last]).text if 0 < first < last <= len(main) else ""


def _readable(text: str) -> str:
    previous = ""
    while previous != text and "\x13" in text:
        previous = text
        text = _INSTRUCTION.sub("", _WHOLE_FIELD.sub("", text))
    text = text.replace("\x15", "").replace("\x13", "").replace("\x14", "")
    text = text.replace("\x07\x07", "\n").replace("\x07", " | ")
    return re.sub(r"[\r\x0b\x0c]", "\n", text).replace("\x1e", "-").replace("\x1f", "").replace("\n", "\n\n")
