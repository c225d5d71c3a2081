"""On which page a passage is shown: the one of its marked sentence, not the one on which it begins."""

from app.library import Surroundings, parts_on_pages
from app.widgets.answer_text import passage_html
from app.widgets.panel import page_of
from core.types import PAGE_BREAK, Chunk, Page
from retrieval.records import DocumentRecord

PAGES = (Page("Spring is early.", 1), Page("", 2), Page("The festival is in July.", 3))
TEXT = PAGE_BREAK.join(page.text for page in PAGES)


def test_a_span_is_cut_at_the_borders_of_the_pages():
    start, end = TEXT.index("early"), TEXT.index(" is in July")
    parts = parts_on_pages(PAGES, start, end)
    assert {number: TEXT[slice(*part)] for number, part in parts.items()} == {1: "early.", 3: "The festival"}
    assert parts_on_pages([Page("no number")], 0, 5) == {}
    assert parts_on_pages(PAGES, 3, 3) == {}


def test_the_page_is_that_of_the_marked_sentence():
    record = DocumentRecord("d", "/x.pdf", "x", "hash", "application/pdf", "en", (), "ready", 0.0, None, 1)
    document = Surroundings(record, TEXT, PAGES)
    chunk = Chunk("c", "d", TEXT, 0, 0, len(TEXT), page=1)
    assert page_of(chunk, TEXT.index("The festival"), document) == 3
    assert page_of(chunk, 0, document) == 1
    assert page_of(chunk, 0, None) == 1


def test_a_heading_keeps_its_sign_and_is_told_by_its_looks():
    shown = passage_html("## Care <now>\n#no heading")
    assert shown == '<span class="ff-sign">## </span><strong>Care &lt;now&gt;</strong>\n#no heading'
