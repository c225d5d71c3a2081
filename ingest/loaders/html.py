"""HTML (and the pages inside books and mails) to Markdown text. Nothing is fetched, no script is run."""

from collections.abc import Iterator
from typing import Any

import lxml.html
from lxml import etree

from core.types import Page
from ingest.loaders.encoding import Decoded, decode
from ingest.loaders.writer import MarkdownWriter
from ingest.types import Parsed, Source

_SILENT = frozenset(
    {"script", "style", "noscript", "template", "svg", "head", "iframe", "object", "select", "button", "nav"}
)
_BLOCKS_NAMES = """
    p div section article main aside header footer address blockquote body html dl dt dd figure figcaption form
    fieldset center details summary ul ol li table tr td th tbody thead tfoot caption hr pre h1 h2 h3 h4 h5 h6
"""
_BLOCKS = frozenset(_BLOCKS_NAMES.split())
_MAX_DEPTH = 150


def load_html(source: Source) -> Parsed:
    """One page of text with headings, lists, tables and code kept."""
    decoded = decode(source.data)
    title, text, language = html_to_markdown(decoded)
    metadata = {"encoding": decoded.encoding, "encoding_guessed": decoded.guessed}
    if language:
        metadata["lang"] = language
    return Parsed((Page(text),), title, "text/html", "markdown", metadata)


def html_to_markdown(decoded: Decoded) -> tuple[str, str, str]:
    """(title, Markdown text, declared language) of a page; empty strings where there is none."""
    root = _parse(decoded.text)
    if root is None:
        return "", "", ""
    writer = MarkdownWriter()
    _Renderer(writer).block(root, 0)
    title = " ".join((root.findtext(".//title") or "").split()) or writer.title
    return title, writer.text(), root.get("lang") or ""


def _parse(text: str) -> Any:
    # As bytes of a known encoding: lxml refuses a str that declares one.
    parser = lxml.html.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True)
    try:
        return lxml.html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        return None


class _Renderer:
    """Walks the tree: blocks to the writer, what stands between them gathered as running text."""

    def __init__(self, writer: MarkdownWriter) -> None:
        self._writer = writer
        self._running: list[str] = []

    def block(self, element: Any, depth: int) -> None:
        """Render a block element and all inside it."""
        if depth > _MAX_DEPTH:
            self._running.append(" ".join(element.itertext()))
            return
        self._running.append(element.text or "")
        for child in element:
            if isinstance(child.tag, str) and child.tag not in _SILENT:
                self._child(child, depth)
            self._running.append(child.tail or "")
        if element.tag in _BLOCKS:
            self._flush()

    def _child(self, child: Any, depth: int) -> None:
        tag = child.tag
        if tag == "br":
            self._running.append("\n")
        elif tag not in _BLOCKS:
            self.block(child, depth + 1)
        else:
            self._flush()
            self._block_child(child, depth)

    def _block_child(self, child: Any, depth: int) -> None:
        tag = child.tag
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self._writer.heading(_inline(child), int(tag[1]))
        elif tag == "pre":
            self._writer.code(_inline(child, keep_lines=True))
        elif tag == "table" and _is_data_table(child):
            self._writer.table([[_inline(cell) for cell in row] for row in _rows(child)])
        elif tag == "li" and not child.xpath(".//table|.//pre|.//ul|.//ol|.//p"):
            self._writer.item(_inline(child), _list_depth(child), "1." if child.getparent().tag == "ol" else "-")
        else:
            self.block(child, depth + 1)
            self._flush()

    def _flush(self) -> None:
        text = _collapse("".join(self._running))
        self._running.clear()
        self._writer.paragraph(text)


def _inline(element: Any, keep_lines: bool = False) -> str:
    """The text inside an element; `<br>` is a line end."""
    pieces = list(_pieces(element))
    return "".join(pieces) if keep_lines else " ".join("".join(pieces).split())


def _pieces(element: Any) -> Iterator[str]:
    for event, node in etree.iterwalk(element, events=("start", "end")):
        if not isinstance(node.tag, str) or node.tag in _SILENT:
            continue
        if event == "start":
            yield "\n" if node.tag == "br" else " " if node.tag in _BLOCKS and node is not element else ""
            yield node.text or ""
        elif node is not element:
            yield node.tail or ""


def _collapse(text: str) -> str:
    """Line ends of the source are spaces; those we wrote for `<br>` cannot be told apart and stay harmless."""
    return "\n".join(" ".join(line.split()) for line in text.split("\n"))


def _is_data_table(table: Any) -> bool:
    """A table that lays out a page holds blocks or tables in its cells; one with data does not."""
    return not table.xpath(".//table|.//h1|.//h2|.//h3|.//ul|.//pre") and len(table.xpath(".//tr[1]/*")) > 1


def _rows(table: Any) -> list[list[Any]]:
    return [[cell for cell in row if cell.tag in ("td", "th")] for row in table.iter("tr")]


def _list_depth(item: Any) -> int:
    return max(sum(parent.tag in ("ul", "ol") for parent in item.iterancestors()) - 1, 0)
