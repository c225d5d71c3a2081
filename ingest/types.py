"""What travels inside ingest: a file's bytes, what a loader made of them, and the tables found in them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.language import Bilingual
from core.types import Page

Cell = str | int | float | None
Structure = Literal["markdown", "plain", "code"]


@dataclass(frozen=True)
class Source:
    """The bytes of one file under its name. `depth` counts the containers (archive, mail) around it, from 0."""

    name: str
    data: bytes
    password: str = ""
    depth: int = 0

    @property
    def suffix(self) -> str:
        """The last suffix in lower case, without the dot; empty where there is none."""
        stem, dot, suffix = self.name.rpartition(".")
        return suffix.lower() if dot and stem else ""

    @property
    def stem(self) -> str:
        """The name without folders and suffix."""
        base = self.name.replace("\\", "/").rsplit("/", 1)[-1]
        return base.rsplit(".", 1)[0] or base


@dataclass(frozen=True)
class Table:
    """A table as data: `rows` have exactly as many cells as `columns`; `page` is the sheet's number, from 1."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    page: int | None = None


@dataclass(frozen=True)
class Parsed:
    """What a loader read.

    `structure` tells the splitter how to read the text: `markdown` (headings, pipes, fences count), `plain`
    (sentences only) or `code` (lines). `incomplete` means that text was lost; `warnings` say
    which, or are mere remarks. `garbled_pages` and `ocr_pages` are numbers of pages.
    """

    pages: tuple[Page, ...]
    title: str = ""
    media_type: str = "text/plain"
    structure: Structure = "plain"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[Bilingual, ...] = ()
    tables: tuple[Table, ...] = ()
    garbled_pages: tuple[int, ...] = ()
    ocr_pages: tuple[int, ...] = ()
    incomplete: bool = False

    @property
    def characters(self) -> int:
        """Characters of text on all pages, white space not counted."""
        return sum(len("".join(page.text.split())) for page in self.pages)
