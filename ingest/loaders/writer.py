"""The one text form of all structured formats: headings with `#`, tables with pipes, code between fences.

Loaders of HTML, office and book formats write through this class, so that the splitter reads one language.
"""

from collections.abc import Sequence

_FENCE = "```"
MAX_HEADING = 6


class MarkdownWriter:
    """Collects blocks; `text()` joins them with blank lines. Empty blocks are dropped."""

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self.title = ""

    def heading(self, text: str, level: int) -> None:
        """A heading of level 1 to 6; the first one of level 1 also becomes the title."""
        line = " ".join(text.split())
        if not line:
            return
        if level == 1 and not self.title:
            self.title = line
        self._blocks.append("#" * min(max(level, 1), MAX_HEADING) + " " + line)

    def paragraph(self, text: str) -> None:
        """Running text; single line ends inside it are kept."""
        lines = (" ".join(line.split()) for line in text.splitlines())
        body = "\n".join(line for line in lines if line)
        # A text that happens to begin like a heading must not become one.
        self._add("\\" + body if body.startswith("#") else body)

    def item(self, text: str, depth: int = 0, marker: str = "-") -> None:
        """One entry of a list; neighbouring entries stay together."""
        line = " ".join(text.split())
        if not line:
            return
        entry = "  " * depth + f"{marker} {line}"
        if self._blocks and self._blocks[-1].lstrip().startswith(("- ", "1. ")):
            self._blocks[-1] += "\n" + entry
        else:
            self._blocks.append(entry)

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """A table, its first row the header. Rows are padded to the widest; empty ones are left out."""
        cells = [[_cell(cell) for cell in row] for row in rows]
        cells = [row for row in cells if any(row)]
        if not cells:
            return
        width = max(len(row) for row in cells)
        lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in cells]
        if len(lines) > 1:
            lines.insert(1, "|" + " --- |" * width)
        self._blocks.append("\n".join(lines))

    def code(self, text: str, language: str = "") -> None:
        """Preformatted text, kept to the letter."""
        if text.strip():
            self._blocks.append(f"{_FENCE}{language}\n{text.strip(chr(10))}\n{_FENCE}")

    def raw(self, text: str) -> None:
        """A block that is Markdown already."""
        self._add(text.strip())

    def text(self) -> str:
        """Everything written so far."""
        return "\n\n".join(self._blocks)

    def _add(self, block: str) -> None:
        if block:
            self._blocks.append(block)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
