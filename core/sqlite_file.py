"""A small SQLite file of the application (conversations, exams): made with its tables, a connection a transaction."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class SqliteFile:
    """One file. Any number of threads and processes may use it; each `transaction` has a connection of its own."""

    def __init__(self, path: Path, schema: str, version: int) -> None:
        """Make the file with the tables of `schema` where it is absent."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.transaction() as db:
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                db.executescript(f"BEGIN; {schema} PRAGMA user_version = {version}; COMMIT;")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are committed at the end of the block, or undone where it raises."""
        db = sqlite3.connect(self._path, timeout=30)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA foreign_keys = ON")
            with db:
                yield db
        finally:
            db.close()
