"""The doctor: every check names itself in both languages, and what is missing comes with its remedy."""

import os
import stat
from pathlib import Path

import pytest

from app.doctor import Check, examine
from core.config import Settings, load_settings
from inference.file_hash import sha256_of
from inference.runtime import model_path
from inference.tuned import Tuning, machine_name, save_tuning


def checks(settings: Settings, load_model: bool = False) -> dict[str, Check]:
    return {check.name.en: check for check in examine(settings, load_model)}


def test_what_is_missing_has_a_remedy_in_both_languages(tmp_path: Path):
    for check in examine(load_settings(home=tmp_path), load_model=False):
        assert check.name.en
        assert check.name.zh
        assert check.state == "ok" or (check.remedy.en and check.remedy.zh)


def test_a_tuning_is_reported_and_its_absence_too(tmp_path: Path):
    settings = load_settings(home=tmp_path)
    assert "models tune" in checks(settings)["tuning"].remedy.en
    digest = sha256_of(model_path(settings), settings.paths.cache)
    save_tuning(settings, Tuning(digest, machine_name(), 3, 256, True, "f16", figures={"prompt_ratio": 2.5}))
    found = checks(settings)["tuning"]
    assert found.state == "ok"
    assert "3 threads" in found.detail.en
    assert "2.5 times" in found.detail.en


def test_a_context_beyond_the_memory_is_told_before_anything_loads(tmp_path: Path):
    settings = load_settings(home=tmp_path)
    assert checks(settings)["memory for the model"].state == "ok"
    missing = load_settings(home=tmp_path, model=str(tmp_path / "absent.gguf"))
    assert "memory for the model" not in checks(missing)


def test_the_device_is_told_with_its_reason(tmp_path: Path):
    found = checks(load_settings(home=tmp_path), load_model=True)["the model loads"]
    assert "Q4_1" in found.detail.en
    assert "CPU, because" in found.detail.en or "layers on" in found.detail.en


def test_an_unused_gpu_is_told_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = checks(load_settings(home=tmp_path), load_model=True)["the model loads"]
    assert found.state == "ok" or "GGML_CUDA" in found.remedy.en


def test_a_remote_model_that_does_not_answer_is_missing(tmp_path: Path):
    settings = load_settings(home=tmp_path, remote_url="http://127.0.0.1:9/v1")
    found = checks(settings, load_model=True)
    assert found["the model loads"].state == "missing"
    assert "FOURFOLD_REMOTE_URL" in found["the model loads"].remedy.en
    assert "tuning" not in found


def test_where_models_come_from(tmp_path: Path):
    assert "offline" in checks(load_settings(home=tmp_path))["downloads"].detail.en
    online = load_settings(home=tmp_path, offline=False, hub="modelscope")
    assert checks(online)["downloads"].detail.en == "modelscope"
