"""The memory benchmark: so many copies are so many documents, each measured in a process of its own."""

import argparse
from pathlib import Path

from core.config import Settings
from evaluation.ingest_memory import run


def test_copies_are_documents_of_their_own(tmp_path: Path):
    for name in ("a.txt", "b.md"):
        (tmp_path / name).write_text("\n\n".join(f"Lantern {n} of {name} burns." for n in range(200)), encoding="utf-8")
    result = run(argparse.Namespace(paths=[tmp_path], files=2, times=[1, 3]), Settings())
    once, thrice = result["runs"]
    assert result["files"] == 2
    assert thrice["chunks"] == 3 * once["chunks"] > 6
    assert 0 < once["before_megabytes"] <= once["peak_megabytes"]
    assert 0 < once["own_megabytes"] <= once["peak_megabytes"]
    assert once["parser_megabytes"] < once["peak_megabytes"]
    assert result["growth_megabytes"][0] == once["peak_megabytes"] - once["before_megabytes"]
