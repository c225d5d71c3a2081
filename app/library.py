"""What the pages ask of the collections: summaries, the document around a passage."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import CollectionError
from core.types import PAGE_BREAK, Chunk, Page
from retrieval.records import DocumentRecord

if TYPE_CHECKING:
    from retrieval.library import Library


@dataclass(frozen=True)
class Summary:
    """A collection in one line."""

    name: str
    documents: int
    chunks: int
    vectors: int
    failures: int


@dataclass(frozen=True)
class Surroundings:
    """The document of a passage: its record, its whole text and its pages."""

    record: DocumentRecord
    text: str
    pages: tuple[Page, ...]


@dataclass(frozen=True)
class Choices:
    """What a search may be narrowed to: titles by document id, folders, tags."""

    documents: Mapping[str, str]
    folders: tuple[str, ...]
    tags: tuple[str, ...]


def choices_of(records: Sequence[DocumentRecord], home: Path) -> Choices:
    """The choices of a collection. A folder inside the data folder is ours, not the person's; a single one is none."""
    folders = sorted({str(Path(record.uri).parent) for record in records if not Path(record.uri).is_relative_to(home)})
    return Choices(
        {record.id: record.title or Path(record.uri).name for record in records},
        tuple(folders) if len(folders) > 1 else (),
        tuple(sorted({tag for record in records for tag in record.tags})),
    )


def summaries(library: "Library") -> list[Summary]:
    """All collections with their counts, by name."""
    found = []
    for name in library.names():
        with closing(library.reader(name)) as store:
            counts = store.counts()
        fields = ("documents", "chunks", "vectors", "failures")
        found.append(Summary(name, *(counts[field] for field in fields)))
    return found


def parts_on_pages(pages: Sequence[Page], start: int, end: int) -> dict[int, tuple[int, int]]:
    """A span of the document's text, page by page: number -> the part of it there; empty without page numbers."""
    found, at = {}, 0
    for page in pages:
        part = (max(start, at), min(end, at + len(page.text)))
        if page.number is not None and part[0] < part[1]:
            found[page.number] = part
        at += len(page.text) + len(PAGE_BREAK)
    return found


def surroundings(library: "Library", chunk: Chunk) -> Surroundings | None:
    """The document that a passage came from; None where it was removed since."""
    for name in library.names():
        try:
            with closing(library.reader(name)) as store:
                record = store.document(chunk.document_id)
                if record is not None:
                    text = store.document_text(record.id)
                    return Surroundings(record, text, store.document_pages(record.id))
        except CollectionError:
            # Deleted or damaged between two looks: another collection may still hold the document.
            continue
    return None
