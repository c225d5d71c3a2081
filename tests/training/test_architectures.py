"""Each architecture that can be trained: PyTorch's logits are llama.cpp's, before training, after it and exported."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.engine import LoadedModel
from inference.engine_options import LoadOptions
from tests.training.tiny_models import write_tiny
from training.examples import pair
from training.export import AdapterOrigin, original_rows, permuted_rows, read_adapter, write_adapter
from training.gguf_model import GgufModel, read_model
from training.lora import LoraModel, LoraWeights, load_tokenizer
from training.packing import make_packs
from training.recipe import TrainingRecipe
from training.rendering import ChatFormat

TEXT = "<|im_start|>user\nthe ring on the thing?<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True)
class Trained:
    """A tiny model with an adapter after three steps, and its logits before and after them."""

    base: GgufModel
    weights: LoraWeights
    tokens: list[int]
    before: NDArray[np.float32]
    after: NDArray[np.float32]
    losses: tuple[float, ...]


@pytest.fixture(scope="module", params=("llama", "qwen2", "qwen3"))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    base = read_model(write_tiny(tmp_path_factory.mktemp("tiny") / "model.gguf", request.param))
    chat = ChatFormat(load_tokenizer(base.path))
    model = LoraModel(base, TrainingRecipe(rank=4, alpha=32.0, threads=1, seed=1, precision="float32"))
    tokens = chat.tokenize(TEXT)
    before = model.logits(tokens)
    packs = make_packs([chat.row(pair(f"the {word}?", word * 3)) for word in ("on", "in", "re")], 200, 0)
    losses = []
    for _ in range(3):
        losses.append(model.accumulate(packs))
        model.step(0.03)
    return Trained(base, model.weights(), tokens, before, model.logits(tokens), tuple(losses))


@pytest.fixture
def runtime(trained: Trained) -> Iterator[LoadedModel]:
    model = LoadedModel(LoadOptions(str(trained.base.path), n_ctx=256, flash_attention=False, kv_type="f32"))
    yield model
    model.close()


def logits_of(runtime: LoadedModel, tokens: list[int], adapter: Path | None) -> NDArray[np.float32]:
    runtime.set_adapter(runtime.load_adapter(adapter) if adapter else None)
    runtime.clear()
    runtime.decode(tokens, 0, n_outputs=len(tokens))
    return np.stack([runtime.logits(place).copy() for place in range(len(tokens))])


def likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_training_and_export_round_trip(trained: Trained, runtime: LoadedModel, tmp_path: Path) -> None:
    digest = hashlib.sha256(trained.base.path.read_bytes()).hexdigest()
    plain = logits_of(runtime, trained.tokens, None)
    assert likeness(plain, trained.before) > 0.9999
    path = tmp_path / "adapter.gguf"
    write_adapter(path, trained.weights, trained.base, AdapterOrigin("tiny"))
    adapted = logits_of(runtime, trained.tokens, path)
    assert likeness(adapted, trained.after) > 0.9999
    assert likeness(adapted, plain) < 0.99
    assert trained.losses[-1] < trained.losses[0]
    # Switched off: the base to the bit, its file untouched.
    assert np.array_equal(logits_of(runtime, trained.tokens, None), plain)
    assert hashlib.sha256(trained.base.path.read_bytes()).hexdigest() == digest == trained.base.sha256


def test_the_other_treatment_of_q_and_k_is_wrong(trained: Trained, runtime: LoadedModel, tmp_path: Path) -> None:
    # Rows permuted where they must not be, or left where they must be: the file loads, and lies.
    treat = original_rows if trained.base.permutes_heads else permuted_rows
    heads = {"attn_q.weight": trained.base.n_heads, "attn_k.weight": trained.base.n_heads_kv}
    wrong = {
        name: treat(b, heads[name.split(".", 2)[2]]) if name.split(".", 2)[2] in heads else b
        for name, b in trained.weights.b.items()
    }
    path = tmp_path / "wrong.gguf"
    weights = trained.weights
    write_adapter(path, LoraWeights(weights.rank, weights.alpha, weights.a, wrong), trained.base, AdapterOrigin("w"))
    assert likeness(logits_of(runtime, trained.tokens, path), trained.after) < 0.999


def test_an_adapter_that_is_read_again_has_the_weights_that_were_written(trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "adapter.gguf"
    write_adapter(path, trained.weights, trained.base, AdapterOrigin("tiny"))
    again = read_adapter(path, trained.base)
    assert (again.rank, again.alpha) == (4, 32.0)
    for name, b in trained.weights.b.items():
        assert np.allclose(again.b[name], b, atol=1e-3, rtol=1e-3)
        assert np.allclose(again.a[name], trained.weights.a[name], atol=1e-3, rtol=1e-3)
