"""What an ingest run tells while it goes on, in a fixed order.

Planned · (FileDone | FileFailed | FileRemoved | FileRenamed)* · Embedded* · Finished.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from core.language import Bilingual

FileStatus = Literal["ok", "partial"]


@dataclass(frozen=True)
class Planned:
    """What will be done. `known_failures` failed before and have not changed since; they are not tried again."""

    added: int
    changed: int
    removed: int
    renamed: int
    unchanged: int
    known_failures: int = 0

    @property
    def line(self) -> str:
        """The plan in one line: `+3 ~1 -2 =40`, and `>1` where files were renamed."""
        renamed = f" >{self.renamed}" if self.renamed else ""
        return f"+{self.added} ~{self.changed} -{self.removed}{renamed} ={self.unchanged}"


@dataclass(frozen=True)
class FileDone:
    """A file is committed and can be found by its words; its vectors may follow. `done` of `total` files."""

    uri: str
    status: FileStatus
    chunks: int
    characters: int
    seconds: float
    done: int
    total: int
    warnings: tuple[Bilingual, ...] = ()


@dataclass(frozen=True)
class FileFailed:
    """A file could not be read; `error` is the class of the reason."""

    uri: str
    reason: Bilingual
    error: str
    done: int
    total: int


@dataclass(frozen=True)
class FileRemoved:
    """A document was taken out because its file is gone."""

    uri: str


@dataclass(frozen=True)
class FileRenamed:
    """A document kept everything but its name."""

    before: str
    after: str


@dataclass(frozen=True)
class Embedded:
    """`done` of `total` chunks of the collection's backlog have vectors; the estimate is in seconds."""

    done: int
    total: int
    seconds_left: float


@dataclass(frozen=True)
class Finished:
    """The end. `failed` holds (uri, reason), of earlier runs too; `stopped` where somebody asked to stop."""

    ok: int
    partial: int
    skipped: int
    failed: tuple[tuple[str, Bilingual], ...]
    removed: int
    renamed: int
    chunks: int
    vectors: int
    searchable_seconds: float
    seconds: float
    stopped: bool = False
    details: dict[str, Any] = field(default_factory=dict)

    def line(self, language: str = "en", named: bool = True) -> str:
        """The summary in one line: `41 ok · 2 skipped · 1 failed: x.pdf (encrypted)`, or without its names."""
        words = {"en": ("ok", "skipped", "failed", "removed"), "zh": ("个成功", "个跳过", "个失败", "个移除")}
        ok, skipped, failed, removed = words["zh" if language.startswith("zh") else "en"]
        parts = [f"{self.ok + self.partial} {ok}", f"{self.skipped} {skipped}"]
        if self.removed:
            parts.append(f"{self.removed} {removed}")
        if self.failed:
            names = ", ".join(_named(uri, reason.in_(language)) for uri, reason in self.failed[:5])
            more = " ..." if len(self.failed) > 5 else ""
            parts.append(f"{len(self.failed)} {failed}" + (f": {names}{more}" if named else ""))
        return " · ".join(parts)


IngestEvent = Planned | FileDone | FileFailed | FileRemoved | FileRenamed | Embedded | Finished


def _named(uri: str, reason: str) -> str:
    """`x.pdf (encrypted)`: the file's own name and the first clause of the reason."""
    name = uri.rsplit("/", 1)[-1]
    clause = reason.split(f"{name}", 1)[-1].lstrip(":： ")
    for end in ("; ", ". ", "；", "。"):
        clause = clause.split(end, 1)[0]
    return f"{name} ({clause.rstrip('.。')})"
