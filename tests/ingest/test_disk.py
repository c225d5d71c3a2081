"""A disk that is full or does not let a file be read: said plainly, nothing lost, and the rest goes on."""

import os
import resource
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from core.config import Settings
from core.errors import CollectionError, DocumentError
from ingest.events import FileFailed, Finished
from ingest.pipeline import IngestPipeline
from ingest.plan import is_gone
from ingest.reading import read_file
from retrieval.fakes import HashEmbedder
from retrieval.generations import make_generation
from retrieval.library import Library

ROOT = Path(__file__).parents[2]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(Settings(home=tmp_path / "home"), HashEmbedder())


def ingest_by_command(home: Path, folder: Path, most_bytes: int) -> subprocess.CompletedProcess[str]:
    """The real command in a process whose files cannot grow beyond `most_bytes`, as on a disk that is full."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))

    command = [sys.executable, "-m", "ingest", str(folder), "--no-vectors"]
    environment = {**os.environ, "FOURFOLD_HOME": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, env=environment, cwd=ROOT, preexec_fn=limit, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("most_bytes", [20_000, 250_000, 400_000])
def test_the_command_says_that_the_disk_is_full_and_goes_on_later(tmp_path: Path, most_bytes: int):
    folder, home = tmp_path / "files", tmp_path / "home"
    folder.mkdir()
    for number in range(60):
        words = " ".join(f"word{number}x{place}" for place in range(400))
        (folder / f"{number}.txt").write_text(words, encoding="utf-8")
    full = ingest_by_command(home, folder, most_bytes)
    assert full.returncode == 2, full.stderr
    assert "could not be written" in full.stderr
    assert "Traceback" not in full.stderr
    whole = ingest_by_command(home, folder, resource.RLIM_INFINITY)
    assert whole.returncode == 0, whole.stderr
    with closing(Library(Settings(home=home), HashEmbedder()).reader("default")) as store:
        assert store.counts()["documents"] == 60
        assert store.rows("PRAGMA integrity_check")[0][0] == "ok"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("An IO error occurred: full")])
def test_an_index_that_finds_no_room_leaves_the_one_before(library: Library, error: Exception):
    def no_room(folder: Path) -> dict[str, int]:
        (folder / "half").write_bytes(b"x")
        raise error

    with library.writer("notes") as store:
        make_generation(store, "words", lambda folder: {})
        before = store.generation("words")
        with pytest.raises(CollectionError, match="could not be written"):
            make_generation(store, "words", no_room)
        assert store.generation("words") == before
        assert not list(store.folder.glob("building-*"))


def test_a_file_that_may_not_be_read_is_named_and_the_others_go_on(library: Library, tmp_path: Path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.txt").write_text("Alpha speaks.", encoding="utf-8")
    secret = folder / "b.txt"
    secret.write_text("Beta is silent.", encoding="utf-8")
    secret.chmod(0)
    if os.access(secret, os.R_OK):
        pytest.skip("an administrator may read everything")
    events = list(IngestPipeline(library, library.settings).run([folder]))
    failed = [event for event in events if isinstance(event, FileFailed)]
    assert [Path(event.uri).name for event in failed] == ["b.txt"]
    assert "does not let it be read" in failed[0].reason.en
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.ok == 1
    secret.chmod(0o600)
    again = list(IngestPipeline(library, library.settings).run([folder]))[-1]
    assert isinstance(again, Finished)
    assert (again.ok, again.failed) == (1, ())


def test_a_file_that_cannot_be_opened_says_what_the_system_says(tmp_path: Path):
    # A loop of links cannot be opened by anybody, the administrator included.
    loop = tmp_path / "loop.txt"
    loop.symlink_to(loop)
    with pytest.raises(DocumentError, match="does not let it be read"):
        read_file(loop, "loop.txt")


def test_what_cannot_be_looked_at_is_not_taken_for_gone(tmp_path: Path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert not is_gone(str(loop / "a.txt"))
    assert is_gone(str(tmp_path / "missing" / "a.txt"))
    assert not is_gone(str(tmp_path))
