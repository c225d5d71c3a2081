"""A collection as LangChain knows such things: a `VectorStore` and a `BaseRetriever`; and its encoders as ours."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document as LangChainDocument
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from pydantic import ConfigDict

from core.config import Settings
from core.language import language_of
from core.types import Chunk, Document, Page, Scope, ScoredChunk
from retrieval.embedder import LangChainEmbeddings
from retrieval.library import Library
from retrieval.protocol import Embedder, Vectors
from retrieval.records import hash_text
from retrieval.retriever import HybridSearcher
from retrieval.store import CollectionStore


class CollectionVectorStore(VectorStore):
    """A collection of the library. A LangChain document becomes a document of one chunk, its id the uri."""

    def __init__(self, library: Library, collection: str) -> None:
        self._library = library
        self._collection = collection
        self._searcher = HybridSearcher(library, arranged=False)

    @property
    def embeddings(self) -> Embeddings:
        """The encoder of the library."""
        return LangChainEmbeddings(self._library.embedder)

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Add or replace by id; returns the ids, new ones where none were given."""
        found = list(texts)
        names = [name or uuid.uuid4().hex for name in ids or [""] * len(found)]
        with self._library.writer(self._collection, wait_seconds=30.0) as store:
            for name, text, metadata in zip(names, found, metadatas or [{}] * len(found), strict=True):
                store.put_document(*_as_document(name, text, metadata))
            _embed_new(store, self._library.embedder_of(store))
        return names

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool | None:
        """Remove documents by id; those that are not there are passed over. Without ids everything is removed."""
        with self._library.writer(self._collection, wait_seconds=30.0) as store:
            for record in store.documents() if ids is None else map(store.document_by_uri, ids):
                if record is not None:
                    store.remove_document(record.id)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[LangChainDocument]:
        """The documents of these ids; those that are not there are left out."""
        if not self._library.exists(self._collection):
            return []
        with self._library.reader(self._collection) as store:
            records = [record for name in ids if (record := store.document_by_uri(name)) is not None]
            return [
                LangChainDocument(store.document_text(record.id), metadata=dict(record.metadata), id=record.uri)
                for record in records
            ]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[LangChainDocument]:
        """The best `k` passages. `scope` narrows the search."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, *, scope: Scope | None = None, **kwargs: Any
    ) -> list[tuple[LangChainDocument, float]]:
        """The best `k` passages with their scores, 0..1, higher is better."""
        if not self._library.exists(self._collection):
            return []
        found = self._searcher.retrieve(query, scope or Scope(self._collection), k)
        return [(as_langchain(hit), hit.score) for hit in found.chunks]

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[LangChainDocument]:
        """`k` of the best `fetch_k`, each chosen for its score and for its distance from those before it."""
        found = self.similarity_search_with_score(query, fetch_k, **kwargs)
        if not found:
            return []
        vectors = self._library.embedder.embed_documents([document.page_content for document, _ in found])
        order = diverse_order(vectors, np.array([score for _, score in found]), k, lambda_mult)
        return [found[place][0] for place in order]

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> "CollectionVectorStore":
        """A store in `settings` (its data folder) under the name `collection`, filled with these texts."""
        settings: Settings = kwargs["settings"]
        store = cls(Library(settings, EncoderFromLangChain(embedding)), kwargs.get("collection", "langchain"))
        store.add_texts(texts, metadatas, ids=ids)
        return store


class CollectionRetriever(BaseRetriever):
    """Our search as a LangChain retriever."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    searcher: Any
    scope: Scope = Scope()
    k: int = 4

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None, **kwargs: Any
    ) -> list[LangChainDocument]:
        found = self.searcher.retrieve(query, self.scope, k or self.k)
        return [as_langchain(hit) for hit in found.chunks]


class EncoderFromLangChain:
    """Any LangChain `Embeddings` as our encoder; its vectors are made unit length."""

    def __init__(
        self, embeddings: Embeddings, languages: tuple[str, ...] = ("en", "zh"), max_tokens: int = 512
    ) -> None:
        self._embeddings = embeddings
        self.name = type(embeddings).__name__
        self.languages = languages
        self.max_tokens = max_tokens
        self.dimension = len(embeddings.embed_query("dimension"))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """An estimate: a quarter of the bytes, as the tokenizer is not known."""
        return [max(1, len(text.encode("utf-8")) // 4) for text in texts]

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """float32 (len(texts), dimension), unit rows."""
        rows = self._embeddings.embed_documents(list(texts)) if texts else []
        return _unit(np.asarray(rows, np.float32).reshape(len(texts), self.dimension))

    def embed_query(self, text: str) -> Vectors:
        """float32 (dimension,), of unit length."""
        return np.asarray(_unit(np.asarray([self._embeddings.embed_query(text)], np.float32))[0], np.float32)


def as_langchain(hit: ScoredChunk) -> LangChainDocument:
    """A passage as a LangChain document: the metadata of its file's reader, and where it stands when it has a place."""
    metadata = dict(hit.chunk.metadata)
    if "langchain" in metadata:
        return LangChainDocument(hit.chunk.text, metadata=metadata["langchain"], id=hit.chunk.uri)
    place = {"title": hit.chunk.title, "source": hit.chunk.uri, "page": hit.chunk.page, "start": hit.chunk.start}
    return LangChainDocument(hit.chunk.text, metadata={**metadata, **place}, id=hit.chunk.id)


def diverse_order(vectors: Vectors, scores: np.ndarray[Any, Any], k: int, weight: float) -> list[int]:
    """Maximal marginal relevance (Carbonell & Goldstein 1998): rows in order, `weight` 1 for relevance alone."""
    chosen: list[int] = []
    likeness = vectors @ vectors.T
    while len(chosen) < min(k, len(scores)):
        repeated = likeness[:, chosen].max(axis=1) if chosen else np.zeros(len(scores))
        gain = weight * scores - (1.0 - weight) * repeated
        gain[chosen] = -np.inf
        chosen.append(int(np.argmax(gain)))
    return chosen


def _embed_new(store: CollectionStore, embedder: Embedder, batch: int = 256) -> None:
    while pending := store.chunks_without_vectors(batch):
        store.put_vectors(
            [chunk.id for chunk in pending], embedder.embed_documents([chunk.embedded_text for chunk in pending])
        )


def _as_document(name: str, text: str, metadata: dict[str, Any]) -> tuple[Document, list[Chunk]]:
    language = language_of(text)
    document = Document(name, "", (Page(text),), hash_text(text), language=language, metadata=metadata)
    # The metadata stays data under a key of its own: what a caller writes in it never becomes one of our fields.
    return document, [Chunk("", "", text, 0, 0, len(text), language=language, metadata={"langchain": metadata})]


def _unit(rows: Vectors) -> Vectors:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)
