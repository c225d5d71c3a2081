"""The rows of a document: what `CollectionStore.put_document` writes inside its transaction."""

import itertools
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.types import Chunk, Document
from retrieval.records import as_json, document_text, hash_text, pages_as_json


def known_vectors(connection: sqlite3.Connection, chunks: Iterable[Chunk]) -> dict[str, bytes]:
    """The vectors that the collection already has for the same embedded texts, by the hash of the text."""
    query = "SELECT v.vector FROM chunks AS c JOIN vectors AS v ON v.chunk = c.number WHERE c.text_hash = ? LIMIT 1"
    hashes = {hash_text(chunk.embedded_text) for chunk in chunks}
    found = {key: connection.execute(query, (key,)).fetchone() for key in hashes}
    return {key: row["vector"] for key, row in found.items() if row is not None}


def new_document_id(connection: sqlite3.Connection, uri: str) -> str:
    """The id of a document that was not here: by its uri alone, so that every machine gives the same one.

    Where a document that was renamed since still has it, the next one that is free.
    """
    for attempt in itertools.count():
        found = hash_text(f"{uri}\n{attempt}")[:16]
        if connection.execute("SELECT 1 FROM documents WHERE id = ?", (found,)).fetchone() is None:
            return found
    raise AssertionError("unreachable")


def insert_document(
    connection: sqlite3.Connection,
    document_id: str,
    document: Document,
    tags: Sequence[str],
    card: Mapping[str, Any],
    status: str,
) -> int:
    """Insert a row of `documents`; returns its number."""
    modified = document.metadata.get("modified_at")
    values = {
        "id": document_id,
        "uri": document.uri,
        "title": document.title,
        "content_hash": document.content_hash,
        "media_type": document.media_type,
        "language": document.language,
        "text": document_text(document),
        "pages": pages_as_json(document),
        "tags": as_json(tags),
        "metadata": as_json(dict(document.metadata)),
        "card": as_json(dict(card)),
        "status": status,
        "modified_at": None if modified is None else float(modified),
        "added_at": time.time(),
    }
    return _insert(connection, "documents", values)


def insert_chunks(
    connection: sqlite3.Connection,
    document: int,
    document_id: str,
    chunks: Sequence[Chunk],
    vectors: Mapping[str, bytes],
) -> None:
    """Insert the rows of `chunks`, and of `vectors` where the vector of the same text is in `vectors`."""
    for position, chunk in enumerate(chunks):
        text_hash = hash_text(chunk.embedded_text)
        values = {
            # A chunk keeps its id as long as it says the same at the same place, so that old citations still open.
            "id": hash_text(f"{document_id}\n{position}\n{chunk.text}")[:20],
            "document": document,
            "position": position,
            "text": chunk.text,
            "text_hash": text_hash,
            "start": chunk.start,
            "end": chunk.end,
            "page": chunk.page,
            "heading_path": as_json(chunk.heading_path),
            "language": chunk.language,
            "metadata": as_json(dict(chunk.metadata)),
        }
        number = _insert(connection, "chunks", values)
        if text_hash in vectors:
            _insert(connection, "vectors", {"chunk": number, "vector": vectors[text_hash]})


def _insert(connection: sqlite3.Connection, table: str, values: Mapping[str, Any]) -> int:
    names, marks = ", ".join(f'"{name}"' for name in values), ", ".join("?" * len(values))
    # Table and column names are the literals above; what came from a file travels as a parameter.
    cursor = connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))  # noqa: S608
    return int(cursor.lastrowid or 0)
