"""The public suites of langchain-tests hold our faces to LangChain's contracts."""

from pathlib import Path

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import EmbeddingsIntegrationTests, RetrieversIntegrationTests
from langchain_tests.integration_tests.vectorstores import VectorStoreIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from core.config import Settings
from core.types import Scope
from retrieval.backends.moving import move_to
from retrieval.backends.opening import open_backend
from retrieval.embedder import LangChainEmbeddings
from retrieval.fakes import HashEmbedder
from retrieval.langchain_faces import CollectionRetriever, CollectionVectorStore, EncoderFromLangChain
from retrieval.library import Library
from tests.retrieval.conftest import emptied

TEXTS = ["the cat sat on the mat", "a dog barked at the moon", "ships sail over the sea", "rain falls in spring"]


class TestVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> VectorStore:
        library = Library(Settings(home=tmp_path), EncoderFromLangChain(self.get_embeddings()))
        return CollectionVectorStore(library, "lc")


class TestVectorStoreOnPostgres(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path, postgres_url: str) -> VectorStore:
        return moved(tmp_path, emptied(postgres_url), EncoderFromLangChain(self.get_embeddings()))


class TestVectorStoreOnMilvus(VectorStoreIntegrationTests):
    @pytest.fixture(scope="class")
    def kept(self, tmp_path_factory: pytest.TempPathFactory, milvus_url: str) -> VectorStore:
        """Milvus takes seconds to make a collection: it is made once, and emptied for each test."""
        encoder = EncoderFromLangChain(self.get_embeddings())
        return moved(tmp_path_factory.mktemp("lc"), emptied(milvus_url), encoder)

    @pytest.fixture
    def vectorstore(self, kept: VectorStore) -> VectorStore:
        kept.delete()
        return kept


def moved(home: Path, url: str, encoder: EncoderFromLangChain) -> CollectionVectorStore:
    """An empty collection whose index is on a server."""
    library = Library(Settings(home=home), encoder)
    library.create("lc")
    move_to(library, "lc", open_backend(url))
    served = Library(Settings(home=home, index_url=url), encoder)
    with served.reader("lc") as store:
        assert served.remote(store) is not None
    return CollectionVectorStore(served, "lc")


class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _filled(self, tmp_path: Path) -> None:
        library = Library(Settings(home=tmp_path), HashEmbedder())
        CollectionVectorStore(library, "lc").add_texts(TEXTS)
        self.library = library

    @property
    def retriever_constructor(self) -> type[CollectionRetriever]:
        return CollectionRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, object]:
        return {"searcher": self.library.searcher(), "scope": Scope("lc")}

    @property
    def retriever_query_example(self) -> str:
        return "cat and dog under rain over the sea"


class TestEmbeddingsUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return LangChainEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, object]:
        return {"embedder": HashEmbedder()}


class TestEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return LangChainEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, object]:
        return {"embedder": HashEmbedder()}


def test_metadata_that_looks_like_a_command_stays_data(tmp_path: Path):
    odd = {"lc": 1, "type": "secret", "id": ["OPENAI_API_KEY"]}
    store = CollectionVectorStore(Library(Settings(home=tmp_path), HashEmbedder()), "lc")
    store.add_texts(["harmless"], [odd])
    assert store.similarity_search("harmless", 1)[0].metadata == odd


def test_diversity_prefers_what_was_not_said_yet(tmp_path: Path):
    store = CollectionVectorStore(Library(Settings(home=tmp_path), HashEmbedder()), "lc")
    store.add_texts(["red apple pie recipe", "red apple pie recipe book", "red wine from the hills"])
    found = store.max_marginal_relevance_search("red apple pie recipe", k=2, lambda_mult=0.2)
    assert [document.page_content for document in found] == ["red apple pie recipe", "red wine from the hills"]
