from pathlib import Path

import pytest

from core.config import load_settings
from core.errors import MissingExtraError, SettingError
from core.language import Bilingual
from core.paths import embedded_chat_model, embedded_encoder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOURFOLD_HOME", str(tmp_path))
    return tmp_path


def test_file_then_environment_then_override(home: Path, monkeypatch: pytest.MonkeyPatch):
    (home / "settings.toml").write_text("top_k = 3\nmax_tokens = 99\nn_ctx = 1024\n")
    monkeypatch.setenv("FOURFOLD_MAX_TOKENS", "77")
    monkeypatch.setenv("FOURFOLD_N_CTX", "2048")
    settings = load_settings(n_ctx=512)
    assert (settings.top_k, settings.max_tokens, settings.n_ctx) == (3, 77, 512)


def test_a_wrong_value_names_the_setting_in_both_languages(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FOURFOLD_TOP_K", "0")
    with pytest.raises(SettingError, match="FOURFOLD_TOP_K") as caught:
        load_settings()
    assert "设置项 top_k" in caught.value.message.zh


def test_an_unknown_setting_in_the_file_is_an_error(home: Path):
    (home / "settings.toml").write_text("topk = 3\n")
    with pytest.raises(SettingError, match="topk"):
        load_settings()


def test_a_wrong_override_is_an_error(home: Path):
    with pytest.raises(SettingError, match="port"):
        load_settings(port=0)


def test_a_broken_file_is_named(home: Path):
    (home / "settings.toml").write_text("top_k = = 3")
    with pytest.raises(SettingError, match=r"settings\.toml"):
        load_settings()


def test_a_secret_does_not_show(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FOURFOLD_REMOTE_API_KEY", "sk-very-secret")
    assert "very-secret" not in repr(load_settings())


def test_no_collection_name_leads_out_of_the_data_folder(home: Path):
    paths = load_settings().paths
    for name in ("../../etc", "/etc/passwd", "a/b", "书店", "", "x" * 5000):
        folder = paths.collection(name)
        assert folder.parent == paths.collections
        assert len(folder.name) == 16


def test_the_embedded_models_are_found():
    chat, encoder = embedded_chat_model(), embedded_encoder()
    assert chat is not None
    assert chat.read_bytes()[:4] == b"GGUF"
    assert encoder is not None
    assert (encoder / "modules.json").is_file()


def test_a_missing_extra_names_its_command():
    error = MissingExtraError(Bilingual("Reading scans", "读取扫描件"), "ocr")
    assert "pip install 'fourfold[ocr]'" in str(error)
    assert "pip install 'fourfold[ocr]'" in error.message.zh
