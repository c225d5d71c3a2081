"""A second look at the best passages: both orders mixed, a model asked for probabilities, a real tiny cross-encoder."""

import importlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from core.config import Settings
from core.errors import ModelLoadError, ModelNotFoundError
from core.types import Chunk, Scope, ScoredChunk
from retrieval.library import Library
from retrieval.reranker import CrossEncoderReranker, LikelihoodReranker, open_reranker, reranked
from tests.retrieval.conftest import put


def hits(*scores: float) -> list[ScoredChunk]:
    return [
        ScoredChunk(Chunk(str(place), "d", f"passage {place}", place, 0, 1), score)
        for place, score in enumerate(scores)
    ]


class Scripted:
    def __init__(self, weight: float, *scores: float) -> None:
        self.weight = weight
        self._scores = scores

    def scores(self, query: str, passages: Sequence[str]) -> Sequence[float]:
        return self._scores[: len(passages)]


def order(found: Sequence[ScoredChunk]) -> list[str]:
    return [hit.chunk.id for hit in found]


def test_the_weight_decides_between_both_orders():
    found = hits(0.9, 0.8, 0.1)
    assert order(reranked(Scripted(0.0, 1, 2, 3), "q", found)) == ["0", "1", "2"]
    assert order(reranked(Scripted(1.0, 1, 2, 3), "q", found)) == ["2", "1", "0"]
    # First order between 0 and 1: 1, 0.875, 0; second: 0, 1, 0.5. Half of each: 0.5, 0.9375, 0.25.
    half = reranked(Scripted(0.5, 1, 3, 2), "q", found)
    assert order(half) == ["1", "0", "2"]
    assert half[0].score == pytest.approx(0.9 * 0.9375)


def test_what_is_behind_stays_behind_and_one_passage_is_left_alone():
    found = hits(*[1.0 - place / 20 for place in range(10)])
    again = reranked(Scripted(1.0, *range(10)), "q", found)
    assert order(again) == [str(place) for place in (7, 6, 5, 4, 3, 2, 1, 0, 8, 9)]
    assert reranked(Scripted(1.0, 5), "q", found[:1]) == found[:1]
    assert reranked(Scripted(1.0), "q", []) == []


class Model:
    """Knows the question better after a passage that shares its words."""

    def log_probabilities(self, prompt: str, continuation: str) -> list[float]:
        assert prompt.endswith("Question: ")
        return [-1.0 if word in prompt else -3.0 for word in continuation.split()]


def test_likelihood_is_the_mean_over_the_question():
    scores = LikelihoodReranker(Model()).scores("red fox", ["a red fox", "a red hen", "hens"])
    assert scores == [-1.0, -2.0, -3.0]


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one small layer with random weights: nothing it says is wise, everything about it is real."""
    import torch

    transformers: Any = importlib.import_module("transformers")
    folder = tmp_path_factory.mktemp("cross")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "fox", "hen", "a"]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.BertConfig(vocab_size=len(words), num_labels=1, **sizes)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    transformers.BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def test_a_cross_encoder_gives_the_models_own_logits(cross_encoder: Path):
    import torch

    transformers: Any = importlib.import_module("transformers")
    passages = ["a red fox", "a hen"]
    scores = CrossEncoderReranker(cross_encoder).scores("red fox", passages)
    model = transformers.BertForSequenceClassification.from_pretrained(cross_encoder).eval()
    tokenizer = transformers.BertTokenizerFast.from_pretrained(cross_encoder)
    for passage, score in zip(passages, scores, strict=True):
        with torch.inference_mode():
            logits = model(**tokenizer("red fox", passage, return_tensors="pt")).logits
        assert score == pytest.approx(float(logits[0, -1]), abs=1e-5)
    assert scores[0] != scores[1]


def test_a_search_by_settings_ends_in_the_order_of_the_cross_encoder(cross_encoder: Path, library: Library):
    texts = ["a red fox", "a hen", "red hen a fox", "fox fox red", "hen hen hen a"]
    with library.writer("notes") as store:
        for number, text in enumerate(texts):
            put(store, library.embedder, f"/{number}.md", text)
    named = Library(library.settings.model_copy(update={"reranker": str(cross_encoder)}), library.embedder)
    found = named.searcher().retrieve("red fox", Scope("notes"), 5)
    plain = library.searcher().retrieve("red fox", Scope("notes"), 5)
    shown = [hit.chunk.embedded_text for hit in plain.chunks]
    scores = dict(zip(shown, CrossEncoderReranker(cross_encoder).scores("red fox", shown), strict=True))
    assert [hit.chunk.embedded_text for hit in found.chunks] == sorted(shown, key=lambda text: -scores[text])
    assert found.milliseconds["rerank"] > 0
    assert "rerank" not in plain.milliseconds


@pytest.mark.parametrize("damage", ["pickled", "cut", "other"])
def test_a_folder_that_holds_no_cross_encoder_says_so(damage: str, cross_encoder: Path, tmp_path: Path):
    import torch

    folder = tmp_path / "broken"
    shutil.copytree(cross_encoder, folder)
    weights = folder / "model.safetensors"
    if damage == "pickled":
        torch.save({}, folder / "pytorch_model.bin")
        weights.unlink()
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:100])
    else:
        (folder / "config.json").write_text('{"model_type": "no_such_model"}', encoding="utf-8")
    with pytest.raises(ModelLoadError, match="cannot be loaded") as caught:
        CrossEncoderReranker(folder).scores("red", ["fox"])
    assert str(folder) in caught.value.message.zh


def test_the_setting_names_a_folder_or_says_how_to_get_one(cross_encoder: Path, tmp_path: Path, library: Library):
    assert open_reranker(Settings(home=tmp_path)) is None
    assert open_reranker(Settings(home=tmp_path, reranker=str(cross_encoder))) is not None
    wrong = Library(library.settings.model_copy(update={"reranker": "no/such"}), library.embedder)
    with pytest.raises(ModelNotFoundError) as caught:
        wrong.searcher()
    assert "hf download" in caught.value.message.en
    assert "no/such" in caught.value.message.zh
