"""ODT and ODP (and their templates): headings, lists, tables; slides as pages. ODS is read as a spreadsheet."""

from typing import Any

from core.types import Page
from ingest import reasons
from ingest.loaders.containers import Container, attribute, local_name
from ingest.loaders.writer import MarkdownWriter
from ingest.types import Parsed, Source

_MEDIA_TYPES = {
    "text": "application/vnd.oasis.opendocument.text",
    "presentation": "application/vnd.oasis.opendocument.presentation",
    "spreadsheet": "application/vnd.oasis.opendocument.spreadsheet",
}
_SILENT = frozenset({"tracked-changes", "annotation", "forms", "sequence-decls", "date", "page-number", "scripts"})


def load_opendocument(source: Source) -> Parsed:
    """A text is one page; of a presentation every slide is one."""
    container = Container(source)
    if b"encryption-data" in container.read("META-INF/manifest.xml"):
        raise reasons.encrypted(source.name)
    root = container.xml("content.xml")
    body = None if root is None else root.find("{*}body")
    if body is None or not len(body):
        raise reasons.damaged(source.name, "no content")
    content = body[0]
    kind = local_name(content)
    slides = content.findall("{*}page") if kind == "presentation" else []
    pages = [Page(_render(slide), number) for number, slide in enumerate(slides, 1)] or [Page(_render(content))]
    metadata = _metadata(container)
    title = metadata.pop("title", "")
    media_type = _MEDIA_TYPES.get(kind, _MEDIA_TYPES["text"])
    return Parsed(tuple(pages), title, media_type, "markdown", metadata, incomplete=container.is_salvaged)


def _render(root: Any) -> str:
    writer = MarkdownWriter()
    _write(writer, root, 0)
    return writer.text()


def _write(writer: MarkdownWriter, element: Any, lists: int) -> None:
    for child in element:
        name = local_name(child)
        if name == "h":
            level = attribute(child, "outline-level")
            writer.heading(_text(child), int(level) if level.isdigit() else 1)
        elif name == "p":
            writer.item(_text(child), lists - 1) if lists else writer.paragraph(_text(child))
            _write_frames(writer, child)
        elif name == "table":
            rows = [[_cell(cell) for cell in row if "cell" in local_name(cell)] for row in child.iter("{*}table-row")]
            writer.table(rows)
        elif name and name not in _SILENT:
            _write(writer, child, lists + (name == "list"))


def _write_frames(writer: MarkdownWriter, paragraph: Any) -> None:
    """Text boxes hang inside a paragraph but are read apart."""
    for box in paragraph.iter("{*}text-box"):
        _write(writer, box, 0)


def _cell(cell: Any) -> str:
    return " ".join(filter(None, (_text(paragraph) for paragraph in cell.iter("{*}p", "{*}h"))))


def _text(element: Any) -> str:
    pieces = [element.text or ""]
    for child in element:
        name = local_name(child)
        if name in ("line-break", "tab", "s"):
            pieces.append("\n" if name == "line-break" else " " * max(int(attribute(child, "c") or 1), 1))
        elif name and name not in _SILENT and name not in ("frame", "text-box", "bookmark"):
            pieces.append(_text(child))
        pieces.append(child.tail or "")
    return "".join(pieces)


def _metadata(container: Container) -> dict[str, str]:
    root = container.xml("meta.xml")
    wanted = {"title": "title", "creator": "author", "creation-date": "created", "date": "modified"}
    found: dict[str, str] = {}
    for element in [] if root is None else root.iter():
        name = wanted.get(local_name(element))
        if name and (element.text or "").strip():
            found[name] = element.text.strip()[:300]
    return found
