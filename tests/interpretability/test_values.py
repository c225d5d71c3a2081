"""The parts that need no running model, against values worked out by hand or by another library."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from core.errors import ModelLoadError
from interpretability import bigram, embeddings, tour
from interpretability.attention import AttentionMap, SegmentAttention
from interpretability.attribution import leave_one_out, without
from interpretability.comparison import compare, compare_outputs, steering_vectors
from interpretability.logit_lens import HiddenStates, Lens
from interpretability.loop import Branch, Step
from interpretability.model_file import ModelFile, read_model_file
from interpretability.parameters import anatomy
from interpretability.plain import keep_xray, kept_xray, to_plain
from interpretability.tokens import Token, bill, density, merge_ranks, replay_merges
from interpretability.xray import passage_borders


@pytest.fixture(scope="module")
def model(gguf: Path) -> ModelFile:
    return read_model_file(gguf)


# --- the file ---------------------------------------------------------------------------------------------------------


def test_rows_and_blocks_of_a_table_agree_with_the_bytes_on_disk(model: ModelFile, gguf: Path):
    info = model.tensors["token_embd.weight"]
    with gguf.open("rb") as file:
        file.seek(info.offset + 100 * info.n_bytes // info.shape[0])
        raw = np.frombuffer(file.read(info.n_bytes // info.shape[0]), dtype=np.uint8).reshape(-1, 34)
    # Q8_0 by its definition: blocks of a float16 scale and 32 signed bytes.
    by_hand = (raw[:, :2].copy().view(np.float16).astype(np.float32) * raw[:, 2:].view(np.int8)).ravel()
    first, block = next(iter(model.embedding.blocks()))
    assert (first, info.type_name) == (0, "Q8_0")
    assert np.array_equal(model.embedding.rows([100])[0], by_hand)
    assert np.array_equal(block[100], by_hand)


def test_a_tensor_that_is_not_there_is_named(model: ModelFile):
    with pytest.raises(ModelLoadError, match=r"blk\.99\.attn_q\.weight"):
        model.table("blk.99.attn_q.weight")
    assert model.vector("output_norm.bias") is None


def test_anatomy_adds_up(model: ModelFile):
    body = anatomy(model)
    assert (body.n_layers, body.attention_layers, body.n_heads, body.n_kv_heads, body.head_size) == (30, 30, 9, 3, 64)
    assert body.n_parameters == 134_515_008  # the model card's number
    assert body.n_bytes == sum(info.n_bytes for info in model.tensors.values())
    assert body.kv_bytes_per_token == 2 * 30 * 192 * 2
    assert body.flops(3) == sum(body.flops_per_token(position) for position in range(3))


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_merges_lead_to_the_token(model: ModelFile):
    shown = {text: number for number, text in enumerate(model.tokens)}
    steps = replay_merges(model, Token(shown["Ġwonderful"], b" wonderful"))
    assert steps[-1].parts == (" wonderful",)
    assert len(steps) == len(" wonderful") - 1
    assert all(merge_ranks(model) and step.rank >= 0 for step in steps)


def test_merges_follow_the_ranks_of_the_file():
    model = ModelFile(Path("toy.gguf"), {"tokenizer.ggml.merges": ["b c", "a bc", "a b"]}, {})
    steps = replay_merges(model, Token(1, b"abc"))
    assert [(step.left, step.right, step.rank) for step in steps] == [("b", "c", 0), ("a", "bc", 1)]
    assert replay_merges(model, Token(2, b"xyz")) == ()  # no merge leads there


def test_the_bill():
    cost = bill([("system", 10), ("source", 80), ("system", 10)], 50, input_rate=2.0, output_rate=8.0)
    assert cost.tokens_by_origin == {"system": 20, "source": 80}
    assert cost.price == pytest.approx((100 * 2 + 50 * 8) / 1e6)
    assert cost.share("source") == 0.8
    assert density("你好吗", lambda _: 6).characters_per_token == 0.5
    assert Token(1, b"\xe4\xbd").is_part_of_character


# --- embeddings -------------------------------------------------------------------------------------------------------


def test_angles_and_plane():
    rows = np.asarray([[1, 0, 0], [0, 2, 0], [-3, 0, 0]], dtype=np.float32)
    assert np.allclose(embeddings.angles(rows), [[0, 90, 180], [90, 0, 90], [180, 90, 0]], atol=1e-3)
    flat = embeddings.plane(rows)
    assert flat.explained == pytest.approx(1.0)
    assert np.linalg.norm(flat.points[0] - flat.points[2]) == pytest.approx(4.0, rel=1e-5)


def test_nearest_words_and_arithmetic(model: ModelFile):
    shown = {text: number for number, text in enumerate(model.tokens)}
    king, paris = shown["Ġking"], shown["ĠParis"]
    near = embeddings.nearest(model.embedding, model.embedding.rows([king])[0], 6, [king])
    table = embeddings.normalised(model.embedding.rows(range(len(model.tokens))))
    exact = np.argsort(-(table @ table[king]), kind="stable")[1:7]
    assert [item.token_id for item in near] == exact.tolist()
    assert {"ĠKing", "Ġqueen"} <= {model.tokens[item.token_id] for item in near}
    moved = embeddings.combine(model, [paris, shown["ĠEngland"]], [shown["ĠFrance"]])
    best = embeddings.nearest(model.embedding, moved, 1, [paris, shown["ĠEngland"], shown["ĠFrance"]])[0]
    assert model.tokens[best.token_id] == "ĠLondon"


# --- attention, layers, comparison ------------------------------------------------------------------------------------


def test_what_a_row_may_see():
    weights = np.asarray([[[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]], dtype=np.float32)
    seen = AttentionMap(0, weights, first=1)
    assert seen.allowed().tolist() == [[True, True, False], [True, True, True]]
    assert seen.first_token_share == pytest.approx([0.35])
    assert np.array_equal(seen.head(None), weights[0])


def test_sentences_by_segments():
    weights = np.arange(2 * 1 * 4 * 2, dtype=np.float32).reshape(2, 1, 4, 2)
    seen = SegmentAttention((0, 1), weights, (0, 3, 6), first=10)
    assert np.allclose(seen.between([(10, 12), (13, 14)]), [[5, 6], [10, 11]])
    assert np.allclose(seen.between([(10, 12)], "max"), [[9, 10]])
    assert np.allclose(seen.head(1, 0, [(11, 12)]), [[10, 11]])


def test_passages_are_the_odd_segments():
    tokens = [Token(0, b"Ab"), Token(1, b"c\xe4\xbd"), Token(2, b"\xa0d"), Token(3, b"ef")]
    # "Abc你def": characters 2..4 are "c你", which tokens 1 and 2 hold.
    assert passage_borders(tokens, [(2, 4)]) == (0, 1, 3, 4)


def test_change_by_layer():
    states = np.asarray([[[3.0, 4.0]], [[4.0, -3.0]], [[8.0, -6.0]]], dtype=np.float32)
    hidden = HiddenStates(states)
    assert hidden.relative_change()[:, 0] == pytest.approx([np.sqrt(50) / 5, 1.0])
    assert hidden.direction_change()[:, 0] == pytest.approx([90.0, 0.0], abs=0.05)
    ids = np.asarray([[[1], [5]], [[2], [7]], [[3], [7]], [[3], [7]]])
    assert Lens(ids, ids.astype(np.float32)).first_layer_right().tolist() == [2, 1]


def test_comparing_and_steering():
    before = np.log(np.asarray([0.5, 0.25, 0.25], dtype=np.float32))
    after = np.log(np.asarray([0.25, 0.5, 0.25], dtype=np.float32))
    divergence, changes = compare_outputs(before, after, top=2)
    assert divergence == pytest.approx(0.25 * np.log2(0.5) + 0.5 * np.log2(2), abs=1e-5)
    assert {change.token_id for change in changes} == {0, 1}
    states = HiddenStates(np.ones((3, 2, 4), dtype=np.float32))
    moved = HiddenStates(states.states * np.asarray([1, 2, 1], dtype=np.float32)[:, None, None])
    assert compare(states, moved, (before, before)).layer_distance == pytest.approx([0, 1, 0])
    assert compare(states, moved, (before, before)).divergence == pytest.approx(0, abs=1e-6)
    assert steering_vectors(np.full((2, 3, 4), 3.0), np.full((5, 3, 4), 1.0)).tolist() == np.full((3, 4), 2.0).tolist()


# --- which passage ----------------------------------------------------------------------------------------------------


def test_leaving_out_by_hand():
    prompt, spans = "AA BB CC ?", [(0, 3), (3, 6), (6, 9)]
    assert without(prompt, spans, [0, 2]) == "BB ?"

    def score(prompts: Sequence[str], answer: str) -> list[list[float]]:
        assert answer == "bb"
        return [[-1.0 if "BB" in text else -5.0, -0.5 if "CC" in text else -0.75] for text in prompts]

    found = leave_one_out(prompt, spans, "bb", score)
    assert found.weights.tolist() == [0.0, 4.0, 0.25]
    assert found.per_token.tolist() == [[0, 0], [4, 0], [0, 0.25]]
    assert (found.used, found.grounding, found.log_probability) == (1, 4.25, -1.5)
    assert leave_one_out(prompt, spans, "bb", lambda p, _: [[-1.0]] * len(p)).used is None


# --- the loop, the dog, the tour --------------------------------------------------------------------------------------


def test_branches_leave_the_old_one_alone():
    steps = tuple(Step(token, (token, token + 1), (0.6, 0.4), 0.0) for token in (10, 20, 30))
    branch = Branch((1, 2)).extended(steps)
    other = branch.choosing(1, 21)
    assert branch.ids == (1, 2, 10, 20, 30)
    assert other.ids == (1, 2, 10, 21)
    assert (other.steps[1].rank, branch.steps[1].rank) == (2, 1)
    assert branch.rewound(1).ids == (1, 2, 10)


def test_the_dog_by_hand():
    model = bigram.train_bigram(["dog run eat. dog run sleep. dog run eat!", "狗吃。狗跑。"])
    assert model.probability("eat", "run") == pytest.approx(2 / 3)
    assert model.probability("dog", "eat") == 0.0  # a full stop lies between
    assert model.next_words("狗") == (("吃", 0.5), ("跑", 0.5))
    assert model.next_words("cat") == ()
    assert model.generate("dog", 5, seed=1)[:2] == ("dog", "run")
    dog = bigram.train_bigram([bigram.DOG_TEXT])
    six = {word for first, followers in dog.counts.items() for word in (first, *followers)}
    assert six == {"dog", "run", "eat", "sleep", "play", "bark"}
    assert set(dog.frequent(6)) == six
    assert dog.table(dog.frequent(5)).sum(axis=1).max() <= 1.0 + 1e-6


def test_the_tour_stops_at_every_part():
    assert tour.TOUR[0].key == "tokens"
    assert len({stop.key for stop in tour.TOUR}) == 11
    assert "the same" in tour.unchanged_by_use("ab" * 32, "ab" * 32).answer.en
    logits = np.log(np.asarray([0.6, 0.3, 0.1], dtype=np.float32))
    # 0.6 / 0.3 = 2; at temperature 0.5 the ratio is squared.
    assert {"2.00", "4.00"} <= set(tour.top_k_is_not_temperature(logits).answer.en.split())
    assert "names passage 1, the mean attention passage 2" in tour.attention_is_not_use(1, 2).answer.en
    assert "both leaving out and the mean attention name passage 2" in tour.attention_is_not_use(2, 2).answer.en
    assert "names no passage" in tour.attention_is_not_use(None, 2).answer.en
    assert "9" in tour.tokens_are_not_words((7, 9), (15, 16)).answer.zh
    assert "went in" in tour.sums_name_their_own_words(" Paris", True).answer.en
    assert "even if" in tour.sums_name_their_own_words(" London", False).answer.en


# --- kept beside the answer -------------------------------------------------------------------------------------------


def test_an_xray_is_kept_with_its_answer(tmp_path: Path):
    found = leave_one_out("A B", [(0, 2)], "x", lambda prompts, _: [[-float(len(text))] for text in prompts])
    keep_xray(tmp_path, "a1-b2", found)
    assert kept_xray(tmp_path, "a1-b2") == json.loads(json.dumps(to_plain(found)))
    assert kept_xray(tmp_path, "other") is None
    with pytest.raises(ValueError, match="not the id"):
        keep_xray(tmp_path, "../../etc/passwd", found)
