"""From what a loader read to what the collection keeps: the document, its quality card, its tables."""

import datetime
import email.utils
import re
from collections.abc import Mapping
from typing import Any

from core.language import language_of
from core.types import Chunk, Document
from ingest.plan import Job
from ingest.types import Parsed
from retrieval.tables import TableData

_SAMPLE = 20_000
_PDF_DATE = re.compile(r"^D:(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?")


def make_document(job: Job, parsed: Parsed) -> Document:
    """The document of a file. Its date is what the file states of its last change, else that of the file system."""
    sample = " ".join(page.text[:_SAMPLE] for page in parsed.pages[:20])[:_SAMPLE]
    stated = parsed.metadata.get("modified") or parsed.metadata.get("date") or parsed.metadata.get("created")
    kept = {key: value for key, value in parsed.metadata.items() if key not in ("seconds",)}
    return Document(
        uri=job.file.uri,
        title=parsed.title or job.file.path.stem,
        pages=parsed.pages,
        content_hash=job.content_hash,
        media_type=parsed.media_type,
        language=language_of(sample),
        metadata={
            **kept,
            "structure": parsed.structure,
            "size": job.file.size,
            "modified_ns": job.file.modified,
            "modified_at": parse_date(str(stated or "")) or job.file.modified / 1e9,
        },
    )


def quality_card(document: Document, parsed: Parsed, chunks: list[Chunk], seconds: float) -> Mapping[str, Any]:
    """What the ledger shows of a file. `yield` is characters of text per byte of the file."""
    characters = parsed.characters
    size = int(document.metadata.get("size", 0))
    return {
        "status": "partial" if parsed.incomplete else "ok",
        "pages": sum(page.number is not None for page in parsed.pages) or None,
        "characters": characters,
        "bytes": size,
        "yield": round(characters / size, 4) if size else 0.0,
        "chunks": len(chunks),
        "tables": len(parsed.tables),
        "language": document.language,
        "encoding": document.metadata.get("encoding"),
        "garbled_pages": list(parsed.garbled_pages),
        "ocr_pages": list(parsed.ocr_pages),
        "seconds": round(seconds, 3),
        "warnings": [{"en": warning.en, "zh": warning.zh} for warning in parsed.warnings],
    }


def table_data(parsed: Parsed) -> list[TableData]:
    """The tables as the store takes them."""
    return [TableData(table.name, table.columns, table.rows) for table in parsed.tables]


def parse_date(text: str) -> float | None:
    """Seconds since the epoch of an ISO 8601, RFC 2822 or PDF date; None where it is none. No zone means UTC."""
    found = _PDF_DATE.match(text)
    if found:
        year, *rest = (int(part) if part else None for part in found.groups())
        month, day, hour, minute = (rest[0] or 1, rest[1] or 1, rest[2] or 0, rest[3] or 0)
        return _timestamp(lambda: datetime.datetime(year or 1970, month, day, hour, minute))
    iso = _timestamp(lambda: datetime.datetime.fromisoformat(text.strip()))
    return iso if iso is not None else _timestamp(lambda: email.utils.parsedate_to_datetime(text))


def _timestamp(read: Any) -> float | None:
    try:
        moment: datetime.datetime = read()
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
        return zoned.timestamp()
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None
