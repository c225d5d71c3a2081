"""Files into a collection: added, changed, renamed, removed, broken, stopped; asked about before and after."""

import itertools
import signal
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from core.config import Settings
from core.errors import CollectionError, CollectionLockedError, EncoderMismatchError, SettingError
from core.types import DEFAULT_COLLECTION, Scope
from ingest.events import Embedded, FileDone, FileFailed, FileRemoved, FileRenamed, Finished, IngestEvent, Planned
from ingest.pipeline import IngestOptions, IngestPipeline
from retrieval.fakes import HashEmbedder
from retrieval.library import Library
from tests.ingest import builders

SYNC = IngestOptions(sync=True)


class CountingEmbedder(HashEmbedder):
    """Remembers the texts it encoded."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    @property
    def encoded(self) -> int:
        return len(self.texts)

    def embed_documents(self, texts: Sequence[str]):
        self.texts.extend(texts)
        return super().embed_documents(texts)


@pytest.fixture
def embedder() -> CountingEmbedder:
    return CountingEmbedder()


@pytest.fixture
def library(tmp_path: Path, embedder: CountingEmbedder) -> Library:
    return Library(Settings(home=tmp_path / "home", chunk_tokens=60, chunk_overlap=8), embedder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "files"
    made.mkdir()
    (made / "harbour.txt").write_text("The harbour master is called Edda Quill.\n", encoding="utf-8")
    (made / "tea.md").write_text("# Tea\n\nThe tea house opens at nine.\n", encoding="utf-8")
    (made / "prices.csv").write_text("name,price\nlamp,48\nbag,9\n", encoding="utf-8")
    return made


def ingest(library: Library, *paths: Path, options: IngestOptions | None = None) -> tuple[list[IngestEvent], Finished]:
    events = list(IngestPipeline(library, library.settings).run(paths, options=options))
    last = events[-1]
    assert isinstance(last, Finished)
    return events, last


def plan_of(events: list[IngestEvent]) -> Planned:
    first = events[0]
    assert isinstance(first, Planned)
    return first


def found(library: Library, query: str) -> list[str]:
    """Names of the files whose passages hold every word of the query, among those a search brings."""
    retrieval = library.searcher().retrieve(query, Scope(), 10)
    words = query.lower().split()
    holding = [scored.chunk for scored in retrieval.chunks if all(word in scored.chunk.text.lower() for word in words)]
    return [Path(chunk.uri).name for chunk in holding]


def names(library: Library) -> list[str]:
    with closing(library.reader(DEFAULT_COLLECTION)) as store:
        return [Path(record.uri).name for record in store.documents()]


def test_events_come_in_their_order(library: Library, folder: Path):
    events, summary = ingest(library, folder)
    kinds = [kind for kind, _ in itertools.groupby(type(event) for event in events)]
    assert kinds == [Planned, FileDone, Embedded, Finished]
    assert plan_of(events).line == "+3 ~0 -0 =0"
    assert [event.done for event in events if isinstance(event, FileDone)] == [1, 2, 3]
    assert (summary.ok, summary.skipped, summary.failed) == (3, 0, ())
    assert summary.vectors == summary.chunks == 3
    assert summary.searchable_seconds <= summary.seconds


def test_an_unchanged_folder_costs_no_vector(library: Library, folder: Path, embedder: CountingEmbedder):
    ingest(library, folder)
    before = embedder.encoded
    events, summary = ingest(library, folder)
    assert plan_of(events).line == "+0 ~0 -0 =3"
    assert (summary.ok, summary.skipped) == (0, 3)
    assert embedder.encoded == before


def test_a_touched_file_with_the_same_bytes_is_unchanged(library: Library, folder: Path):
    ingest(library, folder)
    (folder / "tea.md").touch()
    assert ingest(library, folder)[1].skipped == 3


def test_a_changed_file_replaces_what_it_said(library: Library, folder: Path):
    ingest(library, folder)
    assert found(library, "Edda Quill") == ["harbour.txt"]
    (folder / "harbour.txt").write_text("The harbour master is called Bram Oakley.\n", encoding="utf-8")
    events, _ = ingest(library, folder)
    assert plan_of(events).line == "+0 ~1 -0 =2"
    assert found(library, "Edda Quill") == []
    assert found(library, "Bram Oakley") == ["harbour.txt"]
    assert len(names(library)) == 3


def test_a_renamed_file_keeps_its_document_and_its_vectors(library: Library, folder: Path, embedder: CountingEmbedder):
    ingest(library, folder)
    with closing(library.reader(DEFAULT_COLLECTION)) as store:
        before = {record.content_hash: record.id for record in store.documents()}
    encoded = embedder.encoded
    (folder / "harbour.txt").rename(folder / "port.txt")
    events, summary = ingest(library, folder)
    assert [event for event in events if isinstance(event, FileRenamed)] == [
        FileRenamed((folder / "harbour.txt").as_posix(), (folder / "port.txt").as_posix())
    ]
    with closing(library.reader(DEFAULT_COLLECTION)) as store:
        assert {record.content_hash: record.id for record in store.documents()} == before
    assert summary.renamed == 1
    assert embedder.encoded == encoded
    assert found(library, "Edda Quill") == ["port.txt"]


def test_a_removed_file_stops_answering_with_sync_only(library: Library, folder: Path):
    ingest(library, folder)
    (folder / "harbour.txt").unlink()
    ingest(library, folder)
    assert found(library, "Edda Quill") == ["harbour.txt"]
    events, summary = ingest(library, folder, options=SYNC)
    assert [event for event in events if isinstance(event, FileRemoved)] == [
        FileRemoved((folder / "harbour.txt").as_posix())
    ]
    assert summary.removed == 1
    assert found(library, "Edda Quill") == []


def test_sync_of_one_folder_leaves_others_alone(library: Library, folder: Path, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "note.txt").write_text("A note.", encoding="utf-8")
    ingest(library, folder, other)
    (other / "note.txt").unlink()
    ingest(library, folder, options=SYNC)
    assert "note.txt" in names(library)


def test_a_bad_file_is_named_and_the_others_go_on(library: Library, folder: Path):
    (folder / "broken.docx").write_bytes(b"PK\x03\x04 nothing of the kind")
    (folder / "empty.txt").write_bytes(b"")
    events, summary = ingest(library, folder)
    failed = {Path(event.uri).name: event for event in events if isinstance(event, FileFailed)}
    assert set(failed) == {"broken.docx", "empty.txt"}
    assert failed["broken.docx"].error == "DocumentDamagedError"
    assert failed["empty.txt"].error == "DocumentEmptyError"
    assert all(event.reason.en and event.reason.zh for event in failed.values())
    assert summary.line() == (
        "3 ok · 0 skipped · 2 failed: broken.docx (the file is damaged or not what its name says (not a readable ZIP "
        "container)), empty.txt (the file holds no text)"
    )
    assert "2 个失败" in summary.line("zh")


def test_a_failure_is_remembered_until_the_file_changes_or_is_retried(library: Library, folder: Path):
    bad = folder / "bad.pdf"
    bad.write_bytes(b"%PDF-1.4 nothing")
    ingest(library, folder)
    events, summary = ingest(library, folder)
    assert plan_of(events).known_failures == 1
    assert not [event for event in events if isinstance(event, FileFailed)]
    assert [Path(uri).name for uri, _ in summary.failed] == ["bad.pdf"]
    retried, _ = ingest(library, folder, options=IngestOptions(retry=True))
    assert [type(event) for event in retried if isinstance(event, FileFailed)] == [FileFailed]
    bad.write_bytes(builders.pdf(["Now it is a good file about lanterns."]))
    assert ingest(library, folder)[1].failed == ()
    assert found(library, "good file") == ["bad.pdf"]


def test_a_file_that_broke_no_longer_answers(library: Library, folder: Path):
    ingest(library, folder)
    (folder / "harbour.txt").write_bytes(b"")
    ingest(library, folder)
    assert found(library, "Edda Quill") == []


def test_tables_can_be_asked_with_sql(library: Library, folder: Path):
    ingest(library, folder)
    with closing(library.reader(DEFAULT_COLLECTION)) as store:
        table = store.tables.catalogue()[0]
        path = store.tables.path
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        total = connection.execute(f'SELECT sum(price) FROM "{table.table}"').fetchone()[0]
    assert total == 57
    assert table.types == ("TEXT", "INTEGER")


def test_tables_lost_between_two_commits_are_made_again(library: Library, folder: Path):
    ingest(library, folder)
    with library.writer(DEFAULT_COLLECTION) as store:
        store.tables.remove(store.tables.catalogue()[0].document_id)
    assert plan_of(ingest(library, folder)[0]).line == "+0 ~1 -0 =2"
    with closing(library.reader(DEFAULT_COLLECTION)) as store:
        assert len(store.tables.catalogue()) == 1


def test_files_are_found_by_their_words_before_they_have_vectors(library: Library, folder: Path):
    _, summary = ingest(library, folder, options=IngestOptions(embed=False))
    assert summary.vectors == 0
    assert found(library, "Edda Quill") == ["harbour.txt"]
    _, again = ingest(library, folder)
    assert again.vectors == again.chunks == 3


def test_chinese_is_found_by_two_characters(library: Library, tmp_path: Path):
    (tmp_path / "灯塔.txt").write_text("港口的灯塔建于一八八七年，至今仍在使用。", encoding="gb18030")
    ingest(library, tmp_path / "灯塔.txt")
    assert found(library, "灯塔") == ["灯塔.txt"]


def test_stopping_finishes_the_file_at_hand(library: Library, folder: Path):
    stop = threading.Event()
    events = []
    for event in IngestPipeline(library, library.settings).run([folder], stop=stop):
        events.append(event)
        if isinstance(event, FileDone):
            stop.set()
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.stopped
    done = [event for event in events if isinstance(event, FileDone)]
    assert 1 <= len(done) <= 3
    assert len(names(library)) == len(done)
    assert not [event for event in events if isinstance(event, Embedded)]
    assert ingest(library, folder)[1].chunks == 3


def test_the_card_tells_what_was_read(library: Library, tmp_path: Path):
    path = tmp_path / "two.pdf"
    path.write_bytes(builders.pdf(["Lanterns on the first page of two.", "More of them on the second."]))
    ingest(library, path, options=IngestOptions(tags=("letters",)))
    with closing(library.reader(DEFAULT_COLLECTION)) as store:
        record = store.documents()[0]
        pages = [chunk.page for chunk in store.chunks_of_document(record.id)]
    card = record.card
    assert (card["status"], card["pages"], card["chunks"], card["language"]) == ("ok", 2, 2, "en")
    assert card["characters"] == len("Lanternsonthefirstpageoftwo.Moreofthemonthesecond.")
    assert card["bytes"] == path.stat().st_size
    assert record.tags == ("letters",)
    assert pages == [1, 2]


def test_identical_passages_are_encoded_once(library: Library, tmp_path: Path, embedder: CountingEmbedder):
    for number in range(4):
        (tmp_path / f"copy{number}").mkdir()
        (tmp_path / f"copy{number}" / "notice.txt").write_text("Every copy says the same.", encoding="utf-8")
    _, summary = ingest(library, *sorted(tmp_path.glob("copy*")))
    assert (summary.ok, summary.vectors) == (4, 4)
    assert embedder.texts.count("notice\nEvery copy says the same.") == 1


def test_the_plan_changes_nothing(library: Library, folder: Path):
    assert IngestPipeline(library, library.settings).plan([folder], DEFAULT_COLLECTION).line == "+3 ~0 -0 =0"
    assert names(library) == []


def test_hidden_files_and_unknown_kinds_are_passed_over(library: Library, folder: Path):
    (folder / ".secret.txt").write_text("hidden", encoding="utf-8")
    (folder / ".git").mkdir()
    (folder / ".git" / "config.txt").write_text("hidden", encoding="utf-8")
    (folder / "program.exe").write_bytes(b"MZ")
    (folder / "~$open.docx").write_bytes(b"lock")
    assert plan_of(ingest(library, folder)[0]).added == 3


def test_a_path_that_does_not_exist_is_named(library: Library, tmp_path: Path):
    with pytest.raises(SettingError, match=r"nowhere does not exist"):
        ingest(library, tmp_path / "nowhere")


def test_another_writer_or_other_settings_are_refused(library: Library, folder: Path):
    ingest(library, folder)
    with library.writer(DEFAULT_COLLECTION), pytest.raises(CollectionLockedError):
        ingest(library, folder)
    other = Library(library.settings.model_copy(update={"chunk_tokens": 100}), library.embedder)
    with pytest.raises(EncoderMismatchError, match="splitter"):
        ingest(other, folder)


def test_a_disk_that_is_full_stops_cleanly(library: Library, folder: Path):
    resource = pytest.importorskip("resource")
    ingest(library, folder)
    for number in range(30):
        (folder / f"more{number}.txt").write_text(f"Lantern {number}. " * 400, encoding="utf-8")
    pipeline = IngestPipeline(library, library.settings)
    events = pipeline.run([folder])
    assert isinstance(next(events), Planned)
    with closing(library.reader(DEFAULT_COLLECTION)) as store:
        path = store.folder / "collection.db"
    # The file system itself says "full": no file of this process may grow any more.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, limits[1]))
    try:
        with pytest.raises(CollectionError, match="What was committed before stays"):
            list(events)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert found(library, "Edda Quill") == ["harbour.txt"]
    assert ingest(library, folder)[1].failed == ()
    assert len(names(library)) == 33


def test_another_spelling_of_a_folder_is_the_same_folder(library: Library, folder: Path):
    ingest(library, folder)
    events, _ = ingest(library, folder / ".." / folder.name, options=SYNC)
    assert plan_of(events).line == "+0 ~0 -0 =3"
