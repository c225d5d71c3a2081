"""What tables there are: their names, columns, kinds of values, and where they come from."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from tools.sql import reading

CATALOG = "_tables"


@dataclass(frozen=True)
class Column:
    """One column; `numeric` where most of its values are numbers."""

    name: str
    numeric: bool


@dataclass(frozen=True)
class Table:
    """One table of the file: `name` in SQL, `label` as the person knows it (file and sheet)."""

    name: str
    label: str
    columns: tuple[Column, ...]
    rows: int

    def described(self) -> str:
        """One line: name, rows, columns, for a model and a person alike."""
        columns = ", ".join(quoted(column.name) + ("" if column.numeric else " text") for column in self.columns)
        return f"{quoted(self.name)} ({self.label}, {self.rows} rows): {columns}"


def tables_in(path: Path) -> tuple[Table, ...]:
    """The tables of the file, in the order in which they were stored."""
    with reading(path) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 7) != 'sqlite_' ORDER BY rowid"
        ).fetchall()
        labels = _labels(connection, {name for (name,) in names})
        return tuple(_table(connection, name, labels.get(name, name)) for (name,) in names if not name.startswith("_"))


def quoted(name: str) -> str:
    """An identifier of SQL that can be any text."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A string of SQL."""
    return "'" + value.replace("'", "''") + "'"


def _labels(connection: sqlite3.Connection, names: set[str]) -> dict[str, str]:
    if CATALOG not in names:
        return {}
    return {str(name): str(label) for name, label in connection.execute(f"SELECT name, label FROM {CATALOG}")}  # noqa: S608


def _table(connection: sqlite3.Connection, name: str, label: str) -> Table:
    cursor = connection.execute(f"SELECT * FROM {quoted(name)} LIMIT 200")  # noqa: S608 the name is quoted
    names = [column[0] for column in cursor.description]
    sample = cursor.fetchall()
    columns = tuple(Column(column, _is_numeric([row[at] for row in sample])) for at, column in enumerate(names))
    rows = connection.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0]  # noqa: S608
    return Table(name, label, columns, rows)


def _is_numeric(values: list[object]) -> bool:
    filled = [value for value in values if value not in (None, "")]
    return bool(filled) and sum(isinstance(value, int | float) for value in filled) > len(filled) / 2
