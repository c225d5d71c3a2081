"""A document's text as a row of blocks: headings, paragraphs, tables, code; each an exact span of the text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from core.types import PAGE_BREAK, Page
from ingest.types import Structure

BlockKind = Literal["heading", "text", "table", "code"]

_HEADING = re.compile(r"^(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_ANCHOR = re.compile(r"\s*\{#[^}]*\}\s*$|\s*<a\s[^>]*>\s*</a>\s*", re.IGNORECASE)
_FENCE = re.compile(r"^\s{0,12}(```+|~~~+)")
_SEPARATOR = re.compile(r"^\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$")
# Code is cut where nothing is indented: between functions, classes, stanzas.
_TOP_LEVEL = re.compile(r"^[^\s})\]]")


@dataclass(frozen=True)
class Block:
    """Half-open span in the document's text. `path` are the headings above it (of a heading: with itself)."""

    start: int
    end: int
    kind: BlockKind
    path: tuple[str, ...] = ()
    page: int | None = None


@dataclass(frozen=True)
class _Line:
    start: int
    text: str

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def is_blank(self) -> bool:
        return not self.text.strip()


def blocks_of(pages: tuple[Page, ...], structure: Structure) -> list[Block]:
    """The blocks of all pages in order; spans count in the text that `PAGE_BREAK` joins. Blank lines are in none."""
    found: list[Block] = []
    offset = 0
    for page in pages:
        scan = _Scanner(list(_lines(page.text, offset)), page.number)
        found.extend(scan.markdown() if structure == "markdown" else scan.plain(structure == "code"))
        offset += len(page.text) + len(PAGE_BREAK)
    return found


def _lines(text: str, offset: int) -> Iterator[_Line]:
    for line in text.split("\n"):
        yield _Line(offset, line)
        offset += len(line) + 1


class _Scanner:
    """Reads the lines of one page from the top."""

    def __init__(self, lines: list[_Line], page: int | None) -> None:
        self._lines = lines
        self._page = page
        self._path: list[tuple[int, str]] = []

    def plain(self, is_code: bool) -> Iterator[Block]:
        """Paragraphs between blank lines; of code, stanzas that begin at the left margin after a blank line."""
        first: int | None = None
        for place, line in enumerate(self._lines):
            if line.is_blank:
                following = self._next_text(place)
                if first is not None and not (is_code and following and not _TOP_LEVEL.match(following)):
                    yield self._block(first, place, "code" if is_code else "text")
                    first = None
            elif first is None:
                first = place
        if first is not None:
            yield self._block(first, len(self._lines), "code" if is_code else "text")

    def markdown(self) -> Iterator[Block]:
        """Headings, fenced code, pipe tables, and paragraphs between them."""
        place = 0
        while place < len(self._lines):
            line = self._lines[place]
            heading = _HEADING.match(line.text)
            end = place + 1
            if heading:
                self._enter(len(heading.group(1)), _ANCHOR.sub("", heading.group(2)).strip())
                yield self._block(place, end, "heading")
            elif _FENCE.match(line.text):
                end = self._end_of_fence(place)
                yield self._block(place, end, "code")
            elif self._is_table(place):
                end = self._end_of_table(place)
                yield self._block(place, end, "table")
            elif not line.is_blank:
                end = self._end_of_paragraph(place)
                yield self._block(place, end, "text")
            place = end

    def _enter(self, level: int, title: str) -> None:
        self._path = [entry for entry in self._path if entry[0] < level]
        if title:
            self._path.append((level, title))

    def _is_table(self, place: int) -> bool:
        if "|" not in self._lines[place].text or place + 1 >= len(self._lines):
            return False
        return bool(_SEPARATOR.match(self._lines[place + 1].text)) and "|" in self._lines[place + 1].text

    def _end_of_fence(self, place: int) -> int:
        match = _FENCE.match(self._lines[place].text)
        fence = match.group(1) if match else "```"
        for end in range(place + 1, len(self._lines)):
            if self._lines[end].text.strip().startswith(fence):
                return end + 1
        return len(self._lines)

    def _end_of_paragraph(self, place: int) -> int:
        for end in range(place + 1, len(self._lines)):
            text = self._lines[end].text
            if not text.strip() or _HEADING.match(text) or _FENCE.match(text) or self._is_table(end):
                return end
        return len(self._lines)

    def _end_of_table(self, place: int) -> int:
        for end in range(place, len(self._lines)):
            if "|" not in self._lines[end].text:
                return end
        return len(self._lines)

    def _next_text(self, place: int) -> str:
        return next((line.text for line in self._lines[place + 1 : place + 20] if not line.is_blank), "")

    def _block(self, first: int, end: int, kind: BlockKind) -> Block:
        while end > first + 1 and self._lines[end - 1].is_blank:
            end -= 1
        path = tuple(title for _, title in self._path)
        return Block(self._lines[first].start, self._lines[end - 1].end, kind, path, self._page)
