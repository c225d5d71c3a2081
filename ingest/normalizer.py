"""Text made uniform before it is cut and searched: composed letters, no control signs, no page furniture."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from core.types import Page

# Kept: tab and newline. Gone: other C0 controls, soft hyphens, zero width signs, byte order marks inside the text.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u00ad\u200b\u2060\ufeff]")
# Symbol fonts put their bullets into the private use area, where no other font has a shape for them.
_SYMBOLS = str.maketrans({"\uf0b7": "•", "\uf0a7": "▪", "\uf0d8": "➢", "\uf0fc": "✓", "\uf0e0": "→", "\uf0a8": "□"})
_MANY_BLANK = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")
_TRAILING = re.compile(r"[ \t\u3000]+$", re.MULTILINE)
_DIGITS = re.compile(r"\d+")
# Furniture is looked for among this many lines at either edge of a page, on at least this many pages.
_EDGE_LINES = 2
_FEWEST_PAGES = 4
_SHARE_OF_PAGES = 0.6
_LONGEST_FURNITURE = 120


def normalize(text: str) -> str:
    """NFC, unified line ends, no invisible signs, no trailing space, at most one blank line in a row."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\xa0", " ")
    text = _UNSEEN.sub("", unicodedata.normalize("NFC", text.translate(_SYMBOLS)))
    # Lone surrogates come from broken files; no database stores them.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return _MANY_BLANK.sub("\n\n", _TRAILING.sub("", text)).strip("\n")


def without_furniture(pages: Sequence[Page]) -> tuple[Page, ...]:
    """Remove headers and footers: lines at the edge that, but for their numbers, repeat on most pages."""
    numbered = [page for page in pages if page.text.strip()]
    if len(numbered) < _FEWEST_PAGES:
        return tuple(pages)
    seen = Counter(key for page in numbered for key in {_key(line) for line in _edges(page.text)})
    repeated = {key for key, count in seen.items() if count >= len(numbered) * _SHARE_OF_PAGES}
    return tuple(replace(page, text=_strip_edges(page.text, repeated)) for page in pages)


def _edges(text: str) -> list[str]:
    lines = [line for line in text.split("\n") if line.strip()]
    return [line for line in (*lines[:_EDGE_LINES], *lines[-_EDGE_LINES:]) if len(line) <= _LONGEST_FURNITURE]


def _key(line: str) -> str:
    return _DIGITS.sub("#", " ".join(line.split())).lower()


def _strip_edges(text: str, repeated: set[str]) -> str:
    lines = text.split("\n")
    for end in (0, -1):
        for _ in range(_EDGE_LINES):
            while lines and not lines[end].strip():
                lines.pop(end)
            if lines and _key(lines[end]) in repeated and len(lines[end]) <= _LONGEST_FURNITURE:
                lines.pop(end)
    return "\n".join(lines)
