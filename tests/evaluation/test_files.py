"""The gate over odd files: what it counts, on files whose fate is known."""

import argparse
import json
from pathlib import Path

import pytest

from core.config import Settings
from core.errors import SettingError
from evaluation.files import FileResult, run, summary
from tests.ingest import builders


def options(folder: Path, **changed: object) -> argparse.Namespace:
    return argparse.Namespace(**{"folder": folder, "limit": None, "category": None, "verbose": False, **changed})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "normal").mkdir()
    files = {
        "normal/two.pdf": builders.pdf(["Lanterns on page one.", "And on page two."]),
        "normal/short.txt": b"Only this.",
        "malformed/broken.docx": b"broken",
    }
    (tmp_path / "malformed").mkdir()
    rows = []
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        rows.append({"file": name, "category": name.split("/")[0], "text_chars": 37 if "pdf" in name else None})
    rows[1]["text_chars"] = 100
    (tmp_path / "manifest.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return tmp_path


def test_every_file_is_counted_once(folder: Path):
    result = run(options(folder), Settings())
    assert result["files"] == 3
    assert result["status"] == {"ok": 2, "failed": 1}
    assert result["by_category"] == {"malformed": {"failed": 1}, "normal": {"ok": 2}}
    assert result["short"] == ["normal/short.txt"]
    assert list(result["reasons"]) == ["malformed/broken.docx"]
    assert result["crashes"] == result["over_time"] == result["over_memory"] == []
    assert result["connections"] == {}


def test_a_category_and_a_limit_narrow_it(folder: Path):
    assert run(options(folder, category="malformed"), Settings())["files"] == 1
    assert run(options(folder, limit=2), Settings())["files"] == 2


def test_misses_are_named():
    slow = FileResult("a", "normal", "ok", 100, 100, 61.0, 10)
    fat = FileResult("b", "rtl", "ok", 10, 100, 1.0, 1_600_000_000)
    dead = FileResult("c", "hostile", "failed", 0, None, 1.0, 10, "DocumentDamagedError", "c: the parser crashed on it")
    mute = FileResult("d", "normal", "failed", 0, None, 1.0, 10, "DocumentError", "")
    caller = FileResult("e", "hostile", "ok", 10, None, 1.0, 10, attempts=("socket.connect ('1.2.3.4', 80)",))
    found = summary([slow, fat, dead, mute, caller])
    assert found["connections"] == {"e": ("socket.connect ('1.2.3.4', 80)",)}
    names = [found[key] for key in ("over_time", "over_memory", "short", "crashes", "without_reason")]
    assert names == [["a"], ["b"], ["b"], ["c"], ["d"]]


def test_a_folder_without_a_manifest_is_named(tmp_path: Path):
    with pytest.raises(SettingError, match=r"manifest\.jsonl does not exist"):
        run(options(tmp_path), Settings())


def test_letters_drawn_over_themselves_count_once(tmp_path: Path):
    # Bold as some programs make it: the line four times, each a third of a point further.
    bold = builders.pdf(["Lanterns of the bay\nburn until dawn, all of them"]).replace(
        b"(Lanterns of the bay) Tj",
        b"(Lanterns of the bay) Tj 0.3 0 Td " * 3 + b"(Lanterns of the bay) Tj",
    )
    missing = builders.pdf(["Lanterns of the bay"])
    (tmp_path / "cjk").mkdir()
    rows = []
    for name, data in {"cjk/bold.pdf": bold, "cjk/missing.pdf": missing}.items():
        (tmp_path / name).write_bytes(data)
        rows.append({"file": name, "category": "cjk", "text_chars": 19 * 4 + 29})
    (tmp_path / "manifest.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    result = run(options(tmp_path), Settings())
    assert result["short"] == ["cjk/missing.pdf"]
    assert result["letters_drawn_again"].keys() == {"cjk/bold.pdf"}
    assert 0.5 < result["letters_drawn_again"]["cjk/bold.pdf"] < 0.6
