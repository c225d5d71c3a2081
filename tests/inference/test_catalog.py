"""The memory estimate worked out by hand, and what is recommended for which machine."""

import hashlib
from pathlib import Path

import pytest

from core.config import load_settings
from core.errors import ModelLoadError, ModelNotFoundError, SettingError
from inference.catalog import (
    CATALOG,
    GIB,
    LARGEST_WITHOUT_GPU,
    downloaded,
    estimate_entry,
    estimate_file,
    find_entry,
    kv_cache_bytes,
    recommended,
)
from inference.download import check_download, download
from inference.gguf_file import read_gguf_header
from inference.runtime import model_path as path_of_model


def test_the_kv_cache_of_the_default_model_follows_from_its_header(model_path: Path):
    # 30 layers of 3 heads of 64 values, keys and values, 2 bytes each, for 4096 tokens: 90 MiB.
    estimate = estimate_file(read_gguf_header(model_path), 4096, available=GIB)
    assert estimate.kv_cache == 90 * 1024**2 == kv_cache_bytes(4096, 30, 3, 64)
    assert estimate.weights == model_path.stat().st_size


def test_a_context_beyond_the_training_is_not_counted(model_path: Path):
    header = read_gguf_header(model_path)
    assert estimate_file(header, 10**6, GIB).kv_cache == estimate_file(header, 8192, GIB).kv_cache


def test_fits_tight_no():
    entry = find_entry("Qwen3-8B")
    needed = estimate_entry(entry, 4096, available=100 * GIB).needed
    assert [estimate_entry(entry, 4096, free).fit for free in (2 * needed, needed + 1, needed - 1)] == [
        "fits",
        "tight",
        "no",
    ]


@pytest.mark.parametrize(
    ("free", "language", "name"),
    [
        (100 * GIB, "zh", "qwen3-30b-a3b"),
        (16 * GIB, "zh", "qwen3-14b"),
        (6 * GIB, "zh", "qwen3-4b"),
        (GIB // 2, "en", None),
    ],
)
def test_the_largest_that_fits_is_recommended(free: int, language: str, name: str | None):
    found = recommended(4096, language, free)
    assert (found.name if found else None) == name


def test_without_a_gpu_none_is_recommended_that_is_too_slow_to_chat_with():
    found = recommended(4096, "zh", 100 * GIB, largest=LARGEST_WITHOUT_GPU)
    assert found is not None
    assert found.name == "qwen3-4b"


def test_names_are_unique_and_an_unknown_one_is_answered_with_the_list(tmp_path: Path):
    assert len({entry.name for entry in CATALOG}) == len(CATALOG)
    with pytest.raises(ModelNotFoundError, match=r"qwen3-0\.6b"):
        find_entry("gpt-5")
    assert downloaded(CATALOG[0], tmp_path) is None


def test_the_setting_takes_a_path_or_the_name_of_a_downloaded_model(tmp_path: Path, model_path: Path):
    entry = find_entry("qwen3-0.6b")
    settings = load_settings(home=tmp_path, model="qwen3-0.6b")
    with pytest.raises(ModelNotFoundError, match="not downloaded"):
        path_of_model(settings)
    place = settings.paths.models / entry.name / entry.file
    place.parent.mkdir(parents=True)
    place.symlink_to(model_path)
    assert path_of_model(settings) == place
    assert path_of_model(load_settings(home=tmp_path, model=str(model_path))) == model_path


def test_offline_downloads_nothing(tmp_path: Path):
    with pytest.raises(SettingError, match="FOURFOLD_OFFLINE"):
        download(CATALOG[0], load_settings(home=tmp_path))


def test_what_arrives_damaged_is_deleted(tmp_path: Path, model_path: Path):
    digest = hashlib.sha256(model_path.read_bytes()).hexdigest()
    check_download(model_path, digest)
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(model_path.read_bytes()[:-1])
    with pytest.raises(ModelLoadError, match="arrived damaged"):
        check_download(damaged, digest)
    assert not damaged.exists()
