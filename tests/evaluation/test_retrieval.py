"""The retrieval exam on real questions with the encoder that needs no model."""

import pytest

from core.config import Settings
from core.language import Language
from core.types import Scope
from evaluation.datasets import read_contexts, read_questions
from evaluation.evidence import levels
from evaluation.retrieval import Row, collection_of, differences, rows_of, summary
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
    rows = rows_of(HybridSearcher(library, "lexical", arranged=False), questions, collection)
    result = summary(rows)
    assert result["n"] == 120
    mean, low, high = result["ndcg@10"]
    assert low <= mean <= high
    assert mean >= 0.95
    foreign = ["who won the champions league", "谁是最好的厨师？"] * 3
    shares = levels(library.searcher(), foreign, Scope(collection))
    assert shares["strong"] <= 0.5


def row(language: Language, ndcg: float) -> Row:
    return Row(language, {"ndcg@10": ndcg}, 2.0)


def test_means_by_language_with_intervals():
    told = summary([row("en", 1.0), row("en", 1.0), row("zh", 0.0)])
    assert told["ndcg@10"][0] == pytest.approx(2 / 3, abs=1e-4)
    assert told["languages"]["en"]["ndcg@10"] == [1.0, 1.0, 1.0]
    assert (told["languages"]["zh"]["n"], told["milliseconds_p50"]) == (1, 2.0)
    assert summary([]) == {"n": 0}


def test_the_fusion_is_compared_with_the_better_leg_question_by_question():
    rows = {
        "dense": [row("en", 0.5), row("en", 0.5)],
        "lexical": [row("en", 1.0), row("en", 0.5)],
        "hybrid": [row("en", 1.0), row("en", 1.0)],
        "reranked": [row("en", 0.5), row("en", 0.5)],
    }
    told = differences(rows)
    assert told["hybrid over lexical"][0] == 0.25
    assert told["reranked over hybrid"] == [-0.5, -0.5, -0.5]
    assert differences({"dense": rows["dense"]}) == {}
