"""Conversations in SQLite or PostgreSQL: turns that branch, answers with their receipts, feedback, overruled routes.

A message knows its parent, so editing a question or asking again makes a sibling and loses nothing; a conversation
remembers the leaf of the branch that is shown. Each call is a transaction of its own: any thread and process may call.
"""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from core.config import Settings
from core.database import Database, Statements, open_database
from core.types import ConcreteMode, Message

Status = Literal["done", "streaming", "stopped", "failed", "interrupted"]
FeedbackKind = Literal["good", "bad", "correction"]

TITLE_LENGTH = 60
# An answer whose process gave no sign for so long was cut off with it.
SECONDS_WITHOUT_A_SIGN = 30.0
_FIRST = """
CREATE TABLE conversations (id TEXT PRIMARY KEY, title TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
    leaf TEXT NOT NULL DEFAULT '');
CREATE TABLE messages (id TEXT PRIMARY KEY, parent TEXT NOT NULL, role TEXT NOT NULL, text TEXT NOT NULL,
    status TEXT NOT NULL, created REAL NOT NULL, receipt TEXT NOT NULL DEFAULT '{}',
    conversation TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE);
CREATE INDEX messages_of ON messages(conversation, parent);
CREATE TABLE feedback (id TEXT PRIMARY KEY, kind TEXT NOT NULL, text TEXT NOT NULL, created REAL NOT NULL,
    message TEXT NOT NULL REFERENCES messages(id) ON DELETE CASCADE);
CREATE TABLE overrules (id TEXT PRIMARY KEY, question TEXT NOT NULL, history TEXT NOT NULL, collection TEXT NOT NULL,
    routed TEXT NOT NULL, expected TEXT NOT NULL, created REAL NOT NULL);
"""
# The answers that are being given, with the last sign of the process that gives each, and whether to stop.
_SECOND = """
CREATE TABLE running (message TEXT PRIMARY KEY REFERENCES messages(id) ON DELETE CASCADE, sign REAL NOT NULL,
    stop INTEGER NOT NULL DEFAULT 0);
"""
_STEPS = {1: _FIRST, 2: _SECOND}
# In this order each row finds what it belongs to.
_COLUMNS = {
    "conversations": ("id", "title", "created", "updated", "leaf"),
    "messages": ("id", "parent", "role", "text", "status", "created", "receipt", "conversation"),
    "feedback": ("id", "kind", "text", "created", "message"),
    "overrules": ("id", "question", "history", "collection", "routed", "expected", "created"),
}


@dataclass(frozen=True)
class Conversation:
    """A row of the list; times are Unix seconds."""

    id: str
    title: str
    created: float
    updated: float


@dataclass(frozen=True)
class StoredMessage:
    """A turn of the shown branch. `sibling` of `siblings` counts from 1; `receipt` is what the recorder kept."""

    id: str
    conversation_id: str
    parent_id: str
    role: Literal["user", "assistant"]
    text: str
    status: Status
    created: float
    receipt: dict[str, Any]
    sibling: int = 1
    siblings: int = 1


@dataclass(frozen=True)
class Feedback:
    """What a person said of an answer; `text` of a correction is the answer that should have been given."""

    message_id: str
    kind: FeedbackKind
    text: str
    question: str
    answer: str


@dataclass(frozen=True)
class Overrule:
    """A route that a person changed: a labelled case for the router."""

    question: str
    history: tuple[str, ...]
    collection: str
    routed: ConcreteMode
    expected: ConcreteMode


