"""XLSX, XLSM, XLSB, XLS and ODS: one page per sheet, and every sheet that is a table also as data."""

import datetime
import io
import zipfile
from collections.abc import Iterator
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook, PasswordError, ZipError

from core.language import Bilingual
from core.types import Page
from ingest import reasons
from ingest.loaders.compound import opened, read_stream
from ingest.loaders.containers import Container
from ingest.loaders.ocr import read_pictures
from ingest.loaders.office_password import load_encrypted
from ingest.loaders.tables import MAX_ROWS, as_table, write_rows
from ingest.loaders.writer import MarkdownWriter
from ingest.types import Cell, Parsed, Source, Table

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_DAY = datetime.timedelta(days=1)
_SPARSE = 20
_SHARED_STRING = 19  # BrtSSTItem
_FILE_PASSWORD, _FIRST_RECORDS = 0x2F, 20
_OLE_MARK = b"\xd0\xcf\x11\xe0"


def load_spreadsheet(source: Source) -> Parsed:
    """Sheets in their order, numbered from 1 and labelled with their names; formulas give the values last computed."""
    try:
        workbook = _open(source)
    except BaseException as error:
        # The reader is written in Rust, whose panics arrive as no Exception.
        if type(error).__name__ != "PanicException":
            raise
        return _strings_of_xlsb(source, str(error))
    if workbook is None:
        return load_encrypted(source)
    pages: list[Page] = []
    tables: list[Table] = []
    warnings: list[Bilingual] = []
    lost = False
    for number, name in enumerate(workbook.sheet_names, 1):
        rows = _rows(workbook, number - 1)
        if rows is None:
            warnings.append(Bilingual(f"sheet {name!r} is damaged and was left out", f"工作表“{name}”已损坏，未读取"))
            lost = True
            continue
        writer = MarkdownWriter()
        writer.heading(name, 2)
        shortened = write_rows(writer, rows)
        warnings.extend([shortened] if shortened else [])
        table = as_table(name if len(workbook.sheet_names) == 1 else f"{source.stem} {name}", rows, number)
        tables.extend([table] if table else [])
        pages.append(Page(writer.text() if any(rows) else "", number, name))
    parsed = Parsed(tuple(pages), "", MEDIA_TYPE, "markdown", {}, tuple(warnings), tuple(tables), incomplete=lost)
    return _with_pictures(source, parsed)


def _open(source: Source) -> Any:
    """The workbook; None where it is encrypted."""
    data = _checked(source)
    try:
        return CalamineWorkbook.from_filelike(io.BytesIO(data))
    except PasswordError:
        return None
    except (CalamineError, ZipError, OSError, ValueError) as error:
        if _is_encrypted_biff(source):
            return None
        if "password" in str(error).lower() or "encrypt" in str(error).lower():
            return None
        raise reasons.damaged(source.name, str(error)) from error


def _is_encrypted_biff(source: Source) -> bool:
    """Whether an XLS has the record that announces a password ([MS-XLS] 2.4.117), among its first ones."""
    if not source.data.startswith(_OLE_MARK):
        return False
    with opened(source) as container:
        stream = read_stream(container, "Workbook") or read_stream(container, "Book")
    place = 0
    for _ in range(_FIRST_RECORDS):
        kind, size = int.from_bytes(stream[place : place + 2], "little"), stream[place + 2 : place + 4]
        if kind == _FILE_PASSWORD:
            return True
        place += 4 + int.from_bytes(size, "little")
    return False


def _strings_of_xlsb(source: Source, reason: str) -> Parsed:
    """The shared strings of a binary workbook that the reader cannot take: the words, without their cells."""
    texts = list(_shared_strings(Container(source).read("xl/sharedStrings.bin")))
    if not texts:
        raise reasons.damaged(source.name, reason)
    warning = Bilingual("only the words could be read, not the cells", "仅能读取其中的文字，无法读取单元格")
    return Parsed((Page("\n".join(texts)),), "", MEDIA_TYPE, "plain", {}, (warning,), incomplete=True)


def _shared_strings(data: bytes) -> Iterator[str]:
    """Records of [MS-XLSB] 2.1.4: a type and a size of seven bits a byte, then the body."""
    place = 0
    while place + 2 < len(data):
        kind, place = _seven_bits(data, place, 2)
        size, place = _seven_bits(data, place, 4)
        if kind == _SHARED_STRING:
            length = int.from_bytes(data[place + 1 : place + 5], "little")
            yield data[place + 5 : place + min(5 + 2 * length, size)].decode("utf-16-le", "replace")
        place += size


def _seven_bits(data: bytes, place: int, most: int) -> tuple[int, int]:
    """(value, place after it)."""
    value = 0
    for step in range(most):
        byte = data[place + step] if place + step < len(data) else 0
        value |= (byte & 0x7F) << (7 * step)
        if not byte & 0x80:
            return value, place + step + 1
    return value, place + most


def _checked(source: Source) -> bytes:
    """The bytes for the reader, which unpacks without limits of its own: every entry is counted before it may.

    A container whose directory is broken is packed anew from the entries that were found.
    """
    if source.data.startswith(_OLE_MARK):
        return source.data
    container = Container(source)
    entries = {name: container.read(name) for name in container.names if name.endswith((".xml", ".bin", ".rels"))}
    if not container.is_salvaged:
        return source.data
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _rows(workbook: Any, place: int) -> list[list[Cell]] | None:
    try:
        rows = workbook.get_sheet_by_index(place).to_python(skip_empty_area=True, nrows=MAX_ROWS)
    except (CalamineError, ZipError, OSError, ValueError):
        return None
    return [[_cell(value) for value in row] for row in rows]


def _cell(value: Any) -> Cell:
    """Dates as ISO 8601, so that they sort and compare as text; truth values as 1 and 0."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return round(value / _DAY, 6)
    return value if isinstance(value, int | float) else None


def _with_pictures(source: Source, parsed: Parsed) -> Parsed:
    """A workbook whose sheets are empty but for pictures is read by text recognition."""
    if sum(len(page.text) for page in parsed.pages) >= _SPARSE or not source.data.startswith(b"PK"):
        return parsed
    text, warnings = read_pictures(Container(source), source.name)
    if not text:
        return Parsed(parsed.pages, media_type=MEDIA_TYPE, structure="markdown", warnings=parsed.warnings + warnings)
    pages = (*parsed.pages, Page(text, len(parsed.pages) + 1))
    return Parsed(pages, media_type=MEDIA_TYPE, structure="markdown", ocr_pages=(len(pages),))
