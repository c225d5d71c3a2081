"""`kill -9` at random moments: the collection opens, holds whole files only, and the next run completes it."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from core.config import Settings
from core.types import DEFAULT_COLLECTION
from ingest.pipeline import IngestPipeline
from retrieval.fakes import HashEmbedder
from retrieval.library import Library
from tests.ingest import builders

KILLS = 10
FILES = 60


def fill(folder: Path) -> None:
    """A mixed folder: text, Markdown, tables, PDF, Word."""
    folder.mkdir()
    for number in range(FILES):
        body = " ".join(f"File {number} speaks of lantern {line} in the bay." for line in range(40))
        match number % 5:
            case 0:
                (folder / f"{number:03}.txt").write_text(body, encoding="utf-8")
            case 1:
                (folder / f"{number:03}.md").write_text(f"# File {number}\n\n{body}", encoding="utf-8")
            case 2:
                rows = "\n".join(f"{row},lantern {row},{row * 1.5}" for row in range(30))
                (folder / f"{number:03}.csv").write_text(f"id,name,price\n{rows}\n", encoding="utf-8")
            case 3:
                (folder / f"{number:03}.pdf").write_bytes(builders.pdf([body[:60], f"page two of {number}"]))
            case _:
                (folder / f"{number:03}.docx").write_bytes(builders.docx(builders.paragraph(body)))


def contents(library: Library) -> dict[str, tuple[str, tuple[str, ...], int]]:
    """What the collection holds: for each file its hash, its chunks' texts, and how many SQL tables."""
    with closing(library.reader(DEFAULT_COLLECTION)) as store:
        tables = [table.document_id for table in store.tables.catalogue()]
        return {
            Path(record.uri).name: (
                record.content_hash,
                tuple(chunk.text for chunk in store.chunks_of_document(record.id)),
                tables.count(record.id),
            )
            for record in store.documents()
        }


def kill_family(process: "subprocess.Popen[bytes]") -> None:
    """The ingest process at once; its parsers notice the closed pipe, but the test does not wait for that."""
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    for child in children:
        if child.is_running():
            child.kill()


@pytest.mark.slow
def test_ten_kills_never_leave_half_a_file(tmp_path: Path):
    fill(tmp_path / "files")
    settings = Settings(home=tmp_path / "home", chunk_tokens=60, chunk_overlap=8)
    clean = Library(Settings(home=tmp_path / "clean", chunk_tokens=60, chunk_overlap=8), HashEmbedder())
    list(IngestPipeline(clean, clean.settings).run([tmp_path / "files"]))
    wanted = contents(clean)
    library = Library(settings, HashEmbedder())
    chance = random.Random(7)
    seen = [0]
    command = [sys.executable, "-m", "tests.ingest.hashed_ingest", str(tmp_path / "home"), str(tmp_path / "files")]
    for _ in range(KILLS):
        process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
        wait_for_progress(library, process, seen[-1])
        time.sleep(chance.uniform(0.0, 0.15))
        if process.poll() is None:
            kill_family(process)
        held = contents(library) if library.exists(DEFAULT_COLLECTION) else {}
        for name, (content_hash, texts, _) in held.items():
            # Tables may be missing for a moment, a text never.
            assert (content_hash, texts) == wanted[name][:2]
        seen.append(len(held))
    assert seen == sorted(seen)
    assert 0 < seen[1] <= FILES
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True, timeout=120)
    assert contents(library) == wanted
    with closing(library.reader(DEFAULT_COLLECTION)) as store:
        counts = store.counts()
    assert counts["vectors"] == counts["chunks"] > 0


def wait_for_progress(library: Library, process: "subprocess.Popen[bytes]", before: int) -> None:
    """Until the process has committed something new, or ended: a kill during the imports would prove nothing."""
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if library.exists(DEFAULT_COLLECTION):
            with closing(library.reader(DEFAULT_COLLECTION)) as store:
                if store.counts()["documents"] > before:
                    return
        time.sleep(0.02)
