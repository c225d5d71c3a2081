"""The retrieval exam on real questions with the encoder that needs no model."""

import pytest

from core.config import Settings
from core.types import Scope
from evaluation.datasets import read_contexts, read_questions
from evaluation.evidence import levels
from evaluation.retrieval import collection_of, measure
from retrieval.fakes import HashEmbedder
from retrieval.library import Library
from retrieval.retriever import HybridSearcher


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(Settings(home=tmp_path_factory.mktemp("home")), HashEmbedder())


@pytest.mark.parametrize("name", ["xquad_en", "xquad_zh"])
def test_keywords_alone_keep_their_measured_quality(library: Library, name: str):
    folder = Settings().eval_data / "qa"
    if not folder.is_dir():
        pytest.skip(f"no evaluation data at {folder}; set FOURFOLD_EVAL_DATA")
    collection = collection_of(library, read_contexts(folder / f"{name}.contexts.jsonl"))
    assert collection_of(library, read_contexts(folder / f"{name}.contexts.jsonl")) == collection
    questions = read_questions(folder / f"{name}.dev.jsonl", 120)
    result = measure(HybridSearcher(library, "lexical", arranged=False), questions, collection)
    assert result["n"] == 120
    assert result["ndcg@10"] >= 0.95
    foreign = ["who won the champions league", "谁是最好的厨师？"] * 3
    shares = levels(library.searcher(), foreign, Scope(collection))
    assert shares["strong"] <= 0.5
