"""The documents page: empty, filled, failing, busy; uploads keep to their folder; the search tab."""

from contextlib import closing
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from streamlit.testing.v1 import AppTest

from app.container import Container
from app.ingest_jobs import FileLine, Progress, advance, safe_name
from app.library import summaries
from app.views.document_preview import marked_html
from app.wording import Wording
from core.language import Bilingual
from core.types import DEFAULT_COLLECTION, Chunk
from evaluation.exam_store import open_store
from ingest.events import Embedded, FileDone, FileFailed, FileRemoved, FileRenamed

EN = Wording("en")
TEXT = "# Harbour guide\n\nThe lighthouse of Port Ellis is 41 metres tall.\n"
# AppTest draws a page that is a function through a script of one line.
SCRIPT = "from app.views import documents\n\ndocuments.draw()\n"


@pytest.fixture
def page(box: Container) -> AppTest:
    return AppTest.from_string(SCRIPT, default_timeout=30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "papers"
    made.mkdir()
    (made / "harbour.md").write_text(TEXT, encoding="utf-8")
    (made / "broken.pdf").write_bytes(b"%PDF-1.7 not really")
    return made


def ingest(box: Container, *paths: Path) -> None:
    assert box.ingest.start(DEFAULT_COLLECTION, paths).wait(60)


def test_an_empty_collection_says_so(page: AppTest):
    page.run()
    assert not page.exception
    assert EN("documents.empty") in [caption.value for caption in page.caption]


def test_the_ledger_shows_documents_and_names_failures(page: AppTest, box: Container, folder: Path):
    ingest(box, folder)
    page.run()
    assert not page.exception
    assert list(page.dataframe[0].value[EN("documents.column_document")]) == ["Harbour guide"]
    assert "1 failed" in page.warning[0].value
    assert any("broken" in caption.value for caption in page.expander[0].caption)
    assert [summary.documents for summary in summaries(box.parts().library)] == [1]


def test_a_path_that_does_not_exist_is_named(page: AppTest, box: Container, tmp_path: Path):
    ingest(box, tmp_path / "nowhere")
    page.run()
    assert "nowhere" in page.error[0].value.replace("\\", "")


def test_a_named_folder_is_ingested_from_the_page(page: AppTest, box: Container, folder: Path):
    page.run()
    next(field for field in page.text_input if field.label == EN("documents.folder")).set_value(str(folder))
    next(button for button in page.button if button.label == EN("documents.add")).click().run()
    job = box.ingest.job(DEFAULT_COLLECTION)
    assert job is not None
    assert job.wait(60)
    assert job.progress.finished is not None
    assert job.progress.finished.ok == 1


def test_the_search_tab_shows_the_passage_and_its_legs(page: AppTest, box: Container, folder: Path):
    ingest(box, folder)
    page.run()
    page.text_input(key="retrieval_query").set_value("How tall is the lighthouse?").run()
    assert not page.exception
    assert any("41 metres" in text.value for text in page.text)
    assert any(EN("leg.lexical") in caption.value for caption in page.caption)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.pdf", "a.pdf"),
        ("..", "file"),
        ("a\x00b\u202e.txt", "ab.txt"),
        ("", "file"),
        ("说明.md", "说明.md"),
    ],
)
def test_an_uploaded_name_is_the_last_part_made_harmless(name: str, kept: str):
    assert safe_name(name) == kept


def test_an_upload_stays_in_its_folder_and_is_kept_once(box: Container):
    first = box.ingest.keep_upload("c", "../x.txt", b"one")
    assert box.ingest.keep_upload("c", "../x.txt", b"one") == first
    assert first.read_bytes() == b"one"
    assert first.is_relative_to(box.settings.paths.home / "uploads")


def test_progress_moves_through_reading_and_embedding():
    half_read = advance(Progress(), FileDone("/a/b.md", "ok", 1, 10, 0.1, 1, 2))
    assert (half_read.share, half_read.current) == (0.15, "b.md")
    failed = advance(half_read, FileFailed("/a/c.md", Bilingual("no", "不"), "DocumentError", 2, 2))
    assert failed.share == 0.3
    assert advance(failed, Embedded(5, 10, 3.0)).share == pytest.approx(0.65)


