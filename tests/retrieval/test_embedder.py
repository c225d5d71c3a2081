"""The embedded encoder, the real one: pinned, counted by its own tokenizer, equal to what its own library computes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.config import Settings
from core.errors import ModelLoadError, ModelNotFoundError
from core.paths import embedded_encoder
from retrieval.bert_arrays import ArrayBert, batches_by_length
from retrieval.embedder import EMBEDDED_SHA256, LangChainEmbeddings, SentenceEncoder, WholeModel, open_embedder
from retrieval.encoder_runtimes import ARRAYS, LEAST_COSINE, WAYS, choose, open_runtime, probe_texts, recall
from retrieval.fakes import HashEmbedder
from retrieval.protocol import Embedder

TEXTS = [
    "A cat sits on the mat.",
    "word " * 700,
    "The stock market fell sharply.",
    "A kitten is sitting on a rug.",
    "",
    "灯塔建于一八八七年。 def f(x): return x ** 2  # ñandú, naïve, 😀",
    "| name | price |\n|---|---|\n| lamp | 48 |\n" * 6,
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> SentenceEncoder:
    opened = open_embedder(Settings(home=tmp_path_factory.mktemp("home")))
    assert isinstance(opened, SentenceEncoder)
    return opened


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """The vectors of `TEXTS` by the model's own library."""
    folder = embedded_encoder()
    assert folder is not None
    return WholeModel(folder).encode(TEXTS)


def cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("nd,nd->n", ours, theirs))


def test_it_says_what_it_is(encoder: Embedder):
    assert (encoder.dimension, encoder.max_tokens, encoder.languages) == (384, 256, ("en",))
    assert encoder.name == "all-MiniLM-L6-v2@53aa5117"


def test_tokens_are_the_models_own(encoder: Embedder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(embedded_encoder()), local_files_only=True)
    expected = [len(tokenizer.encode(text, add_special_tokens=False, verbose=False)) for text in TEXTS]
    assert encoder.count_tokens(TEXTS) == expected
    assert encoder.count_tokens(["猫坐在垫子上"]) == [6]


def test_words_met_before_are_taken_apart_as_the_first_time(encoder: SentenceEncoder):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(encoder.folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    texts = [
        *probe_texts(),
        *TEXTS,
        "\u200b",
        "a\u200bb \u200b c",
        "\ttabs\u3000and\xa0spaces",
        "[SEP] [MASK]",
        "x" * 300,
    ]
    plain = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    whole = [tokenizer.encode(text).ids for text in texts]
    for _ in range(2):
        assert encoder.plain_token_ids(texts) == plain
        cut = [ids if len(ids) <= 256 else [*ids[:255], ids[-1]] for ids in whole]
        assert encoder.token_ids(texts) == cut


def test_vectors_are_of_unit_length_and_in_order(encoder: Embedder):
    together = encoder.embed_documents(TEXTS)
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    assert np.allclose(together[3], encoder.embed_query(TEXTS[3]), atol=1e-4)
    likeness = together @ together[0]
    assert likeness[3] > 0.6 > likeness[2]
    assert encoder.embed_documents([]).shape == (0, 384)
    assert np.allclose(LangChainEmbeddings(encoder).embed_query(TEXTS[0]), together[0], atol=1e-4)


def test_a_question_is_encoded_as_the_models_own_library_does(encoder: SentenceEncoder, truth: np.ndarray):
    ours = np.stack([encoder.embed_query(text) for text in TEXTS])
    assert cosines(ours, truth).min() > 0.9999
    assert np.abs(ours - truth).max() < 1e-4


def test_a_question_needs_neither_torch_nor_the_library():
    code = (
        "import sys; from pathlib import Path; from core.config import Settings;"
        "from retrieval.embedder import open_embedder;"
        "v = open_embedder(Settings(home=Path('none'))).embed_query('Where is the lighthouse?');"
        "print(len(v), [name for name in ('torch', 'transformers', 'sentence_transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "384 []"


@pytest.mark.parametrize("way", [*WAYS, ARRAYS])
def test_every_way_of_computing_is_faithful(encoder: SentenceEncoder, truth: np.ndarray, way: str):
    runtime = open_runtime(way, encoder.arrays(), encoder.token_ids(probe_texts()[::4]))
    found = cosines(runtime.embed(encoder.token_ids(TEXTS)), truth)
    assert found.min() > (0.97 if "int8" in way else 0.9999)
    probes = encoder.token_ids(probe_texts()[1::6])
    assert cosines(runtime.embed(probes), encoder.arrays().embed(probes)).min() > LEAST_COSINE


def test_the_fastest_way_is_measured_once_and_remembered(encoder: SentenceEncoder, tmp_path: Path):
    note = tmp_path / "cache" / "way.json"
    examples = encoder.token_ids(probe_texts()[:4])
    choice = choose(encoder.arrays(), examples, note)
    assert {way.name for way in choice.measured} <= set(WAYS)
    faithful = [way for way in choice.measured if way.least_cosine >= LEAST_COSINE]
    assert choice.name == max(faithful, key=lambda way: way.texts_per_second).name
    kept = json.loads(note.read_text())
    note.write_text(json.dumps(kept | {"name": "arrays"}))
    assert choose(encoder.arrays(), examples, note).name == "arrays"
    for damage in ("{", json.dumps(kept | {"machine": "another"}), json.dumps(kept | {"name": "unheard of"})):
        note.write_text(damage)
        assert recall(note) is None


def test_batches_go_from_long_to_short_and_lose_nobody():
    lengths = [3, 50, 7, 50, 200, 1]
    batches = list(batches_by_length(lengths, 100))
    assert sorted(place for batch in batches for place in batch) == list(range(6))
    assert [max(lengths[place] for place in batch) for batch in batches] == [200, 50, 7]
    assert all(len(batch) * max(lengths[place] for place in batch) <= 100 for batch in batches[1:])


def test_batches_are_as_few_as_possible_and_of_one_size():
    assert [len(batch) for batch in batches_by_length([190] * 64, 4_096)] == [16] * 4
    assert list(batches_by_length([], 4_096)) == []
    assert [len(batch) for batch in batches_by_length([9_000, 9_000, 5], 4_096)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", {"model_type": "xlm-roberta"}),
        ("config.json", {"hidden_act": "relu"}),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False}),
    ],
)
def test_a_model_of_another_kind_is_left_to_its_own_library(tmp_path: Path, file: str, change: dict[str, object]):
    folder = embedded_encoder()
    assert folder is not None
    shutil.copytree(folder, tmp_path / "m", ignore=shutil.ignore_patterns("model.safetensors"))
    (tmp_path / "m" / "model.safetensors").touch()
    assert ArrayBert.can_read(tmp_path / "m")
    path = tmp_path / "m" / file
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert not ArrayBert.can_read(tmp_path / "m")


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
