"""The exported adapter against PyTorch: the same logits in llama.cpp, and not so without the permutation."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import llama_cpp
import numpy as np
import pytest
from gguf import GGUFReader
from gguf.quants import dequantize
from numpy.typing import NDArray

from inference.adapters import check_adapter
from inference.engine import LoadedModel
from inference.engine_options import LoadOptions
from inference.gguf_file import read_gguf_header
from training.export import AdapterOrigin, permuted_rows, write_adapter
from training.gguf_model import GgufModel
from training.lora import LoraModel, LoraWeights
from training.rendering import ChatFormat

TEXT = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\nThe capital"


@pytest.fixture(scope="module")
def runtime(base: GgufModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedModel]:
    """The base in llama.cpp with float32 weights, as PyTorch has them: no quantisation of activations in between."""
    copy = tmp_path_factory.mktemp("f32") / "base.gguf"
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize, params.nthread = 0, True, 2
    assert llama_cpp.llama_model_quantize(str(base.path).encode(), str(copy).encode(), params) == 0
    model = LoadedModel(LoadOptions(str(copy), n_ctx=256, flash_attention=False, kv_type="f32"))
    yield model
    model.close()
    copy.unlink()


def logits_of(runtime: LoadedModel, tokens: list[int], adapter: Path | None) -> NDArray[np.float32]:
    runtime.set_adapter(runtime.load_adapter(adapter) if adapter else None)
    runtime.clear()
    runtime.decode(tokens, 0, n_outputs=len(tokens))
    return np.stack([runtime.logits(place).copy() for place in range(len(tokens))])


@pytest.fixture(scope="module")
def tokens(chat_format: ChatFormat) -> list[int]:
    return chat_format.tokenize(TEXT)


@pytest.fixture(scope="module")
def expected(loaded: LoraModel, random_adapter: LoraWeights, tokens: list[int]) -> NDArray[np.float32]:
    before = loaded.weights()
    loaded.set_weights(random_adapter)
    logits = loaded.logits(tokens)
    loaded.set_weights(before)
    return logits


def test_llama_cpp_with_the_adapter_gives_the_logits_of_torch(
    runtime: LoadedModel,
    base: GgufModel,
    random_adapter: LoraWeights,
    tokens: list[int],
    expected: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    plain = logits_of(runtime, tokens, None)
    path = tmp_path / "adapter.gguf"
    write_adapter(path, random_adapter, base, AdapterOrigin("random"))
    adapted = logits_of(runtime, tokens, path)
    assert np.corrcoef(adapted.ravel(), expected.ravel())[0, 1] > 0.999
    # The adapter does something, and switched off leaves the base as it was, to the bit.
    assert np.corrcoef(adapted.ravel(), plain.ravel())[0, 1] < 0.99
    assert np.array_equal(logits_of(runtime, tokens, None), plain)
    assert hashlib.sha256(base.path.read_bytes()).hexdigest() == base.sha256


def test_without_the_permutation_the_logits_are_wrong(
    runtime: LoadedModel,
    base: GgufModel,
    random_adapter: LoraWeights,
    tokens: list[int],
    expected: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    # Only q and k, so that nothing else hides the difference.
    heads = ("attn_q.weight", "attn_k.weight")
    loud = {name: 3 * b if name.endswith(heads) else b for name, b in random_adapter.b.items()}
    good, bad = tmp_path / "good.gguf", tmp_path / "bad.gguf"
    write_adapter(good, replace(random_adapter, b=loud), base, AdapterOrigin("good"))
    undone = {name: _unpermuted(name, b, base) for name, b in loud.items()}
    write_adapter(bad, replace(random_adapter, b=undone), base, AdapterOrigin("bad"))
    difference = np.abs(logits_of(runtime, tokens, bad) - logits_of(runtime, tokens, good)).max()
    assert difference > 1.0


def _unpermuted(name: str, b: NDArray[np.float32], base: GgufModel) -> NDArray[np.float32]:
    """The inverse of what the export does, so that its permutation cancels out."""
    heads = {"attn_q.weight": base.n_heads, "attn_k.weight": base.n_heads_kv}.get(name.split(".", 2)[2])
    if heads is None:
        return b
    out, rank = b.shape
    return b.reshape(heads, out // heads // 2, 2, rank).swapaxes(1, 2).reshape(out, rank)


def test_the_permutation_is_that_of_the_weights_in_the_file(base: GgufModel, loaded: LoraModel) -> None:
    tensors = {tensor.name: tensor for tensor in GGUFReader(base.path).tensors}
    for name, heads in (("blk.3.attn_q.weight", base.n_heads), ("blk.3.attn_k.weight", base.n_heads_kv)):
        stored = dequantize(tensors[name].data, tensors[name].tensor_type)
        assert np.allclose(permuted_rows(loaded.base_weight(name), heads), stored, atol=1e-6)
        assert not np.allclose(loaded.base_weight(name), stored, atol=1e-3)


def test_the_file_names_its_base_its_data_and_its_template(
    base: GgufModel, random_adapter: LoraWeights, tmp_path: Path
) -> None:
    path = tmp_path / "adapter.gguf"
    write_adapter(path, random_adapter, base, AdapterOrigin("mine", data_sha256="d" * 64, exam='{"accuracy": 0.9}'))
    header = check_adapter(path, read_gguf_header(base.path), base.sha256)
    assert header.metadata["fourfold.base.sha256"] == base.sha256
    assert header.metadata["fourfold.data.sha256"] == "d" * 64
    assert header.metadata["fourfold.template.sha256"] == hashlib.sha256(base.template.encode()).hexdigest()
    assert header.metadata["fourfold.exam"] == '{"accuracy": 0.9}'
    assert header.metadata["adapter.lora.alpha"] == 16.0
    assert {tensor.ggml_type for tensor in header.tensors} == {1}
