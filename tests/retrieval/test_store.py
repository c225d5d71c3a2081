"""The one truth: what is committed is there, what is removed is gone, one writer, vectors that survive."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.errors import CollectionError, CollectionNotFoundError, EncoderMismatchError
from core.language import Bilingual
from core.types import PAGE_BREAK, Chunk, Document, Page
from retrieval.store import CollectionStore
from retrieval.tables import TableData
from tests.retrieval.conftest import document

ROOT = Path(__file__).resolve().parents[2]


def test_a_document_comes_back_as_it_was_put(store: CollectionStore):
    pages = (Page("第一页 one", 1), Page("second 页", 2, "ii"))
    made = Document("/a/b.pdf", "B", pages, "h", "application/pdf", "zh", {"modified_at": 12.5, "author": "Li"})
    chunk = Chunk("", "", "second 页", 0, 10, 18, 2, ("H1", "H2"), "B", "/a/b.pdf", "zh", {"table": {"rows": 2}})
    document_id = store.put_document(made, [chunk], {"quality": 0.9}, tags=["x"])
    record = store.document(document_id)
    assert record is not None
    assert (record.uri, record.title, record.modified_at, record.tags, record.chunks) == (
        "/a/b.pdf",
        "B",
        12.5,
        ("x",),
        1,
    )
    assert (record.card, record.metadata["author"]) == ({"quality": 0.9}, "Li")
    assert store.document_pages(document_id) == pages
    assert store.document_text(document_id) == PAGE_BREAK.join(page.text for page in pages)
    (found,) = store.chunks_of_document(document_id)
    assert (found.text, found.page, found.heading_path, found.metadata) == (
        "second 页",
        2,
        ("H1", "H2"),
        {"table": {"rows": 2}},
    )
    assert store.chunk(found.id) == found


def test_replacing_keeps_the_id_the_tags_and_the_vectors_of_unchanged_chunks(store: CollectionStore):
    first = store.put_document(*document("a.md", "stays", "goes"), tags=["t"])
    chunks = store.chunks_without_vectors(10)
    vectors = np.eye(2, 4, dtype=np.float32)
    store.put_vectors([chunk.id for chunk in chunks], vectors)
    assert store.put_document(*document("a.md", "stays", "comes")) == first
    assert [chunk.text for chunk in store.chunks_without_vectors(10)] == ["comes"]
    kept = store.chunks_of_document(first)[0]
    assert kept.id == chunks[0].id
    ((_, stored),) = store.iter_vectors()
    assert np.array_equal(stored, vectors[:1])
    assert store.documents()[0].tags == ("t",)
    assert store.chunks([chunks[1].id]) == []


def test_a_moved_document_is_not_embedded_again(store: CollectionStore):
    document_id = store.put_document(*document("old/a.md", "text"))
    store.put_vectors([store.chunks_without_vectors(1)[0].id], np.ones((1, 4), np.float32))
    store.rename_document(document_id, "new/a.md")
    assert [record.id for record in store.find_by_hash("hash of text")] == [document_id]
    assert store.document_by_uri("new/a.md") is not None
    assert store.chunks_without_vectors(5) == []


def test_failures_are_remembered_until_the_file_is_read(store: CollectionStore):
    store.record_failure("a.md", "h1", Bilingual("encrypted", "已加密"), "DocumentEncryptedError")
    (failure,) = store.failures()
    assert (failure.uri, failure.content_hash, failure.message.zh) == ("a.md", "h1", "已加密")
    store.put_document(*document("a.md", "text"))
    assert store.failures() == []


def test_a_collection_refuses_another_encoder(store: CollectionStore):
    store.bind("mini@1", 4, "190/24")
    store.bind("other", 8)
    store.bind("mini@1", 4)
    store.put_document(*document("a.md", "text"))
    with pytest.raises(EncoderMismatchError, match="mini@1"):
        store.bind("other", 8)


def test_a_failed_commit_leaves_nothing(store: CollectionStore):
    made, chunks = document("a.md", "one", "two")
    broken = [chunks[0], Chunk("", "", "two", 1, 0, 3, metadata={"x": object}), None]
    with pytest.raises(AttributeError):
        store.put_document(made, broken)  # type: ignore[arg-type]
    assert store.counts() == {"documents": 0, "chunks": 0, "vectors": 0, "failures": 0}


def test_a_reader_reads_and_cannot_write(tmp_path: Path, store: CollectionStore):
    store.put_document(*document("a.md", "text"))
    with CollectionStore(tmp_path / "c") as reader:
        assert reader.name == "notes"
        assert reader.counts()["chunks"] == 1
        with pytest.raises(CollectionError, match="for reading"):
            reader.set_tags("x", ["y"])
    with pytest.raises(CollectionNotFoundError, match="nothing"):
        CollectionStore(tmp_path / "nothing", name="nothing")


_SECOND_WRITER = """
import sys
from pathlib import Path
from core.errors import CollectionLockedError
from retrieval.store import CollectionStore
try:
    CollectionStore(Path(sys.argv[1]), writable=True).close()
    print("written")
