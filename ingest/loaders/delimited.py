"""CSV and TSV, with whatever separator and encoding they were written."""

import csv
import io

from core.types import Page
from ingest import reasons
from ingest.loaders.encoding import decode
from ingest.loaders.tables import as_table, typed, write_rows
from ingest.loaders.writer import MarkdownWriter
from ingest.types import Cell, Parsed, Source

_SEPARATORS = ",;\t|"
_SAMPLE = 16_384


def load_delimited(source: Source) -> Parsed:
    """One table, as text and as data."""
    decoded = decode(source.data)
    csv.field_size_limit(1 << 20)
    text = decoded.text.replace("\x00", "")
    try:
        rows: list[list[Cell]] = [
            [typed(cell) for cell in row] for row in csv.reader(io.StringIO(text), _dialect(text))
        ]
    except csv.Error as error:
        raise reasons.damaged(source.name, str(error)) from error
    writer = MarkdownWriter()
    shortened = write_rows(writer, rows)
    table = as_table(source.stem, rows)
    return Parsed(
        (Page(writer.text()),),
        "",
        "text/csv",
        "markdown",
        {"encoding": decoded.encoding, "encoding_guessed": decoded.guessed, "rows": len(rows)},
        (shortened,) if shortened else (),
        (table,) if table else (),
    )


def _dialect(text: str) -> "type[csv.Dialect]":
    """The separator that gives the most even rows; the standard library's guess is easily misled by prose."""
    lines = [line for line in text[:_SAMPLE].splitlines() if line.strip()][:50]

    def evenness(separator: str) -> tuple[float, int]:
        counts = [line.count(separator) for line in lines]
        usual = max(set(counts), key=counts.count) if counts else 0
        return (counts.count(usual) / len(counts) if usual else 0.0, usual)

    best = max(_SEPARATORS, key=evenness)

    class Dialect(csv.excel):
        delimiter = best

    return Dialect
