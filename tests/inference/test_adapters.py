"""Adapters on the real model: switched by name, without a trace when off; what does not belong is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

from core.errors import ModelLoadError, ModelNotFoundError
from core.types import SamplingSettings
from inference.adapters import BASE_HASH_KEY
from inference.gguf_file import read_gguf_header
from inference.local_engine import LocalEngine
from inference.protocol import GenerationRequest
from tests.inference.collect import text_of

PROMPT = "Once upon a time"


def write_adapter(folder: Path, name: str, size: float, tensor: str = "blk.0.ffn_up.weight", **options: str) -> None:
    """A rank-1 adapter of 576 -> 1536 values; `size` 0 changes nothing."""
    path = folder / name / "adapter.gguf"
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(path, options.get("architecture", "llama"))
    writer.add_type(options.get("type", "adapter"))
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 1.0)
    if "base" in options:
        writer.add_string(BASE_HASH_KEY, options["base"])
    generator = np.random.default_rng(0)
    writer.add_tensor(f"{tensor}.lora_a", generator.normal(size=(1, 576)).astype(np.float16))
    writer.add_tensor(f"{tensor}.lora_b", (size * generator.normal(size=(1536, 1))).astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def answer(engine: LocalEngine, adapter: str) -> str:
    request = GenerationRequest(prompt=PROMPT, adapter=adapter, sampling=SamplingSettings(max_tokens=10))
    return text_of(engine.generate(request))


def test_an_adapter_changes_the_answer_and_leaves_no_trace(engine: LocalEngine, adapter_folder: Path):
    write_adapter(adapter_folder, "nothing", 0.0)
    write_adapter(adapter_folder, "strong", 3.0)
    base = answer(engine, "")
    changed = answer(engine, "strong")
    assert changed != base
    assert answer(engine, "nothing") == base
    assert answer(engine, "strong") == changed
    assert answer(engine, "") == base


def test_scores_follow_the_adapter_too(engine: LocalEngine, adapter_folder: Path):
    write_adapter(adapter_folder, "strong", 3.0)
    base = engine.log_probabilities(PROMPT, " there was")
    assert engine.log_probabilities(PROMPT, " there was", adapter="strong") != pytest.approx(base, abs=1e-3)
    assert engine.log_probabilities(PROMPT, " there was") == pytest.approx(base, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"type": "model"}, "not a LoRA adapter"),
        ({"architecture": "qwen2"}, "made for qwen2"),
        ({"base": "0" * 64}, "another model file"),
        ({"tensor": "blk.99.ffn_up.weight"}, "no place for"),
        ({"tensor": "blk.0.attn_q.weight"}, "another size"),
    ],
)
def test_what_was_not_made_for_this_model_is_refused_with_the_reason(
    engine: LocalEngine, adapter_folder: Path, options: dict[str, str], reason: str
):
    write_adapter(adapter_folder, "foreign", 1.0, **options)
    with pytest.raises(ModelLoadError, match=reason):
        answer(engine, "foreign")
    shutil.rmtree(adapter_folder / "foreign")


@pytest.mark.parametrize("name", ["absent", "../strong", "/etc", "a/b", ".."])
def test_a_name_is_one_folder_and_nothing_else(engine: LocalEngine, name: str):
    with pytest.raises(ModelNotFoundError):
        answer(engine, name)


def test_the_test_adapter_is_what_it_says(adapter_folder: Path):
    write_adapter(adapter_folder, "nothing", 0.0)
    header = read_gguf_header(adapter_folder / "nothing" / "adapter.gguf")
    assert [tensor.shape for tensor in header.tensors] == [(576, 1), (1, 1536)]
