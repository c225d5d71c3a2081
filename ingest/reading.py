"""One file read, from bytes to clean pages: what the child process does."""

import time
from dataclasses import replace
from pathlib import Path

from ingest import reasons
from ingest.loaders import registry
from ingest.normalizer import normalize, without_furniture
from ingest.types import Parsed, Source

MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_CHARACTERS = 50_000_000


def read_file(path: Path, name: str, password: str = "") -> Parsed:
    """Load, normalise and judge one file. Raises a DocumentError with the reason where nothing can be had of it."""
    started = time.perf_counter()
    parsed = _load(Source(name, _bytes_of(path, name), password))
    pages = tuple(replace(page, text=normalize(page.text)) for page in parsed.pages)
    if any(page.number is not None for page in pages) and parsed.structure == "plain":
        pages = without_furniture(pages)
    parsed = replace(parsed, pages=pages, title=" ".join(normalize(parsed.title).split())[:300])
    characters = sum(len(page.text) for page in pages)
    if characters > MAX_CHARACTERS:
        raise reasons.too_large(name, reasons.TOO_MANY_BYTES)
    if not any(page.text.strip() for page in pages):
        raise _nothing_found(name, parsed)
    return replace(parsed, metadata={**parsed.metadata, "seconds": round(time.perf_counter() - started, 3)})


def _load(source: Source) -> Parsed:
    """What a file says; where it says nothing itself, what the documents say that were inserted in it as objects.

    Beside a text they are left out: most of them are the numbers behind its charts.
    """
    parsed = registry.load(source)
    if any(page.text.strip() for page in parsed.pages):
        return parsed
    inserted = registry.load_objects(source)
    if inserted is None or not inserted.pages:
        return parsed
    return replace(inserted, title=parsed.title, media_type=parsed.media_type)


def _bytes_of(path: Path, name: str) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise reasons.too_large(name, reasons.TOO_MANY_BYTES)
        return path.read_bytes()
    except OSError as error:
        raise reasons.unreadable(name, error.strerror or str(error)) from error


def _nothing_found(name: str, parsed: Parsed) -> Exception:
    """An empty file, unless the loader knows why it found nothing."""
    if parsed.warnings:
        return reasons.nothing_read(name, parsed.warnings[0])
    return reasons.damaged(name) if parsed.incomplete else reasons.empty(name)
