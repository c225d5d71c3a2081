"""One collection in SQLite, the only truth: documents, chunks, vectors, failures, tags. Indexes are derived from it.

One writer at a time (it holds the folder's lock), any number of readers and threads. Every public method that writes
is one transaction: after it returns its effect survives a power cut, and before that nothing of it is seen.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import CollectionError, CollectionNotFoundError, EncoderMismatchError
from core.language import Bilingual
from core.types import Chunk, Document, Page
from retrieval.lock import WriterLock
from retrieval.protocol import Vectors
from retrieval.records import (
    DocumentRecord,
    FailureRecord,
    as_json,
    chunk_from_row,
    pages_from_json,
    record_from_row,
)
from retrieval.schema import FILE_NAME, create_file, open_connection
from retrieval.tables import TableData, TableFile, TableRecord
from retrieval.writing import insert_chunks, insert_document, known_vectors, new_document_id

_CHUNK_COLUMNS = (
    "SELECT c.*, d.id AS document_id, d.title, d.uri FROM chunks AS c JOIN documents AS d ON d.number = c.document"
)
_DOCUMENT_COLUMNS = (
    "SELECT d.*, (SELECT count(*) FROM chunks AS c WHERE c.document = d.number) AS chunks FROM documents AS d"
)
# SQLite allows 32,766 variables in a statement; a few hundred keep its plan small.
_BATCH = 500


class CollectionStore:
    """The documents of one collection. Use it as a `with` block, or call `close`."""

    def __init__(self, folder: Path, *, writable: bool = False, name: str = "", wait_seconds: float = 0.0) -> None:
        """Open the collection in `folder`. A writer makes it where it is missing and holds its lock until `close`.

        Raises CollectionNotFoundError (a reader, and nothing there) or CollectionLockedError (another writer).
        """
        self.folder = folder
        self.writable = writable
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._write_lock = threading.RLock()
        self._lock = WriterLock(folder) if writable else None
        if self._lock is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(wait_seconds)
            if not (folder / FILE_NAME).is_file():
                create_file(folder, name or folder.name)
        elif not (folder / FILE_NAME).is_file():
            raise CollectionNotFoundError(
                Bilingual(
                    en=f"There is no collection {name!r}. Ingest some files into it first.",
                    zh=f"不存在文档集“{name}”。请先向其中导入文件。",
                )
            )
        self._inode = (folder / FILE_NAME).stat().st_ino
        self.tables = TableFile(folder)

    def __enter__(self) -> "CollectionStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection and give the writer's lock back."""
        for connection in self._opened:
            connection.close()
        self._opened.clear()
        self._local = threading.local()
        if self._lock is not None:
            self._lock.release()

    def is_current_file(self) -> bool:
        """Whether the file that was opened is the one that is there now."""
        path = self.folder / FILE_NAME
        return path.is_file() and path.stat().st_ino == self._inode

    # --- what the collection is -------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The collection's name as its owner wrote it."""
        return self.meta("name") or ""

    def meta(self, key: str) -> str | None:
        """A value that the collection remembers, or None."""
        row = self._read().execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row["value"])

    def set_meta(self, key: str, value: str) -> None:
        """Remember a value."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def bind(self, embedder: str, dimension: int, splitter: str = "") -> None:
        """Remember what the vectors and chunks are made with. Raises EncoderMismatchError where others made them."""
        wanted = {"embedder": embedder, "dimension": str(dimension), "splitter": splitter}
        for key, value in wanted.items():
            if not value:
                continue
            known = self.meta(key)
            if known is not None and known != value and self.counts()["chunks"]:
                raise EncoderMismatchError(_describe_mismatch(self.name, key, known, value))
            if known != value:
                self.set_meta(key, value)

    def counts(self) -> dict[str, int]:
        """How many `documents`, `chunks`, `vectors` and `failures` there are."""
        tables = ("documents", "chunks", "vectors", "failures")
        return {name: int(self._read().execute(f"SELECT count(*) FROM {name}").fetchone()[0]) for name in tables}  # noqa: S608

    def revision(self) -> tuple[int, int, int, int]:
        """Grows with every change a search can see: highest chunk, vector and removal ever given, document edits."""
        row = (
            self._read()
            .execute(
                "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'chunks'), 0),"
                " coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'vectors'), 0),"
                " coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'removed'), 0),"
                " coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'edits'), 0)"
            )
            .fetchone()
        )
        return (row[0], row[1], row[2], row[3])

    # --- documents --------------------------------------------------------------------------------------------------

    def put_document(
        self,
        document: Document,
        chunks: Sequence[Chunk],
        card: Mapping[str, Any] | None = None,
        *,
        tags: Sequence[str] | None = None,
        status: str = "ready",
    ) -> str:
        """Add `document` with its chunks, or replace the one of the same uri, in one commit. Returns its id.

        The id of a replaced document, its tags (unless given) and the vectors of unchanged chunks are kept. The ids
        of documents and chunks are made here; those in `chunks` are not looked at. `metadata["modified_at"]` of the
        document, in seconds since the epoch, is its date. A recorded failure of the same uri is forgotten.
        """
        with self._transaction() as connection:
            known = connection.execute(_DOCUMENT_COLUMNS + " WHERE d.uri = ?", (document.uri,)).fetchone()
            before = record_from_row(known) if known else None
            kept_tags = tuple(tags) if tags is not None else (before.tags if before else ())
            document_id = before.id if before else new_document_id(connection, document.uri)
            vectors = known_vectors(connection, chunks)
            connection.execute("DELETE FROM documents WHERE uri = ?", (document.uri,))
            number = insert_document(connection, document_id, document, kept_tags, card or {}, status)
            insert_chunks(connection, number, document_id, chunks, vectors)
            connection.execute("DELETE FROM failures WHERE uri = ?", (document.uri,))
            self._note_edit(connection)
        return document_id

    def remove_document(self, document_id: str) -> bool:
        """Remove a document with all that belongs to it; False where there is none. It can never answer again."""
        with self._transaction() as connection:
            removed = connection.execute("DELETE FROM documents WHERE id = ?", (document_id,)).rowcount > 0
            self._note_edit(connection)
        self.tables.remove(document_id)
        return removed

    def rename_document(self, document_id: str, uri: str, title: str | None = None) -> None:
        """Give a document that moved its new uri; nothing is embedded again."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE documents SET uri = ?, title = coalesce(?, title) WHERE id = ?", (uri, title, document_id)
            )
            self._note_edit(connection)

    def set_tags(self, document_id: str, tags: Sequence[str]) -> None:
        """Replace the tags of a document."""
        with self._transaction() as connection:
            unique = sorted({tag.strip() for tag in tags if tag.strip()})
            connection.execute("UPDATE documents SET tags = ? WHERE id = ?", (as_json(unique), document_id))
            self._note_edit(connection)

    def documents(self) -> list[DocumentRecord]:
        """All documents by uri, without their texts."""
        return [record_from_row(row) for row in self._read().execute(_DOCUMENT_COLUMNS + " ORDER BY d.uri")]

    def document(self, document_id: str) -> DocumentRecord | None:
        """One document, or None."""
        row = self._read().execute(_DOCUMENT_COLUMNS + " WHERE d.id = ?", (document_id,)).fetchone()
        return None if row is None else record_from_row(row)

    def document_by_uri(self, uri: str) -> DocumentRecord | None:
        """The document of this uri, or None."""
        row = self._read().execute(_DOCUMENT_COLUMNS + " WHERE d.uri = ?", (uri,)).fetchone()
        return None if row is None else record_from_row(row)

    def find_by_hash(self, content_hash: str) -> list[DocumentRecord]:
        """The documents whose files had this content."""
        rows = self._read().execute(_DOCUMENT_COLUMNS + " WHERE d.content_hash = ?", (content_hash,))
        return [record_from_row(row) for row in rows]

    def document_text(self, document_id: str) -> str:
        """The text in which the spans of the document's chunks count; empty where there is no such document."""
        row = self._read().execute("SELECT text FROM documents WHERE id = ?", (document_id,)).fetchone()
        return "" if row is None else str(row["text"])

    def document_pages(self, document_id: str) -> tuple[Page, ...]:
        """The pages of a document."""
        row = self._read().execute("SELECT text, pages FROM documents WHERE id = ?", (document_id,)).fetchone()
        return () if row is None else pages_from_json(row["pages"], row["text"])

    # --- chunks and vectors -----------------------------------------------------------------------------------------

    def chunk(self, chunk_id: str) -> Chunk | None:
        """One chunk by its id, or None."""
        row = self._read().execute(_CHUNK_COLUMNS + " WHERE c.id = ?", (chunk_id,)).fetchone()
        return None if row is None else chunk_from_row(row)

    def chunks(self, chunk_ids: Sequence[str]) -> list[Chunk]:
        """The chunks of these ids, in their order; an id that is not there is left out."""
        found = {row["id"]: chunk_from_row(row) for row in self._in_batches(_CHUNK_COLUMNS + " WHERE c.id", chunk_ids)}
        return [found[chunk_id] for chunk_id in chunk_ids if chunk_id in found]

    def chunks_of_document(self, document_id: str) -> list[Chunk]:
        """The chunks of a document in the order of the text."""
        rows = self._read().execute(_CHUNK_COLUMNS + " WHERE d.id = ? ORDER BY c.position", (document_id,))
        return [chunk_from_row(row) for row in rows]

    def chunks_by_number(self, numbers: Sequence[int]) -> dict[int, Chunk]:
        """Chunks by their row number; one that is not there is left out."""
        return {
            row["number"]: chunk_from_row(row) for row in self._in_batches(_CHUNK_COLUMNS + " WHERE c.number", numbers)
        }

    def iter_chunks(self, after: int = 0) -> Iterator[tuple[int, Chunk]]:
        """All chunks whose number is above `after`, with their numbers, rising."""
        for row in self._read().execute(_CHUNK_COLUMNS + " WHERE c.number > ? ORDER BY c.number", (after,)):
            yield row["number"], chunk_from_row(row)

    def chunks_without_vectors(self, limit: int) -> list[Chunk]:
        """At most `limit` chunks that are searchable by keyword only, those of the newest documents first."""
        missing = " WHERE NOT EXISTS (SELECT 1 FROM vectors WHERE chunk = c.number)"
        query = f"{missing} ORDER BY c.document DESC, c.position LIMIT ?"
        return [chunk_from_row(row) for row in self._read().execute(_CHUNK_COLUMNS + query, (limit,))]

    def put_vectors(self, chunk_ids: Sequence[str], vectors: Vectors) -> None:
        """Store vectors, float32 (len(chunk_ids), dimension), in one commit. Chunks that are gone are passed over."""
        rows = [
            (np.ascontiguousarray(row, np.float32).tobytes(), key) for key, row in zip(chunk_ids, vectors, strict=True)
        ]
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO vectors (vector, chunk) SELECT ?, number FROM chunks WHERE id = ?", rows
            )

    def iter_vectors(self, after: int = 0, batch: int = 1_024) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        """Batches of vectors with a sequence above `after`.

        int64 (n, 2) of sequence and chunk number, float32 (n, dimension).
        """
        cursor = self._read().execute(
            "SELECT sequence, chunk, vector FROM vectors WHERE sequence > ? ORDER BY sequence", (after,)
        )
        while rows := cursor.fetchmany(batch):
            keys = np.array([(row[0], row[1]) for row in rows], dtype=np.int64)
            yield keys, np.frombuffer(b"".join(row[2] for row in rows), np.float32).reshape(len(rows), -1)

    def vectors(self, numbers: Sequence[int]) -> dict[int, Vectors]:
        """float32 (dimension,) by chunk number; chunks without a vector are left out."""
        rows = self._in_batches("SELECT chunk, vector FROM vectors WHERE chunk", numbers)
        return {row["chunk"]: np.frombuffer(row["vector"], np.float32) for row in rows}

    def put_tables(self, document_id: str, tables: Sequence[TableData]) -> list[TableRecord]:
        """Replace the SQL tables of a document, in one commit of their own file. Empty removes them."""
        record = self.document(document_id)
        return self.tables.put(document_id, record.uri if record else "", tables)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let this thread's reads inside the block see one state, whatever is committed meanwhile."""
        connection = self._read()
        if connection.in_transaction:
            yield
            return
        connection.execute("BEGIN")
        try:
            yield
        finally:
            connection.execute("COMMIT")

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Run a reading query of a derived index."""
        return self._read().execute(query, parameters).fetchall()

    # --- failures and generations -----------------------------------------------------------------------------------

    def record_failure(self, uri: str, content_hash: str, message: Bilingual, error: str = "DocumentError") -> None:
        """Remember that a file could not be read, so that it is named and not tried again until it changes."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?)",
                (uri, content_hash, error, message.en, message.zh, time.time()),
            )

    def forget_failure(self, uri: str) -> None:
        """Forget a recorded failure."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM failures WHERE uri = ?", (uri,))

    def failures(self) -> list[FailureRecord]:
        """The files that could not be read, by uri."""
        return [
            FailureRecord(
                row["uri"],
                row["content_hash"],
                row["error"],
                Bilingual(row["message_en"], row["message_zh"]),
                row["failed_at"],
            )
            for row in self._read().execute("SELECT * FROM failures ORDER BY uri")
        ]

    def generation(self, kind: str) -> str | None:
        """The folder name of the current generation of an index, or None."""
        row = self._read().execute("SELECT folder FROM generations WHERE kind = ?", (kind,)).fetchone()
        return None if row is None else str(row["folder"])

    def set_generation(self, kind: str, folder: str | None) -> None:
        """Name the current generation of an index: the commit point of its making. None forgets it."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM generations WHERE kind = ?", (kind,))
            if folder is not None:
                connection.execute("INSERT INTO generations VALUES (?, ?)", (kind, folder))

    # --- inside -----------------------------------------------------------------------------------------------------

    def _read(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = open_connection(self.folder, writable=self.writable)
            self._local.connection = connection
            self._opened.append(connection)
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if not self.writable:
            raise CollectionError(
                Bilingual(en="This collection was opened for reading.", zh="该文档集以只读方式打开。")
            )
        with self._write_lock:
            connection = self._read()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _in_batches(self, query: str, keys: Sequence[Any]) -> Iterator[sqlite3.Row]:
        for start in range(0, len(keys), _BATCH):
            batch = list(keys[start : start + _BATCH])
            yield from self._read().execute(f"{query} IN ({','.join('?' * len(batch))})", batch)

    @staticmethod
    def _note_edit(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO meta VALUES ('edits', '1') ON CONFLICT (key) DO UPDATE SET value = value + 1")


def _describe_mismatch(collection: str, key: str, known: str, wanted: str) -> Bilingual:
    names = {
        "embedder": Bilingual("encoder", "编码器"),
        "dimension": Bilingual("vector length", "向量维数"),
        "splitter": Bilingual("splitter settings", "切分设置"),
    }
    return Bilingual(
        en=f"The collection {collection!r} was made with the {names[key].en} {known!r}, but {wanted!r} is set now. "
        f"Go back to it, or ingest the files into a new collection.",
        zh=f"文档集“{collection}”是用{names[key].zh}“{known}”建立的，而当前设置为“{wanted}”。请改回原设置，或将文件导入新的文档集。",
    )
