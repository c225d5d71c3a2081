"""The command line: what it prints, what it refuses, in both languages."""

from pathlib import Path

import pytest

from core.config import load_settings
from training.__main__ import main
from training.gguf_model import GgufModel
from training.jobs import JobBoard

WORDS = [f"word{number}" for number in range(16)]


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    rows = [f"the {word} is {('good', 'bad')[n % 2]},{('pos', 'neg')[n % 2]}" for n, word in enumerate(WORDS)]
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_check_shows_counts_examples_and_an_estimate_and_starts_nothing(
    labelled: Path, base: GgufModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--data", str(labelled), "--name", "mood", "--check"]) == 0
    shown = capsys.readouterr().out
    assert "data.csv: label, 16 rows, 0 repeated, 0 too long" in shown
    assert shown.count("⟦pos<|im_end|>⟧") + shown.count("⟦neg<|im_end|>⟧") == 5
    assert "Choose the label of the text: neg, pos." in shown
    assert "saved by shared beginnings" in shown
    assert JobBoard(load_settings()).list() == ()


@pytest.mark.parametrize(("language", "words"), [("en", "There is no file at"), ("zh", "处没有文件")])
def test_errors_come_in_the_language_asked_for(
    language: str, words: str, base: GgufModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--language", language, "train", "--data", "/nowhere.csv", "--name", "x"]) == 1
    assert words in capsys.readouterr().err


def test_a_base_that_is_no_model_is_named(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", str(labelled), "--name", "x", "--base", str(labelled)]) == 1
    assert str(labelled) in capsys.readouterr().err


def test_an_adapter_or_a_job_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["show", "nobody"], ["delete", "nobody"], ["cancel", "train-0"], ["resume", "train-0"]):
        assert main(command) == 1
        assert "There is no" in capsys.readouterr().err
    assert main(["jobs"]) == 0


def test_labels_want_a_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["labels", "--out", str(tmp_path / "rows.jsonl")]) == 2
    assert "--collection" in capsys.readouterr().err
