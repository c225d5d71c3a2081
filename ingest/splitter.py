"""From a document to chunks: whole sentences, rows and lines, counted in the encoder's own tokens.

A chunk is an exact span of the document's text. It begins where a sentence begins, keeps to one section where the
section is long enough, and shares a sentence or two with its neighbour. Code and tables stay whole where they fit; a
table that does not fit is cut between rows, and each part remembers the header (`metadata["table_header"]`).
"""

import bisect
import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.language import language_of, sentence_spans
from core.types import PAGE_BREAK, Chunk, Document
from ingest.blocks import Block, blocks_of
from ingest.types import Structure
from retrieval.protocol import Embedder

VERSION = "2"
# A section shorter than this share of a chunk is joined with the next one.
_SHORT_SECTION = 0.3
_HEADER_CHARACTERS = 400
_SPECIAL_TOKENS = 2
_SMALLEST_LIMIT = 32
_GOOD_CUT = re.compile(r"[\s，、；：,;:|/]")


@dataclass(frozen=True)
class _Unit:
    """What is never cut: a sentence, a row, a line, or a whole small table or code block."""

    start: int
    end: int
    block: Block
    tokens: int = 0
    header: str = ""


class Splitter:
    """Cuts documents for one encoder."""

    def __init__(self, embedder: Embedder, chunk_tokens: int, overlap: int) -> None:
        """`chunk_tokens`: most tokens of a chunk with its headings; `overlap`: most tokens shared by neighbours."""
        self._embedder = embedder
        self._most = min(chunk_tokens, embedder.max_tokens - _SPECIAL_TOKENS)
        self._overlap = min(overlap, chunk_tokens // 2)

    @property
    def settings(self) -> str:
        """What the chunks depend on, for the collection to remember."""
        return f"v{VERSION}/{self._most}/{self._overlap}"

    def split(self, document: Document) -> list[Chunk]:
        """The chunks in order; `document_text[chunk.start:chunk.end] == chunk.text` for each. Ids are the store's."""
        text = PAGE_BREAK.join(page.text for page in document.pages)
        structure: Structure = document.metadata.get("structure", "plain")
        blocks = _with_outline(blocks_of(document.pages, structure), document.metadata.get("outline", ()))
        units = self._fitting(text, [unit for block in blocks for unit in _units(text, block)])
        spans = _pack(units, self._limits(document.title, units), self._overlap)
        return [self._chunk(document, text, units[first:last], place) for place, (first, last) in enumerate(spans)]

    def _counted(self, text: str, units: Sequence[_Unit]) -> list[_Unit]:
        counts = self._embedder.count_tokens([text[unit.start : unit.end] for unit in units]) if units else []
        return [
            _Unit(unit.start, unit.end, unit.block, count, unit.header)
            for unit, count in zip(units, counts, strict=True)
        ]

    def _fitting(self, text: str, units: list[_Unit]) -> list[_Unit]:
        """The units counted; those longer than a chunk are cut at spaces until each fits."""
        limit = max(self._most * 3 // 4, _SMALLEST_LIMIT)
        done: list[_Unit] = []
        pending = self._counted(text, units)
        while pending:
            pieces: list[_Unit] = []
            for unit in pending:
                if unit.tokens <= limit or unit.end - unit.start <= 8:
                    done.append(unit)
                else:
                    pieces.extend(_cut(text, unit, -(-unit.tokens // limit) + 1))
            pending = self._counted(text, pieces)
        return sorted(done, key=lambda unit: unit.start)

    def _limits(self, title: str, units: Sequence[_Unit]) -> list[int]:
        """For each unit, the tokens that title, headings and table header leave to the text."""
        heads = [" › ".join((title, *unit.block.path)) + " " + unit.header for unit in units]
        unique = list(dict.fromkeys(heads))
        spent = dict(zip(unique, self._embedder.count_tokens(unique) if unique else [], strict=True))
        most = min(self._embedder.max_tokens - _SPECIAL_TOKENS, self._most + 32)
        return [max(min(self._most, most - spent[head]), _SMALLEST_LIMIT) for head in heads]

    def _chunk(self, document: Document, text: str, units: Sequence[_Unit], position: int) -> Chunk:
        start, end = units[0].start, units[-1].end
        path = _common_path([unit.block.path for unit in units])
        return Chunk(
            id="",
            document_id="",
            text=text[start:end],
            position=position,
            start=start,
            end=end,
            page=units[0].block.page,
            heading_path=path,
            title=document.title,
            uri=document.uri,
            language=language_of(text[start:end]),
            metadata={"table_header": units[0].header} if units[0].header else {},
        )


def _common_path(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The headings that stand above all of the passage."""
    shared = 0
    while all(len(path) > shared and path[shared] == paths[0][shared] for path in paths):
        shared += 1
    return paths[0][:shared]


def _pack(units: Sequence[_Unit], limits: Sequence[int], overlap: int) -> list[tuple[int, int]]:
    """Half-open ranges of units, one a chunk."""
    ranges: list[tuple[int, int]] = []
    first = 0
    while first < len(units):
        last = _end_of_chunk(units, first, limits[first])
        begin = _without_own_heading(units, first, last)
        ranges.append((begin, last))
        first = last if last >= len(units) else _with_overlap(units, begin, last, overlap)
    return ranges


def _end_of_chunk(units: Sequence[_Unit], first: int, limit: int) -> int:
    """Take units while they fit; stop before a new section once there is something worth a chunk of its own."""
    spent = units[first].tokens
    for last in range(first + 1, len(units)):
        unit = units[last]
        worth_it = spent >= limit * _SHORT_SECTION and units[last - 1].block.kind != "heading"
        if unit.block.page != units[last - 1].block.page:
            # A citation names one page, and it must be the one where the words stand.
            return last
        if (worth_it and unit.block.kind == "heading") or spent + unit.tokens > limit:
            # A heading at the end of a chunk belongs to what follows it.
            return last - 1 if units[last - 1].block.kind == "heading" and last - 1 > first else last
        spent += unit.tokens
    return len(units)


def _without_own_heading(units: Sequence[_Unit], first: int, last: int) -> int:
    """Leave out the heading lines at the top where the whole chunk lies under them: the path already says them."""
    body = first
    while body < last and units[body].block.kind == "heading":
        body += 1
    one_section = all(unit.block.kind != "heading" for unit in units[body:last])
    return body if body < last and one_section else first


def _with_overlap(units: Sequence[_Unit], first: int, last: int, overlap: int) -> int:
    """Where the next chunk begins: some sentences back, if the section goes on."""
    begin, spent = last, 0
    section = units[last].block.path
    while begin - 1 > first:
        unit = units[begin - 1]
        spent += unit.tokens
        same_place = unit.block.path == section and unit.block.page == units[last].block.page
        if spent > overlap or unit.block.kind != "text" or not same_place:
            break
        begin -= 1
    return begin


def _units(text: str, block: Block) -> list[_Unit]:
    if block.kind == "heading":
        return [_Unit(block.start, block.end, block)]
    if block.kind == "text":
        spans = sentence_spans(text[block.start : block.end])
        return [_Unit(block.start + start, block.start + end, block) for start, end in spans]
    return _row_units(text, block) if block.kind == "table" else _line_units(text, block)


# About 190 tokens of code or of table; longer ones are cut between lines.
_WHOLE_CHARACTERS = 500


def _row_units(text: str, block: Block) -> list[_Unit]:
    """A small table whole; else the header with the first row, then row by row under the remembered header."""
    lines = _line_spans(text, block)
    if block.end - block.start <= _WHOLE_CHARACTERS or len(lines) <= 3:
        return [_Unit(block.start, block.end, block)]
    header = text[slice(*lines[0])].strip()[:_HEADER_CHARACTERS]
    head = _Unit(lines[0][0], lines[2][1], block)
    return [head, *(_Unit(start, end, block, header=header) for start, end in lines[3:])]


def _line_units(text: str, block: Block) -> list[_Unit]:
    """Small code whole; else line by line, the opening fence with the first line and the closing one with the last."""
    lines = _line_spans(text, block)
    if block.end - block.start <= _WHOLE_CHARACTERS or len(lines) <= 3:
        return [_Unit(block.start, block.end, block)]
    inner = [(lines[0][0], lines[1][1]), *lines[2:-2], (lines[-2][0], lines[-1][1])]
    return [_Unit(start, end, block) for start, end in inner]


def _line_spans(text: str, block: Block) -> list[tuple[int, int]]:
    spans, start = [], block.start
    for line in text[block.start : block.end].split("\n"):
        if line.strip():
            spans.append((start, start + len(line)))
        start += len(line) + 1
    return spans


def _cut(text: str, unit: _Unit, parts: int) -> list[_Unit]:
    """Cut a unit into about `parts` pieces, at a space or comma near the places that divide it evenly."""
    length = unit.end - unit.start
    places = [unit.start]
    for part in range(1, parts):
        even = unit.start + part * length // parts
        near = _GOOD_CUT.search(text, even, min(even + length // parts // 2 + 1, unit.end))
        place = near.end() if near else even
        if places[-1] < place < unit.end:
            places.append(place)
    ends = [*places[1:], unit.end]
    pieces = []
    for start, end in zip(places, ends, strict=True):
        body = text[start:end]
        left, right = start + len(body) - len(body.lstrip()), start + len(body.rstrip())
        if left < right:
            pieces.append(_Unit(left, right, unit.block, header=unit.header))
    return pieces


def _with_outline(blocks: list[Block], outline: Sequence[Sequence[object]]) -> list[Block]:
    """Give blocks without headings of their own the bookmarks of the PDF that lead to their page."""
    if not outline or any(block.path for block in blocks):
        return blocks
    entries = sorted(((int(str(page)), int(str(level)), str(title)) for level, title, page in outline))
    pages = [page for page, _, _ in entries]
    paths: list[tuple[str, ...]] = [()]
    open_path: list[tuple[int, str]] = []
    for _, level, title in entries:
        open_path = [*(entry for entry in open_path if entry[0] < level), (level, title)]
        paths.append(tuple(name for _, name in open_path))
    return [
        Block(block.start, block.end, block.kind, paths[bisect.bisect_right(pages, block.page or 0)], block.page)
        for block in blocks
    ]
