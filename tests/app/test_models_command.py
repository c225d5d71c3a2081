"""`python -m app models`: the real command over a fresh data folder."""

import json
from pathlib import Path

import pytest

from app.__main__ import main
from app.models_command import EMBEDDED, lines
from core.config import load_settings
from core.paths import embedded_chat_model
from inference.file_hash import sha256_of
from inference.runtime import model_path
from inference.tuned import Tuning, find_tuning, machine_name, save_tuning


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOURFOLD_HOME", str(tmp_path))
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main(["models", *words, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_the_list_tells_what_each_needs_and_what_runs(home: Path, capsys: pytest.CaptureFixture[str]):
    found = run(capsys, "list")
    models = {model["name"]: model for model in found["models"]}  # type: ignore[attr-defined]
    assert found["in_use"] == EMBEDDED
    assert models[EMBEDDED]["licence"] == "Apache-2.0"
    four = models["qwen3-4b"]
    assert four["languages"] == ["en", "zh"]
    assert four["context"] == 40960
    assert four["fit"] in ("fits", "tight", "no")
    # 36 layers of 8 heads of 128 values for 4096 tokens, twice two bytes, and the program: by hand.
    needed = 2_500_000_000 + 2 * 4096 * 36 * 8 * 128 * 2 + 400 * 1024**2
    assert four["needs_gigabytes"] == round(needed / 1e9, 2)
    for language, words in (("en", ("licence", "recommended")), ("zh", ("许可", "推荐"))):
        text = "\n".join(lines(found, language))
        assert all(word in text for word in words)


def test_a_path_is_shown_and_put_to_use(home: Path, capsys: pytest.CaptureFixture[str]):
    path = embedded_chat_model()
    assert path is not None
    shown = run(capsys, "show", str(path))
    assert (shown["quantisation"], shown["context"]) == ("Q4_1", 8192)
    run(capsys, "use", str(path))
    assert load_settings().model == str(path)
    assert run(capsys, "list")["in_use"] == str(path)
    run(capsys, "use", EMBEDDED)
    assert load_settings().model == ""


def test_a_downloaded_model_is_used_and_removed(home: Path, capsys: pytest.CaptureFixture[str]):
    path = embedded_chat_model()
    assert path is not None
    folder = home / "models" / "acme--tiny-GGUF"
    folder.mkdir(parents=True)
    (folder / "tiny-Q4_1.gguf").symlink_to(path)
    run(capsys, "use", "acme/tiny-GGUF:q4_1")
    assert model_path(load_settings()) == folder / "tiny-Q4_1.gguf"
    run(capsys, "remove", "acme/tiny-GGUF")
    assert not folder.exists()
    assert path.is_file()
    assert load_settings().model == ""


@pytest.mark.parametrize("words", [("remove", "../.."), ("remove", "."), ("remove", "qwen3-4b"), ("use", "bge-m3")])
def test_what_is_not_there_is_neither_used_nor_removed(
    home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
):
    (home / "keep.txt").write_text("x")
    assert main(["models", *words]) == 1
    assert "not downloaded" in capsys.readouterr().err
    assert (home / "keep.txt").is_file()


def test_a_name_is_needed_and_offline_pulls_nothing(home: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["models", "show"]) == 1
    assert "NAME" in capsys.readouterr().err
    assert main(["models", "pull", "qwen3-0.6b"]) == 1
    assert "FOURFOLD_OFFLINE" in capsys.readouterr().err
    assert main(["models", "show", "gpt-5"]) == 1
    assert "catalogue" in capsys.readouterr().err


def test_an_encoder_is_shown_and_put_to_use_when_it_is_there(home: Path, capsys: pytest.CaptureFixture[str]):
    assert run(capsys, "show", "bge-m3")["dimension"] == 1024
    folder = home / "models" / "bge-m3"
    folder.mkdir(parents=True)
    (folder / "modules.json").write_text("[]")
    run(capsys, "use", "bge-m3")
    assert load_settings().encoder == str(folder)


def test_a_tuning_is_undone(home: Path, capsys: pytest.CaptureFixture[str]):
    settings = load_settings()
    digest = sha256_of(model_path(settings), settings.paths.cache)
    save_tuning(settings, Tuning(digest, machine_name(), 1, 256, True, "f16"))
    assert find_tuning(settings, digest) is not None
    assert run(capsys, "tune", "--undo")["undone"] is True
    assert find_tuning(settings, digest) is None
    assert run(capsys, "tune", EMBEDDED, "--undo")["undone"] is False
