"""What tables there are: their names, columns, kinds of values, and where they come from."""

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from tools.decimal_sums import number_in
from tools.sql import reading

SAMPLE_ROWS = 200


@dataclass(frozen=True)
class Column:
    """One column: `name` as in the file, `sql` the expression for its values, `key` the quoted name alone.

    `numeric` where most of its values are numbers; then `sql` gives numbers also where they are stored as text.
    """

    name: str
    key: str
    sql: str
    numeric: bool


@dataclass(frozen=True)
class Table:
    """One table: `key` is its quoted name in SQL, `label` the file and sheet as the person knows them."""

    key: str
    label: str
    document_id: str
    columns: tuple[Column, ...]
    rows: int

    def described(self) -> str:
        """One line: name, rows, columns, for a model and a person alike."""
        columns = ", ".join(column.key + ("" if column.numeric else " text") for column in self.columns)
        return f"{self.key} ({self.label}, {self.rows} rows): {columns}"


def tables_in(path: Path, document_ids: tuple[str, ...] = ()) -> tuple[Table, ...]:
    """The tables in the catalogue of the file, those of `document_ids` only if any are given."""
    with reading(path) as connection:
        rows = connection.execute(
            "SELECT sql_name, uri, name, document_id, columns, sql_columns, rows FROM catalogue ORDER BY uri, name"
        ).fetchall()
        return tuple(_table(connection, *row) for row in rows if not document_ids or row[3] in document_ids)


def quoted(name: str) -> str:
    """An identifier of SQL that can be any text."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A string of SQL."""
    return "'" + value.replace("'", "''") + "'"


def _table(
    connection: sqlite3.Connection, sql_name: str, uri: str, name: str, document_id: str, *more: object
) -> Table:
    names, sql_names, rows = json.loads(str(more[0])), json.loads(str(more[1])), int(str(more[2]))
    sample = connection.execute(f"SELECT * FROM {quoted(sql_name)} LIMIT {SAMPLE_ROWS}").fetchall()  # noqa: S608
    columns = tuple(
        _column(heading, key, [row[at] for row in sample])
        for at, (heading, key) in enumerate(zip(names, sql_names, strict=True))
    )
    file = unquote(uri.replace("\\", "/").rsplit("/", 1)[-1])
    label = name if file.startswith(name) or not file else f"{file} › {name}"
    return Table(quoted(sql_name), label, document_id, columns, rows)


def _column(heading: str, key: str, values: list[object]) -> Column:
    filled = [value for value in values if value not in (None, "")]
    numeric = bool(filled) and sum(number_in(value) is not None for value in filled) > len(filled) / 2
    stored_as_text = any(isinstance(value, str) for value in filled)
    name = quoted(key)
    return Column(heading, name, f"number({name})" if numeric and stored_as_text else name, numeric)
