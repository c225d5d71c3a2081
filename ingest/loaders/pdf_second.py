"""The second reader of PDF pages: pdfminer.six knows the CJK maps that some files only name, and drops no letter."""

import io
from collections.abc import Iterable, Iterator
from typing import Any

from pdfminer.high_level import extract_pages, extract_text
from pdfminer.layout import LTChar, LTContainer
from pdfminer.pdfexceptions import PDFException
from pdfminer.psexceptions import PSException

from ingest.types import Source

# What a library raises whose files are damaged in many ways.
_BREAKS = (PDFException, PSException, ValueError, TypeError, KeyError, AttributeError, RecursionError)
# The same letter so near, in points, is the same letter drawn again.
_SAME_PLACE = 1.0


def read_page(source: Source, number: int) -> str:
    """The text of page `number` (from 1); empty where this reader fails too."""
    try:
        text = extract_text(io.BytesIO(source.data), password=source.password, page_numbers=[number - 1])
    except _BREAKS:
        # Damaged files break it in many ways, and the first reader's text is there anyway.
        return ""
    return text.replace("\f", "").strip()


def share_drawn_once(source: Source, pages: int) -> float:
    """Which part of the letters of the first `pages` pages is not drawn again over itself; 1 where none can be read.

    Some programs make bold letters by drawing them several times, a hair's breadth apart.
    """
    drawn = once = 0
    try:
        for page in extract_pages(io.BytesIO(source.data), password=source.password, maxpages=pages, laparams=None):
            letters = list(_letters(page))
            drawn += len(letters)
            once += _places(letters)
    except _BREAKS:
        return 1.0
    return once / drawn if drawn else 1.0


def _places(letters: Iterable[LTChar]) -> int:
    """How many there are, those that stand where the same one stands already left out."""
    places: dict[str, list[tuple[float, float]]] = {}
    for letter in letters:
        known = places.setdefault(letter.get_text(), [])
        if not any(_is_near(letter, place) for place in known):
            known.append((letter.x0, letter.y0))
    return sum(map(len, places.values()))


def _letters(layout: Any) -> Iterator[LTChar]:
    if isinstance(layout, LTChar):
        yield layout
    elif isinstance(layout, LTContainer):
        for part in layout:
            yield from _letters(part)


def _is_near(letter: LTChar, place: tuple[float, float]) -> bool:
    return abs(letter.x0 - place[0]) <= _SAME_PLACE and abs(letter.y0 - place[1]) <= _SAME_PLACE
