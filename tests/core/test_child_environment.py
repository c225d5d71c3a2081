"""What our own child processes are not told: a real parser and a real engine are looked at from outside."""

from pathlib import Path

import psutil
import pytest

from core.child_environment import without_secrets
from ingest.child import ParserChild

SECRETS = {
    "FOURFOLD_REMOTE_API_KEY": "sk-one",
    "FOURFOLD_ENCODER_API_KEY": "sk-two",
    "FOURFOLD_API_TOKEN": "three",
    "FOURFOLD_LOGIN_SECRET": "four-four-four-four",
    "FOURFOLD_INDEX_URL": "postgresql:///trusted",
    "FOURFOLD_DATABASE_URL": "postgresql://host/five",
    "OPENAI_API_KEY": "six",
    "HF_TOKEN": "seven",
    "PGPASSWORD": "eight",
    "SOME_SERVER": "https://ann:nine@example.org/",
}
PLAIN = {"PATH": "/bin", "LANG": "C", "TOKENIZERS_PARALLELISM": "false", "FOURFOLD_REMOTE_URL": "http://127.0.0.1:1/v1"}


def test_what_is_secret_is_left_out_and_the_rest_kept():
    assert without_secrets({"OWN": "1"}, SECRETS | PLAIN) == PLAIN | {"OWN": "1"}


def test_a_parser_is_given_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    child = ParserChild()
    try:
        (tmp_path / "a.txt").write_text("First.", encoding="utf-8")
        before = {process.pid for process in psutil.Process().children()}
        child.parse(tmp_path / "a.txt", "a.txt")
        (parser,) = [process for process in psutil.Process().children() if process.pid not in before]
        assert not SECRETS.keys() & parser.environ().keys()
        assert "PATH" in parser.environ()
    finally:
        child.close()
