"""Files added, changed, renamed, removed, in six formats: each asked about before and after, with the real encoder."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from core.config import Settings
from core.types import DEFAULT_COLLECTION, Scope
from ingest.events import Planned
from ingest.pipeline import IngestOptions, IngestPipeline
from retrieval.embedder import open_embedder
from retrieval.library import Library
from retrieval.protocol import Embedder
from tests.ingest import builders

SYNC = IngestOptions(sync=True)
WRITERS: dict[str, Callable[[str], bytes]] = {
    "txt": lambda text: text.encode("utf-16"),
    "md": lambda text: f"# Notes\n\n{text}\n".encode(),
    "html": lambda text: f"<html><body><h1>Notes</h1><p>{text}</p></body></html>".encode(),
    "csv": lambda text: f"id,remark\n1,{text}\n2,nothing else\n".encode(),
    "pdf": lambda text: builders.pdf([text, "A second page about the weather."]),
    "docx": lambda text: builders.docx(builders.paragraph(text)),
}
QUESTION = "Who keeps the lighthouse?"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return open_embedder(Settings(home=tmp_path_factory.mktemp("encoder")))


@pytest.fixture
def library(tmp_path: Path, encoder: Embedder) -> Library:
    return Library(Settings(home=tmp_path / "home"), encoder)


@pytest.fixture
def folder(library: Library, tmp_path: Path) -> Path:
    made = tmp_path / "files"
    made.mkdir()
    (made / "harbour.md").write_text(
        "# Harbour\n\nThe ferry leaves at nine and comes back at noon.\n", encoding="utf-8"
    )
    follow(library, made)
    return made


def follow(library: Library, folder: Path) -> str:
    """Sync, and the plan that was carried out."""
    events = list(IngestPipeline(library, library.settings).run([folder], options=SYNC))
    assert isinstance(events[0], Planned)
    return events[0].line


def answers(library: Library, question: str = QUESTION) -> list[tuple[str, str]]:
    """(file, passage) of all that a search brings, best first."""
    found = library.searcher().retrieve(question, Scope(), 10)
    return [(Path(hit.chunk.uri).name, hit.chunk.text) for hit in found.chunks]


def says(library: Library, name: str) -> list[str]:
    return [file for file, text in answers(library) if name in text]


@pytest.mark.parametrize("kind", WRITERS)
def test_each_change_is_answered_rightly_before_and_after(library: Library, folder: Path, kind: str):
    write, path = WRITERS[kind], folder / f"keeper.{kind}"
    assert says(library, "Edda Quill") == []
    assert answers(library, "When does the ferry leave?")[0][0] == "harbour.md"

    path.write_bytes(write("The lighthouse is kept by Edda Quill since 1987."))
    assert follow(library, folder) == "+1 ~0 -0 =1"
    assert says(library, "Edda Quill") == [path.name]
    assert answers(library)[0][0] == path.name

    path.write_bytes(write("The lighthouse is kept by Bram Oakley since 2003."))
    assert follow(library, folder) == "+0 ~1 -0 =1"
    assert says(library, "Edda Quill") == []
    assert says(library, "Bram Oakley") == [path.name]

    moved = path.rename(folder / f"warden.{kind}")
    assert follow(library, folder) == "+0 ~0 -0 >1 =1"
    assert says(library, "Bram Oakley") == [moved.name]

    moved.unlink()
    assert follow(library, folder) == "+0 ~0 -1 =1"
    assert says(library, "Bram Oakley") == []
    assert {file for file, _ in answers(library)} <= {"harbour.md"}
    assert answers(library, "When does the ferry leave?")[0][0] == "harbour.md"
    with closing(library.reader(DEFAULT_COLLECTION)) as store:
        assert store.counts() == {"documents": 1, "chunks": 1, "vectors": 1, "failures": 0}
        assert store.tables.catalogue() == []


def test_two_files_that_change_places_keep_what_each_says(library: Library, folder: Path):
    one, two = folder / "one.txt", folder / "two.txt"
    one.write_text("The lighthouse is kept by Edda Quill.", encoding="utf-8")
    two.write_text("The mill is kept by Bram Oakley.", encoding="utf-8")
    follow(library, folder)
    one.rename(folder / "spare")
    two.rename(one)
    (folder / "spare").rename(two)
    assert follow(library, folder) == "+0 ~2 -0 =1"
    assert says(library, "Edda Quill") == ["two.txt"]
    assert says(library, "Bram Oakley") == ["one.txt"]


def test_a_removed_copy_leaves_the_other_one_answering(library: Library, folder: Path):
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text("The lighthouse is kept by Edda Quill.", encoding="utf-8")
    follow(library, folder)
    (folder / "a.txt").unlink()
    follow(library, folder)
    assert says(library, "Edda Quill") == ["b.txt"]
