"""Odd real documents through the parser: every one must end in time and memory, with its text or a clear reason.

Connections are refused inside the parser's process and counted there, also where a library swallows the refusal.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.config import Settings
from core.errors import SettingError
from core.language import Bilingual
from ingest.child import Limits, Outcome, ParserChild
from ingest.types import Parsed, Source

MOST_SECONDS = 60.0
MOST_BYTES = 1_500_000_000
# The manifest counts with another reader and with white space; this share of its characters is a full yield. Its reader
# counts a letter each time that it is drawn: of a PDF that seems short, letters drawn over themselves count once.
FULL_YIELD = 0.7
_PAGES_COUNTED = 12
_MUST_YIELD = ("normal", "cjk", "encoding", "rtl")
_CRASH = "crashed"


@dataclass(frozen=True)
class FileResult:
    """One file: `status` is ok, partial or failed; `expected` the characters that the manifest counts, if it does."""

    file: str
    category: str
    status: str
    characters: int
    expected: int | None
    seconds: float
    peak_bytes: int
    error: str = ""
    reason: str = ""
    has_password: bool = False
    attempts: tuple[str, ...] = ()
    drawn_again: float = 0.0

    @property
    def is_short(self) -> bool:
        """Whether text is missing that the manifest says is there."""
        if not self.expected or self.category not in _MUST_YIELD:
            return False
        return self.characters < self.expected * FULL_YIELD


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this evaluation."""
    parser.add_argument("folder", type=Path, help="a folder with manifest.jsonl")
    parser.add_argument("--limit", type=int, help="so many files, spread evenly")
    parser.add_argument("--category", help="files of one category only")
    parser.add_argument("--verbose", action="store_true", help="a line for each file, on standard error")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Parse every file as ingest does. Raises SettingError where there is no manifest."""
    rows = _manifest(options.folder)
    if options.category:
        rows = [row for row in rows if row["category"] == options.category]
    if options.limit:
        rows = rows[:: max(len(rows) // options.limit, 1)][: options.limit]
    results = []
    for result in measure(options.folder, rows):
        results.append(result)
        if options.verbose:
            print(_line(result), file=sys.stderr, flush=True)  # noqa: T201 - asked for
    return summary(results)


def measure(folder: Path, rows: list[Mapping[str, Any]]) -> Iterator[FileResult]:
    """The files one by one, in one child process that is kept warm as in a real run."""
    child = ParserChild(Limits())
    try:
        for row in rows:
            with tempfile.TemporaryDirectory() as scratch:
                # A copy: nothing that a parser does may touch the original.
                path = Path(shutil.copy(folder / row["file"], scratch)).resolve()
                passwords = (row["password"],) if "password" in row else ()
                result = _result(row, child.outcome(path, path.name, passwords))
                yield _with_letters_once(result, path, *passwords)
    finally:
        child.close()


def summary(results: list[FileResult]) -> dict[str, Any]:
    """The figures of the gate, and the names of the files that miss it."""
    failed = [result for result in results if result.status == "failed"]
    return {
        "evaluation": "files",
        "files": len(results),
        "status": dict(Counter(result.status for result in results)),
        "by_category": {
            category: dict(Counter(result.status for result in results if result.category == category))
            for category in sorted({result.category for result in results})
        },
        "crashes": [result.file for result in results if _CRASH in result.reason],
        "without_reason": [result.file for result in failed if not result.reason],
        "over_time": [result.file for result in results if result.seconds > MOST_SECONDS],
        "over_memory": [result.file for result in results if result.peak_bytes > MOST_BYTES],
        "connections": {result.file: result.attempts for result in results if result.attempts},
        "slowest": max((result.seconds for result in results), default=0.0),
        "peak_megabytes": round(max((result.peak_bytes for result in results), default=0) / 1e6),
        "short": [result.file for result in results if result.is_short],
        "letters_drawn_again": {result.file: result.drawn_again for result in results if result.drawn_again},
        "compared_with_manifest": sum(result.expected is not None for result in results),
        "opened_with_password": sum(result.has_password and result.status != "failed" for result in results),
        "with_password": sum(result.has_password for result in results),
        "reasons": {result.file: result.reason for result in failed},
    }


def _result(row: Mapping[str, Any], outcome: Outcome) -> FileResult:
    parsed = outcome.parsed
    return FileResult(
        file=row["file"],
        category=row["category"],
        status="failed" if parsed is None else "partial" if parsed.incomplete else "ok",
        characters=_characters(parsed) if parsed else 0,
        expected=row.get("text_chars"),
        seconds=round(outcome.seconds, 3),
        peak_bytes=outcome.peak_bytes,
        error=type(outcome.error).__name__ if outcome.error else "",
        reason=outcome.error.message.en if outcome.error else "",
        has_password="password" in row,
        attempts=outcome.attempts,
    )


def _characters(parsed: Parsed) -> int:
    """Of the first twelve pages, as the manifest counts them."""
    return sum(len(page.text) for page in parsed.pages[:_PAGES_COUNTED])


def _with_letters_once(result: FileResult, path: Path, password: str = "") -> FileResult:
    """With the expected characters less those that a PDF draws again over themselves, where that matters."""
    if not result.is_short or path.suffix.lower() != ".pdf":
        return result
    from ingest.loaders.pdf_second import share_drawn_once

    source = Source(path.name, path.read_bytes(), password)
    share = share_drawn_once(source, _PAGES_COUNTED)
    return replace(result, expected=round((result.expected or 0) * share), drawn_again=round(1.0 - share, 3))


def _manifest(folder: Path) -> list[Mapping[str, Any]]:
    path = folder / "manifest.jsonl"
    if not path.is_file():
        raise SettingError(
            Bilingual(
                en=f"{path} does not exist. Name a folder of test files.", zh=f"{path} 不存在。请给出测试文件夹。"
            )
        )
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _line(result: FileResult) -> str:
    return f"{result.status:8}{result.seconds:7.2f} s {result.characters:8} {result.file} {result.reason}"