except CollectionLockedError as error:
    print(error)
"""


def test_the_second_writer_is_told_who_the_first_is(tmp_path: Path, store: CollectionStore):
    command = [sys.executable, "-c", _SECOND_WRITER, str(tmp_path / "c")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    assert f"Process {os.getpid()} on" in done.stdout


_WRITER = """
import sys
from pathlib import Path
from retrieval.store import CollectionStore
from tests.retrieval.conftest import document
store = CollectionStore(Path(sys.argv[1]), writable=True, name="killed")
for number in range(100000):
    store.put_document(*document(f"{number}.md", *(f"chunk {number} {part}" for part in range(5))))
    print(number, flush=True)
"""


def test_killed_in_the_middle_it_holds_whole_documents_and_its_lock_is_free(tmp_path: Path):
    command = [sys.executable, "-c", _WRITER, str(tmp_path / "k")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        process.send_signal(signal.SIGKILL)
    acknowledged = int(lines[-1]) + 1
    with CollectionStore(tmp_path / "k", writable=True) as again:
        counts = again.counts()
        assert counts["documents"] >= acknowledged
        assert counts["chunks"] == counts["documents"] * 5
        assert again.rows("PRAGMA integrity_check")[0][0] == "ok"


def test_tables_are_real_and_replaced_with_their_document(store: CollectionStore):
    document_id = store.put_document(*document("t.xlsx", "table"))
    data = TableData("Sales 2024!", ("Région", "Région", "2024 总额"), [("N", "x", 1), ("S", None, 2.5)])
    (record,) = store.put_tables(document_id, [data])
    assert record.sql_columns == ("région", "région_2", "_2024_总额")
    assert record.types == ("TEXT", "TEXT", "REAL")
    assert store.tables.catalogue() == [record]
    import sqlite3

    rows = sqlite3.connect(store.tables.path).execute(f'SELECT sum("_2024_总额") FROM "{record.table}"').fetchall()
    assert rows == [(3.5,)]
    store.remove_document(document_id)
    assert store.tables.catalogue() == []


def test_a_collection_is_never_seen_without_its_tables(tmp_path: Path):
    # What a process leaves that is killed while it makes the file.
    (tmp_path / "collection.db.new").write_bytes(b"half")
    (tmp_path / "collection.db.new-wal").write_bytes(b"half")
    with pytest.raises(CollectionNotFoundError):
        CollectionStore(tmp_path, name="notes")
    with CollectionStore(tmp_path, writable=True, name="notes"):
        pass
    assert sorted(path.name for path in tmp_path.glob("collection.db.new*")) == []
    with CollectionStore(tmp_path) as store:
        assert store.name == "notes"
        assert store.documents() == []
