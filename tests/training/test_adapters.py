"""The library: list, read, delete, import from GGUF and from peft, what it refuses."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.config import Settings, load_settings
from core.errors import ModelLoadError, TrainingError
from inference.gguf_file import read_gguf_header
from training.adapters import AdapterCard, AdapterLibrary, bundled
from training.export import AdapterOrigin, read_adapter, write_adapter
from training.gguf_model import GgufModel
from training.lora import LINEARS, LoraWeights
from training.peft_import import import_peft


@pytest.fixture
def settings() -> Settings:
    return load_settings()


@pytest.fixture
def small(base: GgufModel) -> LoraWeights:
    """An adapter of one layer, made without torch."""
    draw = np.random.default_rng(1)
    sizes = {"attn_q": (576, 576), "attn_k": (576, 192), "attn_v": (576, 192), "ffn_down": (1536, 576)}

    def matrices(rows: int | None) -> dict[str, np.ndarray]:
        return {
            f"blk.0.{name}.weight": draw.normal(size=(4, inner) if rows else (outer, 4)).astype(np.float32)
            for name, (inner, outer) in sizes.items()
        }

    return LoraWeights(4, 8.0, matrices(4), matrices(None))


@pytest.fixture
def file(small: LoraWeights, base: GgufModel, tmp_path: Path) -> Path:
    path = tmp_path / "made.gguf"
    write_adapter(path, small, base, AdapterOrigin("made", "d" * 64))
    return path


def test_what_is_written_is_read_back_in_the_order_of_torch(small: LoraWeights, file: Path, base: GgufModel) -> None:
    back = read_adapter(file, base)
    assert (back.rank, back.alpha) == (4, 8.0)
    for name, b in small.b.items():
        assert np.array_equal(back.b[name], b.astype(np.float16).astype(np.float32))
        assert np.array_equal(back.a[name], small.a[name].astype(np.float16).astype(np.float32))


def test_an_adapter_is_listed_read_and_deleted_without_a_trace(file: Path, settings: Settings, base: GgufModel) -> None:
    library = AdapterLibrary(settings)
    library.add(file, AdapterCard("mine", task="label", examples=300))
    adapter = library.get("mine")
    assert (adapter.base_sha256, adapter.base_name, adapter.card.examples) == (base.sha256, base.name, 300)
    assert adapter.fits(base.sha256)
    assert not adapter.fits("0" * 64)
    assert "mine" in [one.name for one in library.list()]
    library.delete("mine")
    assert "mine" not in [one.name for one in library.list()]
    assert list(settings.paths.adapters.iterdir()) == []


def test_a_foreign_gguf_is_imported_and_a_wrong_one_refused(
    file: Path, settings: Settings, base: GgufModel, small: LoraWeights, tmp_path: Path
) -> None:
    library = AdapterLibrary(settings)
    assert library.import_gguf(file, "taken", base.path).card.task == "imported"
    other = tmp_path / "other.gguf"
    write_adapter(other, small, replace(base, sha256="0" * 64), AdapterOrigin("other"))
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(file.read_bytes()[:5000])
    for path, words in ((other, "another model file"), (damaged, "beyond the end"), (base.path, "not a LoRA")):
        with pytest.raises(ModelLoadError, match=words) as caught:
            library.import_gguf(path, "bad", base.path)
        assert str(path) in caught.value.message.zh
    assert [one.name for one in library.list() if not one.bundled] == ["taken"]


@pytest.mark.parametrize("name", ["../out", "", ".hidden", "a/b", "x" * 65])
def test_a_name_cannot_lead_out_of_the_folder(name: str, settings: Settings) -> None:
    with pytest.raises(TrainingError):
        AdapterLibrary(settings).get(name)


def test_a_damaged_folder_does_not_hide_the_others(file: Path, settings: Settings) -> None:
    library = AdapterLibrary(settings)
    library.add(file, AdapterCard("good"))
    bad = settings.paths.adapters / "bad"
    shutil.copytree(settings.paths.adapters / "good", bad)
    (bad / "adapter.gguf").write_bytes(b"GGUF")
    (settings.paths.adapters / "good" / "card.json").write_text("{broken")
    assert [one.name for one in library.list() if not one.bundled] == ["good"]


def test_a_peft_folder_becomes_the_same_adapter(
    small: LoraWeights, settings: Settings, base: GgufModel, file: Path, tmp_path: Path
) -> None:
    folder = peft_folder(tmp_path / "peft", small)
    adapter = import_peft(AdapterLibrary(settings), folder, "from peft", base)
    ours, theirs = read_gguf_header(file), read_gguf_header(adapter.path)
    assert {tensor.name for tensor in ours.tensors} == {tensor.name for tensor in theirs.tensors}
    assert np.array_equal(
        read_adapter(adapter.path, base).b["blk.0.attn_q.weight"], read_adapter(file, base).b["blk.0.attn_q.weight"]
    )


def test_what_a_gguf_cannot_express_is_refused(
    small: LoraWeights, settings: Settings, base: GgufModel, tmp_path: Path
) -> None:
    folder = peft_folder(tmp_path / "peft", small, use_dora=True)
    with pytest.raises(TrainingError, match="use_dora"):
        import_peft(AdapterLibrary(settings), folder, "dora", base)
    assert not settings.paths.adapters.exists() or list(settings.paths.adapters.iterdir()) == []


def peft_folder(folder: Path, weights: LoraWeights, **config: object) -> Path:
    folder.mkdir()
    names = {f"{name}.weight": path for path, name in LINEARS.items()}
    tensors = {
        f"base_model.model.model.layers.0.{names[key.split('.', 2)[2]]}.lora_{side}.weight": matrix
        for side, matrices in (("A", weights.a), ("B", weights.b))
        for key, matrix in matrices.items()
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 8, **config}))
    return folder


def test_the_bundled_adapters_stay() -> None:
    library = AdapterLibrary(load_settings())
    for adapter in library.list():
        assert adapter.path.is_relative_to(bundled())
        with pytest.raises(TrainingError, match="comes with the program"):
            library.delete(adapter.name)


@pytest.mark.parametrize("folder", sorted(path.parent.name for path in bundled().glob("*/adapter.gguf")))
def test_what_comes_with_the_program_is_small_and_its_card_speaks_of_this_very_file(
    folder: str, base: GgufModel
) -> None:
    path = bundled() / folder / "adapter.gguf"
    header = read_gguf_header(path).metadata
    card = json.loads((bundled() / folder / "card.json").read_text(encoding="utf-8"))
    assert path.stat().st_size < 12_000_000
    assert (card["name"], card["base_sha256"]) == (folder, base.sha256)
    assert header["fourfold.base.sha256"] == base.sha256
    assert header["fourfold.data.sha256"] == card["data_sha256"]
    assert header["fourfold.template.sha256"] == card["template_sha256"] == base.template_sha256
    assert card["exam"]["results"]
