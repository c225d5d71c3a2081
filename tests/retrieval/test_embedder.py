"""The embedded encoder, the real one: pinned, counted by its own tokenizer, unit vectors in the order asked for."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from core.config import Settings
from core.errors import ModelLoadError, ModelNotFoundError
from core.paths import embedded_encoder
from retrieval.embedder import EMBEDDED_SHA256, LangChainEmbeddings, SentenceEncoder, open_embedder
from retrieval.fakes import HashEmbedder
from retrieval.protocol import Embedder

TEXTS = ["A cat sits on the mat.", "word " * 700, "The stock market fell sharply.", "A kitten is sitting on a rug."]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return open_embedder(Settings(home=tmp_path_factory.mktemp("home")))


def test_it_says_what_it_is(encoder: Embedder):
    assert (encoder.dimension, encoder.max_tokens, encoder.languages) == (384, 256, ("en",))
    assert encoder.name == "all-MiniLM-L6-v2@53aa5117"


def test_tokens_are_the_models_own(encoder: Embedder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(embedded_encoder()), local_files_only=True)
    expected = [len(tokenizer.encode(text, add_special_tokens=False, verbose=False)) for text in TEXTS]
    assert encoder.count_tokens(TEXTS) == expected
    assert encoder.count_tokens(["猫坐在垫子上"]) == [6]


def test_vectors_are_of_unit_length_and_in_order(encoder: Embedder):
    together = encoder.embed_documents(TEXTS)
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    assert np.allclose(together[3], encoder.embed_query(TEXTS[3]), atol=1e-4)
    likeness = together @ together[0]
    assert likeness[3] > 0.6 > likeness[2]
    assert encoder.embed_documents([]).shape == (0, 384)
    assert np.allclose(LangChainEmbeddings(encoder).embed_query(TEXTS[0]), together[0], atol=1e-4)


def test_a_changed_weights_file_is_refused(tmp_path: Path):
    folder = embedded_encoder()
    assert folder is not None
    shutil.copytree(folder, tmp_path / "m", ignore=shutil.ignore_patterns("model.safetensors"))
    (tmp_path / "m" / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(ModelLoadError, match="not the file that was pinned"):
        SentenceEncoder(tmp_path / "m", "m", sha256=EMBEDDED_SHA256).embed_query("x")


def test_a_missing_encoder_is_named(tmp_path: Path):
    with pytest.raises(ModelNotFoundError, match="no/such"):
        open_embedder(Settings(home=tmp_path, encoder="no/such"))


def test_the_hashing_encoder_brings_shared_words_together():
    encoder = HashEmbedder()
    cat, other_cat, dog = encoder.embed_documents(["a cat sat here", "the cat sat", "dogs bark loudly"])
    assert float(cat @ other_cat) > float(cat @ dog)
    assert np.allclose(np.linalg.norm(encoder.embed_documents(["", "x 猫"]), axis=1), 1.0)
