"""What the pages ask of the collections: summaries, the document around a passage."""

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import CollectionError
from core.types import Chunk, Page
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


def summaries(library: "Library") -> list[Summary]:
    """All collections with their counts, by name."""
    found = []
    for name in library.names():
        with closing(library.reader(name)) as store:
            counts = store.counts()
        fields = ("documents", "chunks", "vectors", "failures")
        found.append(Summary(name, *(counts[field] for field in fields)))
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
