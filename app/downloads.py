"""A model on its way to this machine: `python -m app models pull` in a process of its own, which can be stopped.

What was begun stays and is continued by the next try.
"""

import json
import os
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app import models_command
from app.identity import CLOSED
from app.jobs import Report
from core.config import Settings
from core.errors import FourfoldError, SettingError
from core.language import Bilingual

SECONDS_BETWEEN_LOOKS = 0.5
_UNKNOWN = Bilingual(
    en="The download ended without a word. Go on: it continues where it was.",
    zh="下载意外中断。点“继续”会从断点接着下载。",
)


def command(settings: Settings, action: str, name: str = "") -> dict[str, Any]:
    """Do what `python -m app models ACTION NAME` does; returns the same JSON. Raises FourfoldError."""
    if settings.owner:
        raise SettingError(CLOSED)
    return models_command.run(settings, Namespace(action=action, name=name, force=False, undo=False))


def download(settings: Settings, params: Mapping[str, Any], report: Report) -> dict[str, Any] | None:
    """Fetch `params["name"]` of about `params["bytes"]`; a person asked for it, so this one process may go online."""
    environment = {**os.environ, "FOURFOLD_HOME": str(settings.paths.home), "FOURFOLD_OFFLINE": "false"}
    environment.pop("HF_HUB_OFFLINE", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "models", "pull", params["name"], "--json"],
        cwd=Path(__file__).resolve().parent.parent,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        _follow(process, settings.paths.models, params["bytes"], report)
    finally:
        process.kill()
    said = process.communicate()[0].strip().splitlines()
    return None if report.is_cancelled else _outcome(said)


def _follow(process: "subprocess.Popen[str]", folder: Path, size: int, report: Report) -> None:
    before = size_of(folder)
    while process.poll() is None and not report.is_cancelled:
        there = size_of(folder) - before
        share = min(0.99, there / size) if size else None
        shown = f"{there / 1e6:,.0f} / {size / 1e6:,.0f} MB"
        report.progress(share, Bilingual(shown, shown))
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _outcome(said: list[str]) -> dict[str, Any]:
    try:
        row: dict[str, Any] = json.loads(said[-1])
    except (IndexError, ValueError):
        raise FourfoldError(_UNKNOWN) from None
    if "error" in row:
        raise FourfoldError(Bilingual(row["error"], row["error_zh"]))
    return row


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder, those that are still coming among them."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            # Renamed between two looks: it counts at the next one.
            continue
    return total
