"""What a collection tells of its documents and of the files that it could not read."""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.language import Bilingual
from core.types import PAGE_BREAK, Chunk, Document, Page


@dataclass(frozen=True)
class DocumentRecord:
    """A document of a collection without its text. Times are seconds since the epoch; `card` is its quality card."""

    id: str
    uri: str
    title: str
    content_hash: str
    media_type: str
    language: str
    tags: tuple[str, ...]
    status: str
    added_at: float
    modified_at: float | None
    chunks: int
    card: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0


@dataclass(frozen=True)
class FailureRecord:
    """A file that could not be read, as it was when it was tried. `error` is the name of the class of the error."""

    uri: str
    content_hash: str
    error: str
    message: Bilingual
    failed_at: float


def hash_text(text: str) -> str:
    """The first 128 bits of the SHA-256 of `text`, as hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def document_text(document: Document) -> str:
    """The text in which the spans of the chunks count."""
    return PAGE_BREAK.join(page.text for page in document.pages)


def pages_as_json(document: Document) -> str:
    """Number, label and span (start, end) of each page in the document's text."""
    start, rows = 0, []
    for page in document.pages:
        rows.append([page.number, page.label, start, start + len(page.text)])
        start += len(page.text) + len(PAGE_BREAK)
    return as_json(rows)


def pages_from_json(pages: str, text: str) -> tuple[Page, ...]:
    """The inverse of `pages_as_json`."""
    return tuple(Page(text[start:end], number, label) for number, label, start, end in json.loads(pages))


def as_json(value: object) -> str:
    """Compact JSON; what JSON does not know becomes its text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def record_from_row(row: sqlite3.Row) -> DocumentRecord:
    """A row of `documents` with the additional column `chunks`."""
    return DocumentRecord(
        id=row["id"],
        uri=row["uri"],
        title=row["title"],
        content_hash=row["content_hash"],
        media_type=row["media_type"],
        language=row["language"],
        tags=tuple(json.loads(row["tags"])),
        status=row["status"],
        added_at=row["added_at"],
        modified_at=row["modified_at"],
        chunks=row["chunks"],
        card=json.loads(row["card"]),
        metadata=json.loads(row["metadata"]),
        number=row["number"],
    )


def chunk_from_row(row: sqlite3.Row) -> Chunk:
    """A row of `chunks` joined with `document_id`, `title` and `uri` of its document."""
    return Chunk(
        id=row["id"],
        document_id=row["document_id"],
        text=row["text"],
        position=row["position"],
        start=row["start"],
        end=row["end"],
        page=row["page"],
        heading_path=tuple(json.loads(row["heading_path"])),
        title=row["title"],
        uri=row["uri"],
        language=row["language"],
        metadata=json.loads(row["metadata"]),
    )
