"""Rows of cells to a readable table and to data: the header found, columns named, numbers kept as numbers."""

from collections.abc import Sequence

from core.language import Bilingual
from ingest.loaders.writer import MarkdownWriter
from ingest.types import Cell, Table

# More rows than this are answered by SQL over the table; as passages they would drown everything else.
MAX_TEXT_ROWS = 2_000
MAX_ROWS = 500_000
MAX_COLUMNS = 256
# Titles and notes above the real header are looked for in so many rows.
_HEADER_WITHIN = 10


def typed(text: str) -> Cell:
    """A number where the text is one and writing it back gives the same meaning; None for nothing; else the text.

    Leading zeros (postal codes, article numbers) stay text.
    """
    stripped = text.strip()
    if not stripped:
        return None
    digits = stripped.lstrip("+-")
    if (digits[:1] == "0" and digits[1:2].isdigit()) or not (digits[:1].isdigit() or digits[:1] == "."):
        return stripped
    try:
        return int(stripped) if stripped.lstrip("-").isdigit() and len(stripped) < 18 else float(stripped)
    except ValueError:
        return _with_separators(stripped)


def _with_separators(text: str) -> Cell:
    """`1,234.50` is a number; `1,5` might be a date, a version or a list, and stays text."""
    whole, _, _ = text.partition(".")
    groups = whole.lstrip("-").split(",")
    grouped = len(groups) > 1 and len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])
    try:
        return float(text.replace(",", "")) if grouped else text
    except ValueError:
        return text


def as_table(name: str, rows: Sequence[Sequence[Cell]], page: int | None = None) -> Table | None:
    """The rows as data under their header; None where they are no table (fewer than two rows or columns)."""
    rows = [row for row in rows[:MAX_ROWS] if any(cell is not None for cell in row)]
    place = _header_place(rows)
    if place is None:
        return None
    width = min(max(len(row) for row in rows[place:]), MAX_COLUMNS)
    columns = tuple(_column_name(rows[place], column) for column in range(width))
    body = tuple(tuple(row[:width]) + (None,) * (width - len(row)) for row in rows[place + 1 :])
    return Table(name, columns, body, page) if body and width > 1 else None


def write_rows(writer: MarkdownWriter, rows: Sequence[Sequence[Cell]]) -> Bilingual | None:
    """Write the rows as one table under their header, notes above it as paragraphs. Tells where rows were left out."""
    rows = [row for row in rows if any(cell is not None for cell in row)]
    place = _header_place(rows)
    for row in rows[: place or 0]:
        writer.paragraph(" ".join(as_text(cell) for cell in row if cell is not None))
    body = rows[place or 0 :]
    used = _used_columns(body)
    shown = body[: MAX_TEXT_ROWS + 1]
    writer.table(
        [[as_text(row[column]) if column < len(row) else "" for column in used[:MAX_COLUMNS]] for row in shown]
    )
    if len(body) <= len(shown):
        return None
    return Bilingual(
        en=f"only the first {MAX_TEXT_ROWS:,} of {len(body) - 1:,} rows are searchable as text; the table has all",
        zh=f"共 {len(body) - 1:,} 行，仅前 {MAX_TEXT_ROWS:,} 行可按文字检索；数据表中保留全部行",
    )


def _used_columns(rows: Sequence[Sequence[Cell]]) -> list[int]:
    return sorted({column for row in rows for column, cell in enumerate(row) if cell is not None})


def as_text(cell: Cell) -> str:
    """A cell as a person reads it: whole floats without their `.0`."""
    if cell is None:
        return ""
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else f"{cell:.10g}"
    return str(cell)


def _header_place(rows: Sequence[Sequence[Cell]]) -> int | None:
    """The first row that is about as wide as the widest and holds text only."""
    if len(rows) < 2:
        return None
    widest = max(_filled(row) for row in rows[: _HEADER_WITHIN * 3])
    for place, row in enumerate(rows[:_HEADER_WITHIN]):
        if _filled(row) >= max(2, widest * 0.6) and all(cell is None or isinstance(cell, str) for cell in row):
            return place
    return 0 if widest > 1 else None


def _filled(row: Sequence[Cell]) -> int:
    return sum(cell is not None for cell in row)


def _column_name(header: Sequence[Cell], column: int) -> str:
    name = as_text(header[column]).strip() if column < len(header) else ""
    return " ".join(name.split())[:80] or f"column {column + 1}"
