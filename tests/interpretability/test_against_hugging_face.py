"""What the X-ray shows is what the model computes: the same file in PyTorch is the oracle."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from interpretability.attention import AttentionMap
from interpretability.logit_lens import lens
from interpretability.positions import rotate, rotation_frequencies
from interpretability.xray import Xray
from tests.interpretability.conftest import TEXT


@pytest.fixture(scope="module")
def oracle(hugging_face: Any, ids: list[int]) -> SimpleNamespace:
    import torch

    with torch.no_grad():
        out = hugging_face[0](torch.tensor([ids]), output_hidden_states=True, output_attentions=True)
    hidden = np.stack([state[0].numpy() for state in out.hidden_states])
    attention = np.stack([weights[0].numpy() for weights in out.attentions])
    return SimpleNamespace(hidden=hidden, attention=attention, logits=out.logits[0].numpy())


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray((a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)))


def test_token_ids_are_those_of_hugging_face(xray: Xray, hugging_face: Any):
    for text in (TEXT, "<|im_start|>user\nHi 你好！<|im_end|>\n", "  tabs\t\tand\n\n🙂 naïve"):
        assert [token.id for token in xray.tokens(text)] == hugging_face[1](text, add_special_tokens=False)["input_ids"]
        assert b"".join(token.data for token in xray.tokens(text)).decode() == text


def test_embedding_rows_are_exact(xray: Xray, hugging_face: Any, ids: list[int]):
    rows = xray.model.embedding.rows(ids)
    assert np.array_equal(rows, hugging_face[0].get_input_embeddings().weight[ids].detach().numpy())
    assert np.array_equal(rows, xray.hidden(ids)[0].states[0])


def test_hidden_states_within_the_quantisation(xray: Xray, oracle: SimpleNamespace, ids: list[int]):
    states = xray.hidden(ids)[0].states
    # The last state of Hugging Face has passed the final norm: the layers before it are compared here.
    similarity = cosine(states[:-1], oracle.hidden[:-1])
    assert states.shape == oracle.hidden.shape
    assert similarity.min() >= 0.998


def test_attention_within_the_quantisation(engine: Any, oracle: SimpleNamespace, ids: list[int]):
    layers = range(len(oracle.attention))
    _, arrays = engine.call("interpretability.operations:trace", {"ids": ids, "attention": list(layers)})
    weights = np.stack([arrays[f"attention-{layer}"] for layer in layers])
    error = np.abs(weights - oracle.attention)
    assert error.mean() < 0.001
    assert error.mean(axis=(1, 2, 3)).max() < 0.002  # no single layer is far off
    assert np.allclose(weights.sum(-1), 1.0, atol=1e-5)
    assert not weights[..., ~AttentionMap(0, weights[0]).allowed()].any()


def test_the_last_layer_of_the_lens_is_the_models_own_answer(xray: Xray, engine: Any, ids: list[int]):
    _, arrays = engine.call("interpretability.operations:trace", {"ids": ids, "hidden": True, "logits": "all"})
    reading = lens(xray.model, xray.hidden(ids)[0])
    assert np.array_equal(reading.token_ids[-1, :, 0], arrays["logits"].argmax(-1))
    assert np.array_equal(xray.logits(ids), arrays["logits"][-1])


def test_rope_turns_as_the_paper_says(xray: Xray, ids: list[int]):
    rotations = xray.rotations(ids, 3)
    assert rotations is not None
    positions = np.arange(len(ids), dtype=np.float32)
    for rotation in rotations:
        expected = rotate(rotation.before, positions, rotation_frequencies(xray.model))
        assert np.abs(expected - rotation.after).max() < 1e-3
        assert rotation.length_change < 1e-5
        assert rotation.turned_by()[0].max() < 0.1  # the first token stands at position 0: not turned
