"""A collection made of the contexts of a question set, kept from run to run."""

import hashlib
from pathlib import Path

from core.config import Settings
from core.language import language_of
from core.types import Chunk, Document, Page
from evaluation.datasets import Passage, read_contexts
from retrieval.embedder import open_embedder
from retrieval.library import Library

BATCH = 64


def contexts_library(contexts: Path, settings: Settings) -> tuple[Library, str]:
    """Return a library holding a collection of the contexts (one chunk each, its id as the uri), and its name.

    It lies in the cache folder under the hash of the file, so only the first run embeds.
    """
    name = hashlib.sha256(contexts.read_bytes()).hexdigest()[:16]
    apart = settings.model_copy(update={"home": settings.paths.cache / "evaluation"})
    library = Library(apart, open_embedder(settings))
    with library.writer(name) as store:
        if store.counts()["documents"] == 0:
            for passage in read_contexts(contexts):
                store.put_document(*_document(passage))
        while pending := store.chunks_without_vectors(BATCH):
            vectors = library.embedder.embed_documents([chunk.embedded_text for chunk in pending])
            store.put_vectors([chunk.id for chunk in pending], vectors)
    return library, name


def _document(passage: Passage) -> tuple[Document, list[Chunk]]:
    text, language = passage.text, language_of(passage.text)
    digest = hashlib.sha256(f"{passage.id}\n{text}".encode()).hexdigest()
    document = Document(passage.id, passage.title, (Page(text),), digest, "text/plain", language)
    chunk = Chunk("", "", text, 0, 0, len(text), title=passage.title, uri=passage.id, language=language)
    return document, [chunk]
