"""The instant profile on a tiny model: what is distilled, what is kept, and which collection speaks which profile."""

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from core.config import Settings
from core.errors import EncoderMismatchError
from core.types import Scope
from retrieval.embedder import SentenceEncoder, in_profile, instant_of, open_embedder, sibling
from retrieval.library import Library
from retrieval.static_encoder import DIMENSION, StaticEncoder, distil, frequency_ranks
from tests.retrieval import tiny_bert
from tests.retrieval.conftest import document


@pytest.fixture
def base(tmp_path: Path) -> SentenceEncoder:
    return SentenceEncoder(tiny_bert.write(tmp_path / "tiny"), "tiny")


@pytest.fixture
def instant(base: SentenceEncoder, tmp_path: Path) -> StaticEncoder:
    return StaticEncoder(base, tmp_path / "kept")


def settings(tmp_path: Path, profile: str) -> Settings:
    return Settings(home=tmp_path / "home", encoder=str(tmp_path / "tiny"), encoder_profile=profile)


@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token"])
def test_the_arrays_compute_what_transformers_computes(tmp_path: Path, pooling: str):
    import torch
    from transformers import BertConfig, BertModel

    folder = tiny_bert.write(tmp_path / pooling, pooling)
    encoder = SentenceEncoder(folder, "tiny")
    model = BertModel(BertConfig.from_pretrained(folder), add_pooling_layer=False)
    model.train(False)
    weights = {name: torch.from_numpy(value) for name, value in tiny_bert._weights().items()}
    model.load_state_dict(weights, strict=False)
    for text in ("the cat sits", "a dog runs of the lighthouse mat " * 3, ""):
        ids = torch.tensor(encoder.token_ids([text]))
        with torch.inference_mode():
            states = model(input_ids=ids).last_hidden_state[0]
        wanted = (states[0] if pooling == "cls_token" else states.mean(0)).numpy()
        assert np.allclose(encoder.embed_query(text), wanted / np.linalg.norm(wanted), atol=1e-5)


def test_a_text_is_the_weighed_sum_of_its_tokens(instant: StaticEncoder):
    table = instant.table()
    ids = instant.base.plain_token_ids(["the cat sits", "lighthouse"])
    assert ids[1] == [12, 13]
    wanted = np.stack([table[row].sum(axis=0) for row in ids])
    found = instant.embed_documents(["the cat sits", "lighthouse"])
    assert np.allclose(found, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-6)
    assert np.allclose(instant.embed_query("sits the cat"), found[0], atol=1e-6)
    assert np.allclose(np.linalg.norm(instant.embed_documents(["", "cat", ""]), axis=1), 1.0)
    assert instant.embed_documents([]).shape == (0, instant.dimension)


def test_principal_axes_keep_the_likeness_of_tokens_and_frequent_ones_weigh_less(base: SentenceEncoder):
    vectors = base.embed_vocabulary()
    table = distil(base)
    assert table.shape == (len(tiny_bert.WORDS), DIMENSION)
    # Fewer tokens than axes: the turn loses nothing, so that angles between centred tokens are unchanged.
    spoken = vectors[4:]
    centred = spoken - spoken.mean(axis=0)
    assert not table[:4].any()
    table = table[4:]
    before = centred @ centred.T / np.outer(np.linalg.norm(centred, axis=1), np.linalg.norm(centred, axis=1))
    after = table @ table.T / np.outer(np.linalg.norm(table, axis=1), np.linalg.norm(table, axis=1))
    assert np.allclose(before, after, atol=1e-3)
    shares = np.linalg.norm(table, axis=1) / np.linalg.norm(centred, axis=1)
    # "a" is a letter alone and stands aside; "the" is the most frequent word.
    assert (np.diff(np.delete(shares, 1)) > 0).all()


def test_frequency_follows_the_order_of_words_but_not_of_single_characters():
    ranks = frequency_ranks(["[PAD]", "<s>", "!", "a", "猫", "the", "▁of", "##s", "light"])
    assert list(ranks) == [0, 0, 1, 100, 5_000, 1, 2, 100, 3]


def test_the_table_is_made_once_and_a_damaged_one_anew(base: SentenceEncoder, instant: StaticEncoder, tmp_path: Path):
    first = instant.table()
    made = (tmp_path / "kept" / "table.npy").stat().st_mtime_ns
    assert np.array_equal(StaticEncoder(base, tmp_path / "kept").table(), first)
    assert (tmp_path / "kept" / "table.npy").stat().st_mtime_ns == made
    data = bytearray((tmp_path / "kept" / "table.npy").read_bytes())
    data[-1] ^= 1
    (tmp_path / "kept" / "table.npy").write_bytes(data)
    assert np.array_equal(StaticEncoder(base, tmp_path / "kept").table(), first)
    assert json.loads((tmp_path / "kept" / "manifest.json").read_text())["name"] == "tiny+instant1"


def test_the_setting_chooses_the_profile(base: SentenceEncoder, tmp_path: Path):
    accurate = open_embedder(settings(tmp_path, "accurate"))
    instant = open_embedder(settings(tmp_path, "instant"))
    assert isinstance(instant, StaticEncoder)
    assert instant.name == f"{accurate.name}+instant1"
    assert instant.count_tokens(["the cat"]) == accurate.count_tokens(["the cat"]) == [2]
    found = sibling(accurate, instant.name, settings(tmp_path, "accurate"))
    assert isinstance(found, StaticEncoder)
    back = sibling(instant, accurate.name, settings(tmp_path, "instant"))
    assert back is not None
    assert back.name == accurate.name
    assert in_profile(accurate, "instant", settings(tmp_path, "accurate")).name == instant.name
    assert in_profile(instant, "accurate", settings(tmp_path, "instant")).name == accurate.name
    assert in_profile(instant, "instant", settings(tmp_path, "instant")) is instant
    assert sibling(accurate, "another", settings(tmp_path, "accurate")) is None


def test_a_collection_keeps_the_profile_that_it_was_made_with(base: SentenceEncoder, tmp_path: Path):
    chosen = settings(tmp_path, "accurate")
    accurate = open_embedder(chosen)
    assert isinstance(accurate, SentenceEncoder)
    library = Library(chosen, accurate)
    library.create("quick", instant_of(accurate, chosen))
    library.create("careful")
    for name, dimension in (("quick", DIMENSION), ("careful", tiny_bert.HIDDEN)):
        with library.writer(name) as store:
            store.put_document(*document("cats.txt", "the cat sits", "a dog runs"))
            pending = store.chunks_without_vectors(9)
            vectors = library.embedder_of(store).embed_documents([chunk.embedded_text for chunk in pending])
            assert vectors.shape == (2, dimension)
            store.put_vectors([chunk.id for chunk in pending], vectors)
    # Opened by a library of the other profile, both still answer, each with its own encoder.
    other = Library(settings(tmp_path, "instant"), open_embedder(settings(tmp_path, "instant")))
    for name in ("quick", "careful"):
        best = other.searcher().retrieve("cat", Scope(name), 1).chunks[0]
        assert best.chunk.text.startswith("the cat sits")
        assert "dense" in best.legs
    stranger = Library(chosen, SentenceEncoder(base.folder, "stranger"))
    with pytest.raises(EncoderMismatchError), stranger.writer("quick"):
        pass
    with closing(library.reader("quick")) as store:
        assert store.meta("embedder") == instant_of(accurate, chosen).name
