"""What is kept, what is told of a model, and the numbers behind positions and bills: by hand, without a model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import ModelNotFoundError
from interpretability.attention import CellAttention, PassageAttention
from interpretability.attribution import Attribution, passage_spans
from interpretability.model_file import read_model_file
from interpretability.plain import forget_xrays, keep_xray, kept_xray, to_plain
from interpretability.positions import Rotation, rotate
from interpretability.tokens import Token, by_origin
from interpretability.xray import PLAIN, Variant, Xray, judged

FOUND = Attribution(
    np.asarray([4.0, 0.25], dtype=np.float32), np.asarray([[4, 0], [0, 0.25]], dtype=np.float32), 4.25, -1.5
)
SEEN = PassageAttention(
    ("One.", "Two."),
    np.asarray([[0.1, 0.2], [0.3, 0.0]], dtype=np.float32),
    np.asarray([[0.5, 0.2], [0.9, 0.1]], dtype=np.float32),
)
CHECKED = {"logits": True, "hidden": True, "attention": True, "reason": "", "attention_layers": 4}


# --- kept with an answer ----------------------------------------------------------------------------------------------


def test_what_was_stored_comes_back_as_it_was(tmp_path: Path):
    keep_xray(tmp_path, "a1", {"attribution": FOUND, "attention": SEEN})
    record = kept_xray(tmp_path, "a1")
    found, seen = Attribution.from_plain(record["attribution"]), PassageAttention.from_plain(record["attention"])
    assert (found.used, found.grounding, found.log_probability) == (0, 4.25, -1.5)
    assert np.array_equal(found.per_token, FOUND.per_token)
    assert seen.sentences == SEEN.sentences
    assert np.allclose(seen.strongest, SEEN.strongest)


@pytest.mark.parametrize(
    "damage",
    [
        {"weights": [1.0]},
        {"weights": "much"},
        {"per_token": [1.0, 2.0]},
        {"grounding": None},
        {"weights": None},
    ],
)
def test_a_damaged_record_is_refused(damage: dict[str, Any]):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Attribution.from_plain({**json.loads(json.dumps(to_plain(FOUND))), **damage})


@pytest.mark.parametrize(
    "damage", [{"sentences": ["One."]}, {"mean": [[0.1]]}, {"strongest": "x"}, {"mean": [0.1, 0.2]}]
)
def test_a_damaged_picture_is_refused(damage: dict[str, Any]):
    with pytest.raises((KeyError, TypeError, ValueError)):
        PassageAttention.from_plain({**json.loads(json.dumps(to_plain(SEEN))), **damage})


def test_an_unreadable_record_is_none(tmp_path: Path):
    (tmp_path / "a1.json").write_text("{broken", encoding="utf-8")
    assert kept_xray(tmp_path, "a1") is None


def test_what_belongs_to_no_answer_is_forgotten(tmp_path: Path):
    for name in ("one", "two", "three"):
        keep_xray(tmp_path, name, {})
    assert forget_xrays(tmp_path, lambda answer_id: answer_id == "two") == 2
    assert [path.stem for path in tmp_path.glob("*.json")] == ["two"]
    assert forget_xrays(tmp_path / "nowhere", lambda _: False) == 0


# --- what a model and a build can show --------------------------------------------------------------------------------


def test_a_whole_model_needs_no_notice():
    assert judged(CHECKED, 4).notice is None
    assert judged(CHECKED, 4).attention


def test_a_window_and_missing_layers_are_both_told():
    notice = judged(CHECKED, 6, window=1024).notice
    assert notice is not None
    assert "4 of 6 layers" in notice.en
    assert "1024 tokens" in notice.en
    assert "1024 个词元" in notice.zh


def test_rows_that_do_not_sum_to_1_are_not_shown():
    found = judged({**CHECKED, "attention": False}, 4)
    assert (found.hidden, found.attention) == (True, False)
    assert found.notice is not None
    assert "sink" in found.notice.en


def test_no_attention_at_all():
    found = judged({**CHECKED, "attention": False, "attention_layers": 0}, 4)
    assert found.notice is not None
    assert "0 of 4 layers" in found.notice.en


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ModelNotFoundError, match=r"missing\.gguf"):
        read_model_file(tmp_path / "missing.gguf")


def test_only_what_differs_is_sent_to_the_model(tmp_path: Path):
    sent: list[dict[str, Any]] = []

    def call(_operation: str, params: Any) -> Any:
        sent.append(dict(params))
        return {}, {"logits": np.zeros((1, 3), dtype=np.float32)}

    xray = Xray(call, tmp_path / "m.gguf", Variant(adapter="/own.gguf"))
    xray.logits([1])
    xray.logits([1], Variant(adapter="/other.gguf", adapter_scale=0.5))
    xray.logits([1], Variant(model="/second.gguf"))
    assert PLAIN.params() == {}
    assert [params.get("adapter", "") for params in sent] == ["/own.gguf", "/other.gguf", ""]
    assert [params.get("adapter_scale") for params in sent] == [1.0, 0.5, None]
    assert sent[2]["model"] == "/second.gguf"


# --- positions, cells, bills ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("neighbours", [True, False])
def test_how_a_model_pairs_its_numbers_is_told_from_what_it_computed(neighbours: bool):
    chance = np.random.default_rng(3)
    before = chance.normal(size=(5, 2, 8)).astype(np.float32)
    frequencies = np.asarray([1.0, 0.3, 0.1, 0.03], dtype=np.float32)
    after = rotate(before, np.arange(5, dtype=np.float32), frequencies, neighbours)
    rotation = Rotation(0, before, after)
    assert rotation.pairs_are_neighbours(frequencies) is neighbours
    first, second = rotation.pair(1, frequencies, head=1)
    places = [2, 3] if neighbours else [1, 5]
    assert np.array_equal(first, before[:, 1][:, places])
    angles = np.arctan2(second[:, 1], second[:, 0]) - np.arctan2(first[:, 1], first[:, 0])
    assert np.allclose((angles - 0.3 * np.arange(5) + np.pi) % (2 * np.pi), np.pi, atol=1e-4)
    assert np.allclose(np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1), rtol=1e-5)


def test_the_strongest_columns_keep_the_order_of_the_text():
    weights = np.asarray([[[0.1, 0.5, 0.0, 0.3]], [[0.1, 0.1, 0.0, 0.5]]], dtype=np.float32)
    cell = CellAttention(("a",), ("p", "q", "r", "s"), weights)
    assert cell.strongest_columns(2) == [1, 3]
    assert cell.head(1).tolist() == weights[1].tolist()
    assert np.allclose(cell.head(None), [[0.1, 0.3, 0.0, 0.4]])


def test_passages_are_found_one_behind_the_other():
    assert passage_spans("- red. - red. end", ["red.", "red."]) == ((2, 6), (9, 13))
    assert passage_spans("anything", []) == ()
    with pytest.raises(ValueError, match="not found"):
        passage_spans("- red.", ["red.", "red."])


def test_tokens_are_counted_where_they_come_from():
    text = "<s>Hi 你好</s>"
    pieces = [b"<s>", b"Hi", b" ", b"\xe4\xbd\xa0", b"\xe5\xa5", b"\xbd", b"</s>"]
    tokens = [Token(place, data) for place, data in enumerate(pieces)]
    assert by_origin(tokens, [(3, 8, "question")]) == [("template", 1), ("question", 5), ("template", 1)]
    assert by_origin(tokens, []) == [("template", 7)]
    # A token across a border counts where it ends.
    assert by_origin([Token(0, b"<s>H"), Token(1, b"i")], [(3, 5, "question")]) == [("question", 2)]
    assert sum(count for _, count in by_origin(tokens, [(3, 5, "a"), (5, len(text), "b")])) == 7
