"""The documents and tables of the library as the tools see them."""

from collections.abc import Mapping
from pathlib import Path

from inference.protocol import ChatEngine
from retrieval.library import Library
from retrieval.tables import FILE_NAME
from tools.clock import Now, local_now
from tools.registry import ToolParts


def library_parts(library: Library, engine: ChatEngine | None = None, now: Now = local_now) -> ToolParts:
    """What the built-in tools work on: the library's documents, its tables, its encoder, and the chat model."""
    return ToolParts(
        searcher=library.searcher(),
        reader_of=lambda name: StoredDocuments(library, name),
        tables_of=lambda name: tables_file(library, name),
        engine=engine,
        embedder=library.embedder,
        now=now,
    )


class StoredDocuments:
    """The texts of one collection, read anew for each call: what was deleted is gone at once."""

    def __init__(self, library: Library, collection: str) -> None:
        self._library = library
        self._collection = collection

    def titles(self) -> Mapping[str, str]:
        """Document id -> title. Raises CollectionNotFoundError."""
        with self._library.reader(self._collection) as store:
            return {record.id: record.title for record in store.documents()}

    def text(self, document_id: str) -> str:
        """The whole text of a document."""
        with self._library.reader(self._collection) as store:
            return store.document_text(document_id)


def tables_file(library: Library, collection: str) -> Path | None:
    """The SQLite file with the tables of a collection, None where it has none."""
    path = library.settings.paths.collection(collection) / FILE_NAME
    return path if path.is_file() else None
