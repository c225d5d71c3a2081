"""The picture of a PDF page: the passage is marked where the page's own characters stand, and nowhere else."""

import io
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from numpy.typing import NDArray
from PIL import Image

import ingest.samples
from app.pdf_page import SCALE, find_span, page_picture

PDF = Path(ingest.samples.__file__).parent / "documents" / "events-2026.pdf"


def picture(passage: str) -> NDArray[np.int16]:
    drawn = page_picture(PDF, 1, passage)
    assert drawn is not None
    with Image.open(io.BytesIO(drawn)) as image:
        return np.asarray(image.convert("RGB"), np.int16)


def marked(passage: str) -> NDArray[np.bool_]:
    """The pixels that the mark changed: the picture with it against the one without."""
    changed: NDArray[np.bool_] = np.abs(picture(passage) - picture("not on this page, surely")).sum(axis=2) > 20
    return changed


def characters_of(passage: str) -> tuple[float, float, float, float]:
    """The box around a passage in pixels from the top, by PDFium's own search and the boxes of its characters."""
    leaf = pypdfium2.PdfDocument(str(PDF))[0]
    text = leaf.get_textpage()
    found = text.search(passage).get_next()
    assert found is not None
    boxes = np.array([text.get_charbox(found[0] + place) for place in range(found[1])])
    left, bottom, right, top = boxes[:, 0].min(), boxes[:, 1].min(), boxes[:, 2].max(), boxes[:, 3].max()
    height = leaf.get_height()
    return left * SCALE, (height - top) * SCALE, right * SCALE, (height - bottom) * SCALE


def first_words(count: int) -> str:
    lines = pypdfium2.PdfDocument(str(PDF))[0].get_textpage().get_text_range().splitlines()
    longest = max(lines, key=len)
    return " ".join(longest.split()[:count])


def test_the_mark_lies_on_the_characters_of_the_passage():
    passage = first_words(5)
    rows, columns = np.nonzero(marked(passage))
    left, top, right, bottom = characters_of(passage)
    assert columns.min() == pytest.approx(left, abs=4)
    assert columns.max() == pytest.approx(right, abs=4)
    # The mark takes the height of the line, which is more than that of its letters.
    assert top - 8 <= rows.min() <= top + 3
    assert bottom - 3 <= rows.max() <= bottom + 8


def test_a_passage_over_several_lines_is_marked_on_all_of_them():
    text = pypdfium2.PdfDocument(str(PDF))[0].get_textpage().get_text_range()
    passage = " ".join(text.split()[10:60])
    lines = marked(passage).any(axis=1)
    bands = int((np.diff(lines.astype(int)) == 1).sum())
    assert bands >= 2


def test_a_passage_that_is_not_there_marks_nothing_and_a_file_that_is_none_gives_no_picture(tmp_path: Path):
    assert not marked("words that nobody wrote here").any()
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 not really")
    assert page_picture(broken, 1, "x") is None
    assert page_picture(PDF, 99, "x") is None


@pytest.mark.parametrize(
    ("text", "passage", "found"),
    [
        ("The  lamp\nis lit.", "lamp is", "lamp\nis"),
        ("a b c d e f g h i j", "b c d e f g h i", "b c d e f g h i"),
        ("nothing", "", None),
        ("one two", "three", None),
    ],
)
def test_white_space_does_not_matter_to_a_span(text: str, passage: str, found: str | None):
    span = find_span(text, passage)
    assert (text[span[0] : span[1]] if span else None) == found
