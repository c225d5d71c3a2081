"""Reading question sets: JSONL, one object a line; questions with their contexts."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import SettingError
from core.language import Bilingual


@dataclass(frozen=True)
class Passage:
    """A context of a question set; it becomes one document of one chunk."""

    id: str
    text: str
    title: str = ""


@dataclass(frozen=True)
class ExamQuestion:
    """A question, the contexts that hold its answer (none: nothing does), and the answers that count as right."""

    id: str
    text: str
    context_ids: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    answerable: bool = True
    fields: Mapping[str, Any] = field(default_factory=dict)


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file. Raises SettingError naming the file, and the line that is not JSON."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _parse(path, number, line)
    except OSError as error:
        raise SettingError(
            Bilingual(en=f"{path} cannot be read: {error.strerror}.", zh=f"无法读取 {path}：{error.strerror}。")
        ) from error


def read_contexts(path: Path) -> list[Passage]:
    """The contexts of a question set."""
    return [Passage(row["id"], row["text"], row.get("title") or "") for row in read_jsonl(path)]


def read_questions(path: Path, limit: int | None = None) -> list[ExamQuestion]:
    """The questions of a set, spread evenly over it where `limit` allows fewer than there are."""
    rows = list(read_jsonl(path))
    if limit is not None and limit < len(rows):
        rows = [rows[place * len(rows) // limit] for place in range(limit)]
    return [_question(row) for row in rows]


def _question(row: dict[str, Any]) -> ExamQuestion:
    ids = row.get("context_ids") or ([row["context_id"]] if row.get("context_id") else [])
    turns = row.get("turns") or [{"text": ""}]
    return ExamQuestion(
        id=str(row["id"]),
        text=str(row.get("question") or turns[-1]["text"]).strip(),
        context_ids=tuple(ids),
        answers=tuple(row.get("answers") or ()),
        answerable=bool(row.get("answerable", True)),
        fields=row,
    )


def _parse(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise SettingError(
            Bilingual(
                en=f"{path}, line {number}: not JSON ({error}).", zh=f"{path} 第 {number} 行不是 JSON（{error}）。"
            )
        ) from error
    return row
