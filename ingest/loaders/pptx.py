"""PPTX: one page per slide, with its title, lists, tables and speaker notes."""

import posixpath
from collections.abc import Iterator
from typing import Any

from core.types import Page
from ingest import reasons
from ingest.loaders.containers import Container, local_name
from ingest.loaders.docx import core_properties
from ingest.loaders.ocr import read_pictures
from ingest.loaders.writer import MarkdownWriter
from ingest.types import Parsed, Source

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
_TITLES = frozenset({"title", "ctrTitle"})
# A slide's own number, date and footer say nothing of its content.
_FURNITURE = frozenset({"sldNum", "dt", "ftr", "hdr", "sldImg"})
_SPARSE = 40


def load_pptx(source: Source) -> Parsed:
    """Slides in the order of the presentation."""
    container = Container(source)
    names = _slides_in_order(container)
    if not names:
        raise reasons.damaged(source.name, "no slides")
    pages = [Page(_slide_text(container, name), place) for place, name in enumerate(names, 1)]
    text = "".join(page.text for page in pages)
    pictured, warnings = read_pictures(container, source.name) if len(text) < _SPARSE else ("", ())
    if pictured:
        pages[0] = Page("\n\n".join(filter(None, (pages[0].text, pictured))), 1)
    metadata = core_properties(container)
    return Parsed(
        tuple(pages),
        metadata.pop("title", ""),
        MEDIA_TYPE,
        "markdown",
        metadata,
        warnings,
        ocr_pages=(1,) if pictured else (),
        incomplete=container.is_salvaged or bool(warnings),
    )


def _slides_in_order(container: Container) -> list[str]:
    """By the presentation's own list; by number where that list is broken."""
    presentation = container.xml("ppt/presentation.xml")
    targets = _relations(container, "ppt/presentation.xml")
    listed = [] if presentation is None else presentation.findall(".//{*}sldId")
    wanted = [targets.get(attribute_r_id(entry), "") for entry in listed]
    names = [name for name in wanted if name in container]
    if names:
        return names
    found = [name for name in container.names if name.startswith("ppt/slides/slide") and name.endswith(".xml")]
    return sorted(found, key=lambda name: (len(name), name))


def attribute_r_id(element: Any) -> str:
    """The relationship's id, which shares its local name with the plain `id`."""
    return next((str(value) for key, value in element.attrib.items() if key.endswith("relationships}id")), "")


def _relations(container: Container, part: str) -> dict[str, str]:
    """Relationship id -> name of the part it leads to, inside the container."""
    folder, _, name = part.rpartition("/")
    root = container.xml(f"{folder}/_rels/{name}.rels")
    return {
        relation.get("Id", ""): posixpath.normpath(posixpath.join(folder, relation.get("Target", ""))).lstrip("/")
        for relation in ([] if root is None else root)
    }


def _slide_text(container: Container, name: str) -> str:
    writer = MarkdownWriter()
    root = container.xml(name)
    if root is not None:
        for shape in _shapes(root):
            _write_shape(writer, shape)
    for target in _relations(container, name).values():
        if "/charts/chart" in target or "/diagrams/data" in target:
            writer.paragraph(_drawn_text(container.xml(target)))
    notes = next((target for target in _relations(container, name).values() if "/notesSlides/" in target), "")
    notes_root = container.xml(notes) if notes in container else None
    if notes_root is not None:
        for shape in _shapes(notes_root):
            _write_shape(writer, shape)
    return writer.text()


def _drawn_text(root: Any) -> str:
    """The words of a chart (title, series, categories) or of a diagram, each once."""
    found = [] if root is None else [element.text or "" for element in root.iter("{*}t", "{*}v")]
    words = dict.fromkeys(text.strip() for text in found if not text.replace(".", "").strip().isdigit())
    return " · ".join(word for word in words if word)


def _shapes(root: Any) -> Iterator[Any]:
    """Shapes and tables in their order, titles first; of alternate content only the first choice."""
    found = [
        element
        for element in root.iter("{*}sp", "{*}graphicFrame")
        if not any(local_name(parent) == "Fallback" for parent in element.iterancestors())
    ]
    yield from sorted(found, key=lambda element: _placeholder(element) not in _TITLES)


def _placeholder(shape: Any) -> str:
    mark = shape.find(".//{*}nvPr/{*}ph")
    return "" if mark is None else mark.get("type", "body")


def _write_shape(writer: MarkdownWriter, shape: Any) -> None:
    kind = _placeholder(shape)
    if kind in _FURNITURE:
        return
    table = shape.find(".//{*}tbl")
    if table is not None:
        writer.table([[_text(cell, " ") for cell in row.iter("{*}tc")] for row in table.iter("{*}tr")])
    elif kind in _TITLES:
        writer.heading(_text(shape, " "), 2)
    else:
        for paragraph in shape.iter("{*}p"):
            writer.item(_text(paragraph, ""), _level(paragraph)) if kind == "body" else writer.paragraph(
                _text(paragraph, "")
            )


def _level(paragraph: Any) -> int:
    properties = paragraph.find("{*}pPr")
    level = "0" if properties is None else properties.get("lvl", "0")
    return int(level) if level.isdigit() else 0


def _text(element: Any, between: str) -> str:
    """Runs and line breaks of the paragraphs inside, joined."""
    paragraphs = [element] if local_name(element) == "p" else list(element.iter("{*}p"))
    return between.join(
        "".join(_run_text(run) for run in paragraph.iter("{*}t", "{*}br", "{*}tab")) for paragraph in paragraphs
    ).strip()


def _run_text(run: Any) -> str:
    name = local_name(run)
    return "\n" if name == "br" else "\t" if name == "tab" else run.text or ""
