"""Models with missing parts say so; a second model and an adapter stand beside the first."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import llama_cpp
import numpy as np
import pytest

from core.config import Settings
from core.types import SamplingSettings
from inference.extensions import ExtensibleEngine
from inference.runtime import open_engine
from interpretability.logit_lens import lens
from interpretability.model_file import ModelFile, read_model_file
from interpretability.parameters import anatomy
from interpretability.xray import OPERATIONS, Variant, Xray
from tests.interpretability.tiny_models import WINDOW, write_hybrid, write_windowed
from training.adapters import bundled

TEXT = "One two three four five six seven eight nine ten eleven twelve."
Q8_0 = 7  # llama.cpp's file type


@contextmanager
def xray_of(path: Path, home: Path) -> Iterator[Xray]:
    engine = open_engine(Settings(home=home, n_ctx=256, model=str(path)), extensions=(OPERATIONS,))
    try:
        yield Xray(engine.call, path)
    finally:
        engine.close()


@pytest.fixture(scope="module")
def write(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    def made(kind: str) -> Path:
        path = tmp_path_factory.mktemp(kind) / f"{kind}.gguf"
        {"hybrid": write_hybrid, "windowed": write_windowed}[kind](path, read_model_file(gguf))
        return path

    return made


@pytest.fixture(scope="module")
def requantised(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model with every 4-bit tensor written as Q8_0: the same weights, rounded once more."""
    path = tmp_path_factory.mktemp("requantised") / "q8_0.gguf"
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize, params.nthread = Q8_0, True, 1
    status = llama_cpp.llama_model_quantize(str(gguf).encode(), str(path).encode(), ctypes.byref(params))
    assert status == 0
    return path


def test_a_hybrid_model_says_which_layers_have_attention(write: Callable[[str], Path], tmp_path: Path):
    with xray_of(write("hybrid"), tmp_path) as xray:
        ids = [token.id for token in xray.tokens(TEXT)]
        assert (xray.abilities.hidden, xray.abilities.attention) == (True, True)
        assert xray.abilities.notice is not None
        assert "1 of 3 layers" in xray.abilities.notice.en
        assert "3 层中有 1 层" in xray.abilities.notice.zh
        assert xray.attention(ids, 0) is None
        assert xray.rotations(ids, 0) is None
        seen = xray.attention(ids, 1)
        assert seen is not None
        assert np.allclose(seen.weights.sum(-1), 1.0, atol=1e-5)
        assert anatomy(xray.model).attention_layers == 1
        states, logits = xray.hidden(ids)
        assert states.states.shape == (4, len(ids), 64)
        assert lens(xray.model, states).agrees_with(logits)


def test_a_memory_that_cannot_forget_is_computed_anew(write: Callable[[str], Path], tmp_path: Path):
    """Prompts that begin alike share a beginning; recurrent layers keep no past to go back to."""
    with xray_of(write("hybrid"), tmp_path) as xray:
        together = xray.score([TEXT + " so", TEXT + " then", TEXT], " it")
        alone = [xray.score([prompt], " it")[0] for prompt in (TEXT + " so", TEXT + " then", TEXT)]
        assert np.allclose(together, alone, atol=1e-3)


def test_a_sliding_window_is_named_and_is_0_beyond(write: Callable[[str], Path], tmp_path: Path):
    with xray_of(write("windowed"), tmp_path) as xray:
        ids = [token.id for token in xray.tokens(TEXT)]
        assert xray.abilities.notice is not None
        assert f"look back {WINDOW} tokens" in xray.abilities.notice.en
        assert xray.abilities.attention
        seen = xray.attention(ids, 0)
        assert seen is not None
        rows, columns = np.indices((len(ids), len(ids)))
        assert not seen.weights[:, columns <= rows - WINDOW].any()
        assert np.allclose(seen.weights.sum(-1), 1.0, atol=1e-5)
        states, logits = xray.hidden(ids)
        assert lens(xray.model, states).agrees_with(logits)
        queries = xray.rotations(ids, 0)
        assert queries is not None


def test_a_second_model_layer_by_layer(xray: Xray, requantised: Path):
    other = Variant(model=str(requantised))
    ids = [token.id for token in xray.tokens("The capital of France is")]
    assert read_model_file(requantised).tensors["blk.0.ffn_up.weight"].type_name == "Q8_0"
    assert read_model_file(requantised).is_shaped_like(xray.model)
    compared = xray.compare(ids, other)
    # Nearly the same model: something moved in every layer, nothing moved far.
    assert compared.layer_distance.shape == (31,)
    assert 0 < compared.layer_distance[1:].max() < 0.1
    assert 0 < compared.divergence < 0.05
    assert xray.next_words("The capital of France is", other)[0][0].text == " Paris"
    side_by_side = xray.compare_models("The capital of France is", str(requantised))
    assert side_by_side is not None
    assert side_by_side[0] == pytest.approx(compared.divergence, rel=1e-3)


def test_an_adapter_on_and_off(xray: Xray, engine: ExtensibleEngine):
    adapter = Variant(adapter=str(bundled() / "grounded" / "adapter.gguf"))
    ids = [token.id for token in xray.tokens("<|im_start|>user\nSay hi.<|im_end|>\n<|im_start|>assistant\n")]
    before = xray.logits(ids)
    compared = xray.compare(ids, adapter)
    assert compared.layer_distance[0] == 0  # the table of tokens is not adapted
    assert compared.layer_distance[1:].min() > 0
    assert compared.divergence > 0.01
    assert compared.changes[0].before != compared.changes[0].after
    assert np.array_equal(xray.logits(ids), before)  # switched off again, without a trace
    for_good = Xray(engine.call, xray.path, adapter)
    assert np.array_equal(for_good.logits(ids), xray.logits(ids, adapter))
    assert not np.array_equal(for_good.logits(ids), before)
    half = Variant(adapter=adapter.adapter, adapter_scale=0.0)
    assert xray.compare(ids, half).divergence == pytest.approx(0, abs=1e-6)
    off, on = (xray.steps(ids, 6, SamplingSettings(temperature=0.0), variant) for variant in (Variant(), adapter))
    assert [step.token_id for step in off] != [step.token_id for step in on]


def test_models_of_other_shapes_are_not_compared_inside(gguf: Path):
    one = read_model_file(gguf)
    wider = ModelFile(gguf, {**one.metadata, "llama.embedding_length": 1024}, one.tensors)
    assert one.is_shaped_like(one)
    assert not one.is_shaped_like(wider)
