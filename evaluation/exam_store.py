"""The user's own exams in SQLite: questions about a collection as they were reviewed, and every sitting with its marks.

One file for all collections. Each call opens its own connection: any thread may call.
"""

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from core.config import Settings
from core.language import language_of
from core.sqlite_file import SqliteFile

Status = Literal["proposed", "kept", "dropped"]
Origin = Literal["rule", "model", "swapped", "foreign", "retrieval", "user"]

EXAMS_FILE = "exams.db"
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE questions (id TEXT PRIMARY KEY, collection TEXT NOT NULL, question TEXT NOT NULL, answers TEXT NOT NULL,
    answerable INTEGER NOT NULL, uri TEXT NOT NULL, passage TEXT NOT NULL, origin TEXT NOT NULL, status TEXT NOT NULL,
    created REAL NOT NULL, UNIQUE (collection, question));
CREATE TABLE sittings (id TEXT PRIMARY KEY, collection TEXT NOT NULL, name TEXT NOT NULL, settings TEXT NOT NULL,
    created REAL NOT NULL);
CREATE TABLE marks (sitting TEXT NOT NULL REFERENCES sittings(id) ON DELETE CASCADE, mode TEXT NOT NULL,
    question TEXT NOT NULL, text TEXT NOT NULL, kind TEXT NOT NULL, correct REAL NOT NULL, cited REAL,
    seconds REAL NOT NULL, tokens INTEGER NOT NULL);
CREATE INDEX marks_of ON marks(sitting);
"""


@dataclass(frozen=True)
class ExamItem:
    """A question of an exam. `answers` count as right; `uri` and `passage` are where the first of them stands.

    Only `kept` items are asked. `answerable` false: the collection does not hold the answer and a refusal is right.
    """

    collection: str
    question: str
    answers: tuple[str, ...] = ()
    answerable: bool = True
    uri: str = ""
    passage: str = ""
    origin: Origin = "user"
    status: Status = "proposed"
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def language(self) -> str:
        """The language in which it is asked."""
        return language_of(self.question)


@dataclass(frozen=True)
class Mark:
    """One question, answered by one mode. `correct` and `cited` (the right document; None: nothing cited) are 0 or 1.

    `seconds` are wall-clock; `tokens` are those of prompt and answer.
    """

    mode: str
    question: str
    text: str
    kind: str
    correct: float
    cited: float | None
    seconds: float
    tokens: int


@dataclass(frozen=True)
class Sitting:
    """An exam that was sat: under which settings, and the marks. `created` is Unix seconds."""

    collection: str
    name: str
    settings: Mapping[str, Any]
    marks: tuple[Mark, ...] = ()
    created: float = field(default_factory=time.time)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


class ExamStore:
    """The exams in one SQLite file, made when it is absent. Methods with an id raise KeyError where none has it."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, _SCHEMA, SCHEMA_VERSION)

    def add(self, items: Sequence[ExamItem]) -> int:
        """Keep new questions; one that the collection's exam has already (also a dropped one) is passed over.

        Returns how many were new.
        """
        sql = "INSERT OR IGNORE INTO questions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        with self._connect() as db:
            return sum(db.execute(sql, _row_of(item)).rowcount for item in items)

    def items(self, collection: str, status: Status | None = None) -> list[ExamItem]:
        """The questions of a collection's exam, oldest first; those of one status where it is given."""
        sql = "SELECT * FROM questions WHERE collection = ? AND (? IS NULL OR status = ?) ORDER BY rowid"
        with self._connect() as db:
            return [_item(row) for row in db.execute(sql, (collection, status, status))]

    def item(self, item_id: str) -> ExamItem:
        """One question."""
        with self._connect() as db:
            row = db.execute("SELECT * FROM questions WHERE id = ?", (item_id,)).fetchone()
        if row is None:
            raise KeyError(item_id)
        return _item(row)

    def review(self, item_id: str, status: Status, **changes: Any) -> ExamItem:
        """Keep, edit or drop a question: `changes` are fields of ExamItem (question, answers, answerable)."""
        item = replace(self.item(item_id), status=status, **changes)
        sql = "UPDATE questions SET question = ?, answers = ?, answerable = ?, status = ? WHERE id = ?"
        values = (item.question, _listed(item.answers), int(item.answerable), item.status, item.id)
        with self._connect() as db:
            db.execute(sql, values)
        return item

    def add_sitting(self, sitting: Sitting) -> None:
        """Keep a sitting with its marks, in one transaction."""
        settings = json.dumps(dict(sitting.settings), ensure_ascii=False, sort_keys=True)
        head = (sitting.id, sitting.collection, sitting.name, settings, sitting.created)
        with self._connect() as db:
            db.execute("INSERT INTO sittings VALUES (?, ?, ?, ?, ?)", head)
            db.executemany(
                "INSERT INTO marks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(sitting.id, *_mark_row(mark)) for mark in sitting.marks],
            )

    def sittings(self, collection: str) -> list[Sitting]:
        """The sittings of a collection's exam with their marks, newest first."""
        sql = "SELECT * FROM sittings WHERE collection = ? ORDER BY created DESC, rowid DESC"
        with self._connect() as db:
            return [_sitting(db, row) for row in db.execute(sql, (collection,)).fetchall()]

    def delete_sitting(self, sitting_id: str) -> None:
        """Forget a sitting."""
        with self._connect() as db:
            if db.execute("DELETE FROM sittings WHERE id = ?", (sitting_id,)).rowcount == 0:
                raise KeyError(sitting_id)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with self._file.transaction() as db:
            db.row_factory = sqlite3.Row
            yield db


def open_store(settings: Settings) -> ExamStore:
    """The exams in the data folder."""
    return ExamStore(settings.paths.home / EXAMS_FILE)


def _row_of(item: ExamItem) -> tuple[Any, ...]:
    answerable, answers = int(item.answerable), _listed(item.answers)
    head = (item.id, item.collection, item.question, answers, answerable)
    return (*head, item.uri, item.passage, item.origin, item.status, time.time())


def _listed(answers: Sequence[str]) -> str:
    return json.dumps(list(answers), ensure_ascii=False)


def _item(row: sqlite3.Row) -> ExamItem:
    return ExamItem(
        collection=row["collection"],
        question=row["question"],
        answers=tuple(json.loads(row["answers"])),
        answerable=bool(row["answerable"]),
        uri=row["uri"],
        passage=row["passage"],
        origin=row["origin"],
        status=row["status"],
        id=row["id"],
    )


def _mark_row(mark: Mark) -> tuple[Any, ...]:
    return (mark.mode, mark.question, mark.text, mark.kind, mark.correct, mark.cited, mark.seconds, mark.tokens)


def _sitting(db: sqlite3.Connection, row: sqlite3.Row) -> Sitting:
    sql = "SELECT mode, question, text, kind, correct, cited, seconds, tokens FROM marks WHERE sitting = ?"
    marks = tuple(Mark(*found) for found in db.execute(sql, (row["id"],)))
    settings = json.loads(row["settings"])
    return Sitting(row["collection"], row["name"], settings, marks, row["created"], row["id"])
