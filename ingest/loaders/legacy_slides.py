"""PPT, the PowerPoint format of 1997 to 2003 ([MS-PPT]): the text records, slide by slide."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from core.types import Page
from ingest import reasons
from ingest.loaders.compound import opened, read_stream
from ingest.loaders.office_password import load_encrypted
from ingest.loaders.writer import MarkdownWriter
from ingest.types import Parsed, Source

_SLIDE, _SLIDE_LIST, _PERSIST = 1006, 4080, 1011
_CHARACTERS, _BYTES = 4000, 4008
# Instance of a list: slides 0, masters 1, notes 2.
_OF_SLIDES = 0
_MAX_DEPTH = 20
_MAX_RECORDS = 500_000
# [MS-CFB] names the storage of the converted presentation so when two versions lie in one file.
_DUAL = "PP97_DUALSTORAGE"
_ENCRYPTED_TOKEN = 0xF3D1C4DF


@dataclass(frozen=True)
class _Record:
    kind: int
    instance: int
    depth: int
    start: int
    end: int


def load_ppt(source: Source) -> Parsed:
    """One page per slide, numbered from 1. Raises DocumentEncryptedError or DocumentDamagedError."""
    with opened(source) as container:
        stream = read_stream(container, "PowerPoint Document") or read_stream(container, _DUAL, "PowerPoint Document")
        user = read_stream(container, "Current User")
        if len(user) >= 16 and struct.unpack_from("<I", user, 12)[0] == _ENCRYPTED_TOKEN:
            return load_encrypted(source)
    records = list(_records(stream))
    if not records:
        raise reasons.damaged(source.name, "no readable records")
    outline, drawn = _outline_texts(stream, records), _drawn_texts(stream, records)
    pages = []
    for number in range(1, max(len(outline), len(drawn)) + 1):
        texts = [*_at(outline, number - 1), *_at(drawn, number - 1)]
        pages.append(Page(_slide(list(dict.fromkeys(texts))), number))
    return Parsed(tuple(pages), "", "application/vnd.ms-powerpoint", "markdown")


def _records(stream: bytes) -> Iterator[_Record]:
    """Every record in order, containers before what they hold."""
    pending = [(0, len(stream), 0)]
    count = 0
    while pending:
        place, end, depth = pending.pop()
        while place + 8 <= end:
            version, kind, length = struct.unpack_from("<HHI", stream, place)
            body, after = place + 8, min(place + 8 + length, end)
            count += 1
            if count > _MAX_RECORDS:
                return
            yield _Record(kind, version >> 4, depth, body, after)
            if version & 0xF == 0xF and depth < _MAX_DEPTH:
                pending.append((after, end, depth))
                place, end, depth = body, after, depth + 1
            else:
                place = after


def _outline_texts(stream: bytes, records: list[_Record]) -> list[list[str]]:
    """Titles and bodies: after each slide's persist record, in the document that was saved last."""
    lists = [record for record in records if record.kind == _SLIDE_LIST and record.instance == _OF_SLIDES]
    slides: list[list[str]] = []
    for record in _inside(records, lists[-1]) if lists else ():
        if record.kind == _PERSIST:
            slides.append([])
        elif record.kind in (_CHARACTERS, _BYTES) and slides:
            slides[-1].extend(_text(stream, record))
    return slides


def _drawn_texts(stream: bytes, records: list[_Record]) -> list[list[str]]:
    """Text boxes: the text records inside each slide's own container."""
    containers = [record for record in records if record.kind == _SLIDE and record.depth == 0]
    return [
        [
            text
            for record in _inside(records, container)
            if record.kind in (_CHARACTERS, _BYTES)
            for text in _text(stream, record)
        ]
        for container in containers
    ]


def _inside(records: list[_Record], container: _Record) -> list[_Record]:
    return [record for record in records if container.start <= record.start and record.end <= container.end]


def _text(stream: bytes, record: _Record) -> list[str]:
    data = stream[record.start : record.end]
    text = data.decode("utf-16-le", "replace") if record.kind == _CHARACTERS else data.decode("latin-1")
    text = text.replace("\r", "\n").replace("\x0b", "\n").strip("\n \x00*")
    return [text] if text.strip() else []


def _slide(texts: list[str]) -> str:
    writer = MarkdownWriter()
    for place, text in enumerate(texts):
        if place == 0 and len(text) < 150 and "\n" not in text:
            writer.heading(text, 2)
        else:
            for line in text.split("\n"):
                writer.paragraph(line)
    return writer.text()


def _at(slides: list[list[str]], place: int) -> list[str]:
    return slides[place] if place < len(slides) else []
