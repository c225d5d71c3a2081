"""DOCX (and DOCM, strict or transitional): headings, lists, tables, notes, text boxes, dates."""

import re
from collections.abc import Iterator
from typing import Any

from core.types import Page
from ingest import reasons
from ingest.loaders.containers import Container, attribute, local_name
from ingest.loaders.ocr import read_pictures
from ingest.loaders.writer import MarkdownWriter
from ingest.types import Parsed, Source

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_HEADING_STYLE = re.compile(r"^(?:heading|标题|überschrift|titre)\s*(\d)", re.IGNORECASE)
_PARTS = ("footnotes", "endnotes", "comments")
# Alternate content repeats a drawing for old readers; deleted text is not the document's.
_SKIPPED = frozenset({"Fallback", "delText", "instrText", "del", "moveFrom"})
_SPARSE = 40


def load_docx(source: Source) -> Parsed:
    """One page (the format has no pages of its own)."""
    container = Container(source)
    main = _main_part(container)
    root = container.xml(main)
    if root is None:
        raise reasons.damaged(source.name, "no readable main part")
    writer = MarkdownWriter()
    _Body(writer, _heading_styles(container, main)).write(root)
    folder = main.rpartition("/")[0]
    for part in _PARTS:
        notes = container.xml(f"{folder}/{part}.xml")
        if notes is not None:
            _Body(writer, {}).write(notes)
    text = writer.text()
    pictured, warnings = read_pictures(container, source.name) if len(text) < _SPARSE else ("", ())
    metadata = core_properties(container)
    return Parsed(
        (Page("\n\n".join(filter(None, (text, pictured)))),),
        metadata.pop("title", "") or writer.title,
        MEDIA_TYPE,
        "markdown",
        metadata,
        warnings,
        ocr_pages=(1,) if pictured else (),
        incomplete=container.is_salvaged or bool(warnings),
    )


def core_properties(container: Container) -> dict[str, str]:
    """Title, author and dates that an office file states of itself."""
    root = container.xml("docProps/core.xml")
    wanted = {"title": "title", "creator": "author", "created": "created", "modified": "modified"}
    found = {}
    for element in [] if root is None else root:
        name = wanted.get(local_name(element))
        if name and element.text and element.text.strip():
            found[name] = element.text.strip()[:300]
    return found


def _main_part(container: Container) -> str:
    """The part that the relationships call the document, which need not be word/document.xml."""
    relations = container.xml("_rels/.rels")
    for relation in [] if relations is None else relations:
        if relation.get("Type", "").endswith("/officeDocument"):
            target = relation.get("Target", "").lstrip("/")
            if target in container:
                return str(target)
    return "word/document.xml"


def _heading_styles(container: Container, main: str) -> dict[str, int]:
    """Style id -> heading level, by the style's outline level or its name."""
    root = container.xml(main.rpartition("/")[0] + "/styles.xml")
    levels: dict[str, int] = {}
    for style in [] if root is None else root.iter("{*}style"):
        name = style.find("{*}name")
        outline = style.find(".//{*}outlineLvl")
        title = attribute(name, "val") if name is not None else ""
        named = _HEADING_STYLE.match(title)
        if named:
            levels[attribute(style, "styleId")] = int(named.group(1))
        elif title.lower() == "title":
            levels[attribute(style, "styleId")] = 1
        elif outline is not None and attribute(outline, "val").isdigit():
            levels[attribute(style, "styleId")] = min(int(attribute(outline, "val")) + 1, 6)
    return levels


class _Body:
    """Walks a part in the order of reading."""

    def __init__(self, writer: MarkdownWriter, headings: dict[str, int]) -> None:
        self._writer = writer
        self._headings = headings

    def write(self, root: Any) -> None:
        """Write every paragraph and table under `root`, also those inside content controls and text boxes."""
        for element in _blocks(root):
            if local_name(element) == "tbl":
                self._table(element)
            else:
                self._paragraph(element)

    def _paragraph(self, element: Any) -> None:
        text = _text(element)
        style = element.find("{*}pPr/{*}pStyle")
        style_id = attribute(style, "val") if style is not None else ""
        level = self._headings.get(style_id, 0)
        numbering = element.find("{*}pPr/{*}numPr")
        if level and len(text) < 300:
            self._writer.heading(text, level)
        elif numbering is not None:
            depth = numbering.find("{*}ilvl")
            self._writer.item(text, int(attribute(depth, "val") or 0) if depth is not None else 0)
        else:
            self._writer.paragraph(text)
        for box in element.iter("{*}txbxContent"):
            if not any(local_name(parent) == "Fallback" for parent in box.iterancestors()):
                self.write(box)

    def _table(self, table: Any) -> None:
        rows = [[_cell_text(cell) for cell in row.iter("{*}tc")] for row in table.iterchildren("{*}tr")]
        if len(rows) == 1 or max((len(row) for row in rows), default=0) == 1:
            # One row or one column only frames text.
            for cell in (cell for row in rows for cell in row):
                self._writer.paragraph(cell)
        else:
            self._writer.table(rows)


def _blocks(root: Any) -> Iterator[Any]:
    """Paragraphs and tables, not descending into either."""
    pending = list(reversed(root))
    while pending:
        element = pending.pop()
        name = local_name(element)
        if name in ("p", "tbl"):
            yield element
        elif name and name not in _SKIPPED:
            pending.extend(reversed(element))


def _cell_text(cell: Any) -> str:
    return " ".join(filter(None, (_text(paragraph) for paragraph in cell.iter("{*}p"))))


def _text(paragraph: Any) -> str:
    pieces: list[str] = []
    pending = list(reversed(paragraph))
    while pending:
        element = pending.pop()
        name = local_name(element)
        if name == "t":
            pieces.append(element.text or "")
        elif name == "tab":
            pieces.append("\t")
        elif name in ("br", "cr"):
            pieces.append("\n")
        elif name not in _SKIPPED and name not in ("txbxContent", "pPr", "rPr"):
            pending.extend(reversed(element))
    return "".join(pieces).strip()
