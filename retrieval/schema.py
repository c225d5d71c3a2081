"""The tables of a collection's SQLite file, and how a connection to it is opened.

`chunks.number` and `vectors.sequence` only ever grow and are never given twice: an index that knows "everything up
to N" stays right for ever, and what came later is told by comparing one number.
"""

import sqlite3
from pathlib import Path

SCHEMA_VERSION = 1
FILE_NAME = "collection.db"

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    uri TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    media_type TEXT NOT NULL,
    language TEXT NOT NULL,
    text TEXT NOT NULL,
    pages TEXT NOT NULL,
    tags TEXT NOT NULL,
    metadata TEXT NOT NULL,
    card TEXT NOT NULL,
    status TEXT NOT NULL,
    modified_at REAL,
    added_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS documents_by_hash ON documents (content_hash);
CREATE TABLE IF NOT EXISTS chunks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    document INTEGER NOT NULL REFERENCES documents (number) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    text TEXT NOT NULL,
    text_hash TEXT NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    page INTEGER,
    heading_path TEXT NOT NULL,
    language TEXT NOT NULL,
    metadata TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS chunks_by_document ON chunks (document, position);
CREATE INDEX IF NOT EXISTS chunks_by_text ON chunks (text_hash);
CREATE TABLE IF NOT EXISTS vectors (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    chunk INTEGER NOT NULL UNIQUE REFERENCES chunks (number) ON DELETE CASCADE,
    vector BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS removed (sequence INTEGER PRIMARY KEY AUTOINCREMENT, chunk INTEGER NOT NULL);
CREATE TRIGGER IF NOT EXISTS note_removed AFTER DELETE ON chunks
    BEGIN INSERT INTO removed (chunk) VALUES (old.number); END;
CREATE TABLE IF NOT EXISTS failures (
    uri TEXT PRIMARY KEY,
    content_hash TEXT NOT NULL,
    error TEXT NOT NULL,
    message_en TEXT NOT NULL,
    message_zh TEXT NOT NULL,
    failed_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS generations (kind TEXT PRIMARY KEY, folder TEXT NOT NULL) WITHOUT ROWID;
"""


def create_file(folder: Path, name: str) -> None:
    """Make `collection.db` with its tables and its name, and rename it into place: nobody sees one without them."""
    for left_behind in folder.glob(f"{FILE_NAME}.new*"):
        left_behind.unlink(missing_ok=True)
    draft = folder / f"{FILE_NAME}.new"
    connection = sqlite3.connect(draft, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(_TABLES)
    connection.execute("INSERT INTO meta VALUES ('name', ?)", (name,))
    # Closing brings the log into the file and deletes it.
    connection.close()
    draft.replace(folder / FILE_NAME)


def open_connection(folder: Path, *, writable: bool) -> sqlite3.Connection:
    """Open `collection.db` in `folder`; a writer makes the tables where they are missing, a reader cannot change any.

    Raises sqlite3.DatabaseError where the file is not a collection.
    """
    connection = sqlite3.connect(folder / FILE_NAME, timeout=30.0, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    # FULL: a commit is on the disk before it is acknowledged, also when the power fails.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON"):
        connection.execute(f"PRAGMA {pragma}")
    if writable:
        # Ids and hashes fall all over their indexes: with SQLite's 2 MB of cache and a checkpoint every 4 MB, a million
        # chunks wrote 18 GB for one.
        connection.execute("PRAGMA cache_size=-8192")
        connection.execute("PRAGMA wal_autocheckpoint=16384")
        connection.executescript(_TABLES)
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('schema_version', ?)", (str(SCHEMA_VERSION),))
    else:
        connection.execute("PRAGMA query_only=ON")
    return connection
