"""Collections made of a few real sentences, with the encoder that needs no model."""

import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.config import Settings
from core.types import Chunk, Document, Page
from retrieval.fakes import HashEmbedder
from retrieval.library import Library
from retrieval.protocol import Embedder
from retrieval.store import CollectionStore
from tests.retrieval.milvus_server import MilvusProcess, milvus_client


def document(uri: str, *texts: str, **metadata: object) -> tuple[Document, list[Chunk]]:
    """A document whose chunks are `texts`, in order, joined by a blank."""
    chunks, start = [], 0
    for position, text in enumerate(texts):
        chunks.append(Chunk("", "", text, position, start, start + len(text), title=Path(uri).stem))
        start += len(text) + 1
    whole = " ".join(texts)
    return Document(uri, Path(uri).stem, (Page(whole, 1),), f"hash of {whole}", metadata=metadata), chunks


def put(store: CollectionStore, embedder: Embedder, uri: str, *texts: str, **metadata: object) -> str:
    """Put a document and the vectors of its chunks."""
    document_id = store.put_document(*document(uri, *texts, **metadata))
    pending = store.chunks_without_vectors(1000)
    store.put_vectors([c.id for c in pending], embedder.embed_documents([c.embedded_text for c in pending]))
    return document_id


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(Settings(home=tmp_path), HashEmbedder())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CollectionStore]:
    with CollectionStore(tmp_path / "c", writable=True, name="notes") as opened:
        yield opened


def _skip_without(*modules: str) -> None:
    missing = [name for name in modules if not importlib.util.find_spec(name)]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install -r requirements-servers.txt")


@pytest.fixture(scope="session")
def milvus_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Milvus server, in a folder that the tests throw away."""
    _skip_without("milvus", "pymilvus")
    server = MilvusProcess(tmp_path_factory.mktemp("milvus"))
    yield server.start()
    server.stop()


def emptied(url: str) -> str:
    """The same server, with nothing of ours on it."""
    if url.startswith("milvus"):
        client = milvus_client(url)
        for name in client.list_collections():
            client.drop_collection(name)
        client.close()
        return url
    psycopg = importlib.import_module("psycopg")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS fourfold CASCADE")
    return url
