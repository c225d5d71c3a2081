"""The card of one document, as the documents page opens it: preview over the page, tags, reading again, deleting."""

from contextlib import closing
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import ingest.samples
from app.container import Container
from app.wording import Wording
from core.types import DEFAULT_COLLECTION
from retrieval.records import DocumentRecord

EN = Wording("en")
PDF = Path(ingest.samples.__file__).parent / "documents" / "events-2026.pdf"
# A row of a table cannot be chosen in a test without a browser: the script opens the card of the first document.
SCRIPT = """
from contextlib import closing
from app import session
from app.views import documents

library = session.container().parts().library
with closing(library.reader("default")) as store:
    records = store.documents()
if records:
    documents._card(library, "default", records[0], session.words())
"""


@pytest.fixture
def card(box: Container) -> AppTest:
    assert box.ingest.start(DEFAULT_COLLECTION, [PDF]).wait(60)
    page = AppTest.from_string(SCRIPT, default_timeout=60)
    page.run()
    assert not page.exception
    return page


def records(box: Container) -> list[DocumentRecord]:
    with closing(box.parts().library.reader(DEFAULT_COLLECTION)) as store:
        return store.documents()


def test_the_passages_of_a_pdf_are_drawn_over_its_page(card: AppTest):
    assert len(card.get("image")) == 1


def test_tags_are_edited_and_both_commas_part_them(card: AppTest, box: Container):
    field = next(field for field in card.text_input if field.label == EN("documents.tags"))
    field.set_value("harbour， spring,harbour").run()
    assert not card.exception
    assert records(box)[0].tags == ("harbour", "spring")


def test_a_document_is_read_again_and_deleted(card: AppTest, box: Container):
    before = records(box)[0].added_at
    next(button for button in card.button if button.label == EN("documents.reingest")).click().run()
    job = box.ingest.job(DEFAULT_COLLECTION)
    assert job is not None
    assert job.wait(60)
    assert records(box)[0].added_at > before
    next(button for button in card.button if button.label == EN("documents.delete")).click().run()
    assert not card.exception
    assert records(box) == []