class History:
    """The conversations of one owner: in a SQLite file, or on the server at `url`; made where they are absent.

    Methods that take an id raise KeyError where nothing has it.
    """

    def __init__(self, path: Path, url: str = "", owner: str = "") -> None:
        self._file: Database = open_database(path, url, owner, _STEPS)

    # --- conversations

    def create(self, title: str = "") -> Conversation:
        """Begin a conversation; without a title it takes the first words of its first question."""
        now = time.time()
        made = Conversation(_new_id(), title, now, now)
        with self._file.transaction() as db:
            db.execute(
                "INSERT INTO conversations (id, title, created, updated) VALUES (?, ?, ?, ?)",
                (made.id, title, now, now),
            )
        return made

    def conversations(self, limit: int = 100, offset: int = 0) -> list[Conversation]:
        """The conversations, last used first."""
        sql = "SELECT id, title, created, updated FROM conversations ORDER BY updated DESC, rowid DESC LIMIT ? OFFSET ?"
        with self._file.transaction() as db:
            return [Conversation(*row) for row in db.execute(sql, (limit, offset))]

    def search(self, words: str, limit: int = 50) -> list[Conversation]:
        """The conversations whose title or messages hold `words` as they stand (case aside), last used first."""
        escaped = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        pattern = f"%{escaped}%"
        sql = (
            "SELECT id, title, created, updated FROM conversations c WHERE title LIKE ? ESCAPE '\\' OR EXISTS "
            "(SELECT 1 FROM messages WHERE conversation = c.id AND text LIKE ? ESCAPE '\\') "
            "ORDER BY updated DESC LIMIT ?"
        )
        with self._file.transaction() as db:
            return [Conversation(*row) for row in db.execute(sql, (pattern, pattern, limit))]

    def rename(self, conversation_id: str, title: str) -> None:
        """Give a conversation another title."""
        self._change("UPDATE conversations SET title = ? WHERE id = ?", (title, conversation_id), conversation_id)

    def delete(self, conversation_id: str) -> None:
        """Remove a conversation with its messages and feedback."""
        self._change("DELETE FROM conversations WHERE id = ?", (conversation_id,), conversation_id)

    # --- messages

    def add_question(self, conversation_id: str, text: str, parent_id: str | None = None) -> StoredMessage:
        """Append a question to the shown branch, or as another child of `parent_id` (`""`: at the very beginning)."""
        with self._file.transaction() as db:
            title, leaf = _row(db, "SELECT title, leaf FROM conversations WHERE id = ?", conversation_id)
            if not title:
                first = " ".join(text.split())[:TITLE_LENGTH]
                db.execute("UPDATE conversations SET title = ? WHERE id = ?", (first, conversation_id))
            return self._append(db, conversation_id, leaf if parent_id is None else parent_id, "user", text)

    def begin_answer(self, question_id: str) -> StoredMessage:
        """Append an answer, still empty, to a question; where it has answers already, a sibling of theirs."""
        with self._file.transaction() as db:
            (conversation_id,) = _row(db, "SELECT conversation FROM messages WHERE id = ?", question_id)
            return self._append(db, conversation_id, question_id, "assistant", "")

    def save_partial(self, message_id: str, text: str) -> None:
        """Keep what an answer says so far."""
        self._change("UPDATE messages SET text = ? WHERE id = ?", (text, message_id), message_id)

    def finish_answer(self, message_id: str, text: str, status: Status, receipt: dict[str, Any]) -> None:
        """Close an answer with its receipt (plain JSON)."""
        sql = "UPDATE messages SET text = ?, status = ?, receipt = ? WHERE id = ?"
        values = (text, status, json.dumps(receipt, ensure_ascii=False), message_id)
        with self._file.transaction() as db:
            if db.execute(sql, values).rowcount == 0:
                raise KeyError(message_id)
            db.execute("DELETE FROM running WHERE message = ?", (message_id,))

    def add_to_receipt(self, message_id: str, name: str, value: Any) -> None:
        """Add to the receipt of an answer what was found out later. Raises KeyError where there is no such answer."""
        with self._file.transaction() as db:
            (kept,) = _row(db, "SELECT receipt FROM messages WHERE id = ?", message_id)
            receipt = {**json.loads(kept or "{}"), name: value}
            db.execute(
                "UPDATE messages SET receipt = ? WHERE id = ?", (json.dumps(receipt, ensure_ascii=False), message_id)
            )

    def give_signs(self, message_ids: Sequence[str]) -> list[str]:
        """Say that these answers are still being given here; return those that somebody wants to stop."""
        with self._file.transaction() as db:
            for message_id in message_ids:
                changed = db.execute("UPDATE running SET sign = ? WHERE message = ?", (time.time(), message_id))
                if changed.rowcount == 0:
                    sql = "INSERT INTO running (message, sign) SELECT id, ? FROM messages WHERE id = ?"
                    db.execute(sql + " AND status = 'streaming'", (time.time(), message_id))
            return [row[0] for row in db.execute("SELECT message FROM running WHERE stop = 1") if row[0] in message_ids]

    def is_being_given(self, message_id: str) -> bool:
        """Whether some process gives this answer: it gave a sign of late."""
        sql = "SELECT 1 FROM running WHERE message = ? AND sign > ?"
        with self._file.transaction() as db:
            return db.execute(sql, (message_id, time.time() - SECONDS_WITHOUT_A_SIGN)).fetchone() is not None

    def ask_to_stop(self, message_id: str) -> None:
        """Whoever gives this answer shall stop; nothing happens where nobody does."""
        with self._file.transaction() as db:
            db.execute("UPDATE running SET stop = 1 WHERE message = ?", (message_id,))

    def close_interrupted(self, older_than_seconds: float = SECONDS_WITHOUT_A_SIGN) -> int:
        """Mark answers as interrupted that did not end and whose process gave no sign for so long; return how many."""
        sql = (
            "UPDATE messages SET status = 'interrupted' WHERE status = 'streaming' AND created < ? AND NOT EXISTS "
            "(SELECT 1 FROM running WHERE running.message = messages.id AND running.sign >= ?)"
        )
        before = time.time() - older_than_seconds
        with self._file.transaction() as db:
            closed = db.execute(sql, (before, before)).rowcount
            db.execute("DELETE FROM running WHERE sign < ?", (before,))
            return closed

    def message(self, message_id: str) -> StoredMessage:
        """One message, whichever branch it is on."""
        with self._file.transaction() as db:
            return _stored(db, message_id)

    def thread(self, conversation_id: str) -> list[StoredMessage]:
        """The shown branch, oldest first."""
        with self._file.transaction() as db:
            (leaf,) = _row(db, "SELECT leaf FROM conversations WHERE id = ?", conversation_id)
            return _path_to(db, leaf)

    def chat_before(self, message_id: str) -> tuple[Message, ...]:
        """The turns before a question, as a `Question` wants them: only whole answers, oldest first."""
        with self._file.transaction() as db:
            path = _path_to(db, message_id)[:-1]
        return tuple(Message(turn.role, turn.text) for turn in path if turn.text.strip() and turn.status != "failed")

    def select(self, message_id: str) -> None:
        """Show the branch that goes through a message, down to its newest leaf."""
        with self._file.transaction() as db:
            (conversation_id,) = _row(db, "SELECT conversation FROM messages WHERE id = ?", message_id)
            leaf, child = message_id, (message_id,)
            newest = "SELECT id FROM messages WHERE parent = ? ORDER BY rowid DESC LIMIT 1"
            while child:
                leaf = child[0]
                child = db.execute(newest, (leaf,)).fetchone()
            db.execute("UPDATE conversations SET leaf = ? WHERE id = ?", (leaf, conversation_id))

    def siblings(self, message_id: str) -> list[str]:
        """Ids of the messages with the same parent, oldest first, the message itself among them."""
        with self._file.transaction() as db:
            return _siblings(db, *_row(db, "SELECT conversation, parent FROM messages WHERE id = ?", message_id))

    # --- what people say of answers and routes

    def add_feedback(self, message_id: str, kind: FeedbackKind, text: str = "") -> None:
        """Keep a verdict or a correction of an answer."""
        with self._file.transaction() as db:
            _row(db, "SELECT id FROM messages WHERE id = ?", message_id)
            row = (_new_id(), kind, text, time.time(), message_id)
            db.execute("INSERT INTO feedback (id, kind, text, created, message) VALUES (?, ?, ?, ?, ?)", row)

    def feedback(self, kind: FeedbackKind | None = None) -> list[Feedback]:
        """All feedback, or one kind of it, oldest first, with the question and the answer it is about."""
        sql = (
            "SELECT f.message, f.kind, f.text, coalesce(q.text, ''), m.text FROM feedback f JOIN messages m "
            "ON m.id = f.message LEFT JOIN messages q ON q.id = m.parent WHERE ? IN ('', f.kind) ORDER BY f.rowid"
        )
        with self._file.transaction() as db:
            return [Feedback(*row) for row in db.execute(sql, (kind or "",))]

    def add_overrule(self, overrule: Overrule) -> None:
        """Keep a route that a person changed."""
        history = json.dumps(overrule.history, ensure_ascii=False)
        row = (_new_id(), overrule.question, history, overrule.collection, overrule.routed, overrule.expected)
        with self._file.transaction() as db:
            columns = "id, question, history, collection, routed, expected, created"
            db.execute(f"INSERT INTO overrules ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, time.time()))  # noqa: S608

    def overrules(self) -> list[Overrule]:
        """All overruled routes, oldest first."""
        sql = "SELECT question, history, collection, routed, expected FROM overrules ORDER BY rowid"
        with self._file.transaction() as db:
            return [Overrule(row[0], tuple(json.loads(row[1])), *row[2:]) for row in db.execute(sql)]

    # --- moving

    def take_over(self, other: "History") -> int:
        """Copy what another place keeps and this one lacks, all of it or nothing; returns how many rows came."""
        with other._file.transaction() as theirs, self._file.transaction() as ours:
            return sum(_copied(table, columns, theirs, ours) for table, columns in _COLUMNS.items())

    # --- inside

    def _change(self, sql: str, values: Sequence[Any], subject: str) -> None:
        with self._file.transaction() as db:
            if db.execute(sql, values).rowcount == 0:
                raise KeyError(subject)

    def _append(self, db: Statements, conversation_id: str, parent_id: str, role: str, text: str) -> StoredMessage:
        now, message_id = time.time(), _new_id()
        status = "done" if role == "user" else "streaming"
        sql = (
            "INSERT INTO messages (id, conversation, parent, role, text, status, created) VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        db.execute(sql, (message_id, conversation_id, parent_id, role, text, status, now))
        db.execute("UPDATE conversations SET leaf = ?, updated = ? WHERE id = ?", (message_id, now, conversation_id))
        return _stored(db, message_id)


def open_history(settings: Settings) -> History:
    """The conversations that the settings lead to."""
    return History(settings.paths.conversations_file, settings.database_url, settings.owner)


def _copied(table: str, columns: tuple[str, ...], theirs: Statements, ours: Statements) -> int:
    names, places = ", ".join(columns), ", ".join("?" * len(columns))
    known = {row[0] for row in ours.execute(f"SELECT id FROM {table}")}  # noqa: S608 names of our own
    rows = theirs.execute(f"SELECT {names} FROM {table} ORDER BY rowid")  # noqa: S608
    missing = [tuple(row) for row in rows if row[0] not in known]
    for row in missing:
        ours.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", row)  # noqa: S608
    return len(missing)


def _new_id() -> str:
    return uuid.uuid4().hex


def _row(db: Statements, sql: str, key: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = db.execute(sql, (key,)).fetchone()
    if row is None:
        raise KeyError(key)
    return row


def _stored(db: Statements, message_id: str) -> StoredMessage:
    sql = "SELECT id, conversation, parent, role, text, status, created, receipt FROM messages WHERE id = ?"
    id_, conversation, parent, role, text, status, created, receipt = _row(db, sql, message_id)
    family = _siblings(db, conversation, parent)
    place = family.index(message_id) + 1
    kept = json.loads(receipt)
    return StoredMessage(id_, conversation, parent, role, text, status, created, kept, place, len(family))


def _siblings(db: Statements, conversation_id: str, parent_id: str) -> list[str]:
    sql = "SELECT id FROM messages WHERE conversation = ? AND parent = ? ORDER BY rowid"
    return [row[0] for row in db.execute(sql, (conversation_id, parent_id))]


def _path_to(db: Statements, leaf: str) -> list[StoredMessage]:
    path: list[StoredMessage] = []
    while leaf:
        path.append(_stored(db, leaf))
        leaf = path[-1].parent_id
    return path[::-1]