def test_the_search_tab_says_why_and_narrows(page: AppTest, box: Container, folder: Path):
    (folder / "leuchtturm.txt").write_text("Another lighthouse is 20 metres tall.", encoding="utf-8")
    ingest(box, folder)
    page.run()
    page.text_input(key="retrieval_query").set_value("How tall is the lighthouse?").run()
    why = [caption.value for caption in page.caption if EN("leg.lexical") in caption.value and "adds" in caption.value]
    assert len(why) == 2
    assert "lighthous" in why[0]
    assert sum(EN("leg.together") in block.value for block in page.markdown) == 1
    page.multiselect(key="retrieval_type").set_value(["text/plain"]).run()
    assert not page.exception
    shown = [text.value for text in page.text if "metres tall" in text.value]
    assert shown == ["Another lighthouse is 20 metres tall."]


def test_a_search_becomes_a_question_of_the_exam(page: AppTest, box: Container, folder: Path):
    ingest(box, folder)
    page.run()
    page.text_input(key="retrieval_query").set_value("How tall is the lighthouse?").run()
    answer = next(field for field in page.text_input if str(field.key).startswith("retrieval_answer_"))
    answer.set_value("41 metres").run()
    next(button for button in page.button if str(button.key).startswith("retrieval_keep_")).click().run()
    assert EN("retrieval.kept") in [caption.value for caption in page.caption]
    (item,) = open_store(box.settings).items(DEFAULT_COLLECTION, "kept")
    assert (item.question, item.answers, item.origin) == ("How tall is the lighthouse?", ("41 metres",), "retrieval")
    assert item.uri.endswith("harbour.md")


def test_every_file_of_a_run_has_a_line(box: Container, folder: Path):
    ingest(box, folder)
    job = box.ingest.job(DEFAULT_COLLECTION)
    assert job is not None
    lines = {line.name: line for line in job.progress.files}
    assert set(lines) == {"harbour.md", "broken.pdf"}
    assert (lines["harbour.md"].status, lines["harbour.md"].passages) == ("ok", 1)
    assert lines["broken.pdf"].status == "failed"
    assert "damaged" in lines["broken.pdf"].remarks[0].en
    renamed = advance(job.progress, FileRenamed("/a/old.md", "/a/new.md")).files[0]
    assert (renamed.name, renamed.status) == ("old.md → new.md", "renamed")
    assert advance(Progress(), FileRemoved("/a/gone.md")).files == (FileLine("gone.md", "removed"),)


def test_passages_are_marked_in_their_text_and_nothing_of_it_is_markup():
    text = "Before <b>bold</b>. First passage here. Second passage."
    chunks = [
        Chunk("1", "d", text[0:19], 0, 0, 19),
        Chunk("2", "d", text[20:39], 1, 20, 39, heading_path=('A "quoted" heading',)),
        Chunk("3", "d", text[30:], 2, 30, len(text)),
    ]
    drawn = BeautifulSoup(marked_html(text, chunks), "html.parser")
    assert drawn.get_text() == text
    assert drawn.find("b") is None
    assert [span.get_text() for span in drawn.find_all("span")] == [text[0:19], text[20:39], text[39:]]
    assert drawn.find_all("span")[1]["title"] == '2: A "quoted" heading'


def test_a_collection_is_made_with_a_profile(page: AppTest, box: Container):
    page.run()
    page.text_input(key="new_collection").set_value("quick").run()
    page.radio(key="new_profile").set_value("instant").run()
    next(button for button in page.button if button.label == EN("documents.create")).click().run()
    assert not page.exception
    library = box.parts().library
    with closing(library.reader("quick")) as store:
        # The encoder of the tests has no profiles; that of a model has (tests/retrieval/test_static_encoder.py).
        assert store.meta("embedder") == library.embedder.name
