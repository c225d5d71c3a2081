"""The tables of spreadsheets as real SQL tables, in a file of their own beside the collection, with a catalogue.

Apart from the collection's file, so that a question answered by SQL can open these tables and nothing else.
"""

import json
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from retrieval.records import as_json, hash_text

FILE_NAME = "tables.db"
Value = str | int | float | None


@dataclass(frozen=True)
class TableData:
    """A table as it was read: `columns` are the names in the file; every row has as many values."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Value]]


@dataclass(frozen=True)
class TableRecord:
    """A table in the catalogue. `table` and `sql_columns` are its names in SQL, `columns` those in the file."""

    table: str
    document_id: str
    uri: str
    name: str
    columns: tuple[str, ...]
    sql_columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: int


class TableFile:
    """The file of tables of one collection; it comes into being with the first table."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME

    def put(self, document_id: str, uri: str, tables: Sequence[TableData]) -> list[TableRecord]:
        """Replace the tables of a document, in one commit. Numbers stay numbers; names are made safe for SQL."""
        with closing(self._open()) as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            self._drop(connection, document_id)
            return [
                self._create(connection, document_id, uri, position, table) for position, table in enumerate(tables)
            ]

    def remove(self, document_id: str) -> None:
        """Drop the tables of a document."""
        if self.path.is_file():
            with closing(self._open()) as connection, connection:
                connection.execute("BEGIN IMMEDIATE")
                self._drop(connection, document_id)

    def catalogue(self) -> list[TableRecord]:
        """All tables, by uri and name."""
        if not self.path.is_file():
            return []
        with closing(self._open()) as connection:
            rows = connection.execute("SELECT * FROM catalogue ORDER BY uri, name").fetchall()
        return [_record(row) for row in rows]

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=30.0, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS catalogue (sql_name TEXT PRIMARY KEY, document_id TEXT NOT NULL,"
            " uri TEXT NOT NULL,"
            " name TEXT NOT NULL, columns TEXT NOT NULL, sql_columns TEXT NOT NULL, types TEXT NOT NULL, rows INTEGER)"
        )
        return connection

    @staticmethod
    def _drop(connection: sqlite3.Connection, document_id: str) -> None:
        names = connection.execute("SELECT sql_name FROM catalogue WHERE document_id = ?", (document_id,)).fetchall()
        for (name,) in names:
            connection.execute(f'DROP TABLE IF EXISTS "{name}"')
        connection.execute("DELETE FROM catalogue WHERE document_id = ?", (document_id,))

    @staticmethod
    def _create(
        connection: sqlite3.Connection, document_id: str, uri: str, position: int, table: TableData
    ) -> TableRecord:
        suffix = hash_text(f"{document_id}/{position}")[:6]
        name = f"{_sql_name(table.name, 'table')}_{suffix}"
        columns = _unique([_sql_name(column, f"column_{place + 1}") for place, column in enumerate(table.columns)])
        types = tuple(_column_type([row[place] for row in table.rows]) for place in range(len(columns)))
        # Names were reduced to word characters by `_sql_name`; values travel as parameters.
        parts = ", ".join(f'"{column}" {kind}' for column, kind in zip(columns, types, strict=True))
        connection.execute(f'CREATE TABLE "{name}" ({parts})')
        marks = ",".join("?" * len(columns))
        connection.executemany(f'INSERT INTO "{name}" VALUES ({marks})', table.rows)  # noqa: S608
        record = TableRecord(name, document_id, uri, table.name, table.columns, columns, types, len(table.rows))
        lists = (as_json(record.columns), as_json(columns), as_json(types))
        values = (name, document_id, uri, table.name, *lists, record.rows)
        connection.execute("INSERT INTO catalogue VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        return record


def _sql_name(text: str, otherwise: str) -> str:
    name = re.sub(r"\W+", "_", text.strip()).strip("_").lower()[:48]
    return f"_{name}" if name[:1].isdigit() else name or otherwise


def _unique(names: list[str]) -> tuple[str, ...]:
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return tuple(result)


def _column_type(values: list[Value]) -> str:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, bool}:
        return "INTEGER" if kinds else "TEXT"
    return "REAL" if kinds <= {int, float, bool} else "TEXT"


def _record(row: tuple[str, str, str, str, str, str, str, int]) -> TableRecord:
    table, document_id, uri, name, columns, sql_columns, types, rows = row
    lists = (tuple(json.loads(columns)), tuple(json.loads(sql_columns)), tuple(json.loads(types)))
    return TableRecord(table, document_id, uri, name, *lists, rows)
