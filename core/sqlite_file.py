"""A small SQLite file of the application (conversations, exams): made with its tables, a connection a transaction."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class SqliteFile:
    """One file. Any number of threads and processes may use it; each `transaction` has a connection of its own."""

    def __init__(self, path: Path, schema: str, version: int, upgrades: Mapping[int, str] | None = None) -> None:
        """Make the file with the tables of `schema` (version 1) where it is absent, and bring it to `version`.

        `upgrades` are the statements that lead to each later version.
        """
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        steps = {1: schema, **(upgrades or {})}
        with self.transaction() as db:
            known = _version(db)
        for number in range(known + 1, version + 1):
            self._upgrade(number, steps.get(number, ""))

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

    def _upgrade(self, number: int, step: str) -> None:
        with self.transaction() as db:
            # Two processes at their first start would make the tables at one time.
            db.execute("BEGIN IMMEDIATE")
            if _version(db) >= number:
                return
            for statement in filter(str.strip, step.split(";")):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])
