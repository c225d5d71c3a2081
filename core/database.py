"""Where small tables of the application lie: a SQLite file here, or a schema of its own on a PostgreSQL server."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol


class Rows(Protocol):
    """What a statement gives back."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""
        ...

    def fetchone(self) -> Any:
        """The next row, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Statements(Protocol):
    """Runs the SQL that SQLite and PostgreSQL share: `?` for values, `rowid` for the order in which rows came."""

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Rows:
        """Run one statement."""
        ...


class Database(Protocol):
    """Tables that any number of threads and processes may use."""

    def transaction(self) -> AbstractContextManager[Statements]:
        """What is done in the block is committed at its end, or undone where it raises."""
        ...


def open_database(path: Path, url: str, owner: str, steps: Mapping[int, str]) -> Database:
    """The tables of `owner` on the server at `url`, or in the file `path` where `url` is empty; made where missing.

    `steps` are the statements that lead from each version to the next, from 1. Raises MissingExtraError where psycopg
    is not installed, and DatabaseError where the server does not answer.
    """
    if not url:
        from core.sqlite_file import SqliteFile

        return SqliteFile(path, steps[1], max(steps), {version: step for version, step in steps.items() if version > 1})
    from core.postgres import PostgresSchema

    return PostgresSchema(url, owner, steps)
