"""The second speed: which vectors come first, what a search says meanwhile, and the indexes of a long run."""

import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from core.config import Settings
from core.types import DEFAULT_COLLECTION, EMBEDDED_SHARE, Chunk, Document, Page, Scope
from ingest.embedding import embed_pending
from ingest.events import Finished
from ingest.pipeline import IngestOptions, IngestPipeline
from retrieval.fakes import HashEmbedder
from retrieval.library import Library
from retrieval.store import CollectionStore


class Noting(HashEmbedder):
    """Remembers what it encoded, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def embed_documents(self, texts: Sequence[str]):
        self.texts.extend(texts)
        return super().embed_documents(texts)


@pytest.fixture
def encoder() -> Noting:
    return Noting()


@pytest.fixture
def library(tmp_path: Path, encoder: Noting) -> Library:
    return Library(Settings(home=tmp_path / "home"), encoder)


def put(store: CollectionStore, name: str, texts: Sequence[str]) -> None:
    whole, chunks, at = "\n".join(texts), [], 0
    for position, text in enumerate(texts):
        chunks.append(Chunk("", "", text, position, at, at + len(text)))
        at += len(text) + 1
    store.put_document(Document(name, "", (Page(whole),), name), chunks)


def test_the_newest_come_first_and_longer_ones_before_shorter(library: Library, encoder: Noting):
    with library.writer(DEFAULT_COLLECTION) as store:
        put(store, "old", [f"old number {n}" for n in range(2_048)])
        put(store, "new", ["internationalisation", "a b c d e f", "a new one"])
        next(embed_pending(store, library, threading.Event()))
        # By tokens: what has more letters may be shorter.
        assert encoder.texts[0] == "a b c d e f"
        with_vectors = {int(row[0]) for row in store.rows("SELECT chunk FROM vectors")}
        newest = {int(row[0]) for row in store.rows("SELECT number FROM chunks ORDER BY number DESC LIMIT 3")}
        assert newest <= with_vectors


def test_what_was_asked_for_comes_before_everything(library: Library, encoder: Noting):
    with library.writer(DEFAULT_COLLECTION) as store:
        put(store, "old", ["The lighthouse keeper is called Edda."])
        put(store, "new", [f"Something much longer about gulls, number {n}, in the bay of gulls." for n in range(600)])
        found = library.searcher().retrieve("lighthouse keeper", Scope(), 3)
        assert found.chunks[0].chunk.uri == "old"
        assert found.evidence.signals[EMBEDDED_SHARE] == 0.0
        encoder.texts.clear()
        events = embed_pending(store, library, threading.Event())
        next(events)
        assert encoder.texts == ["The lighthouse keeper is called Edda."]
        # A question in the middle is heard before the next batch; one about another collection is not for this run.
        next(events)
        library.asked_for.append(("elsewhere", 1))
        asked = library.searcher().retrieve("number 599", Scope(), 1).chunks[0].chunk
        encoder.texts.clear()
        next(events)
        assert asked.embedded_text in encoder.texts[:60]
        assert len(encoder.texts) < 100
        list(events)
        assert list(library.asked_for) == [("elsewhere", 1)]
        counts = store.counts()
        assert counts["vectors"] == counts["chunks"] == 601
    whole = library.searcher().retrieve("lighthouse keeper", Scope(), 3)
    assert EMBEDDED_SHARE not in whole.evidence.signals


def test_the_indexes_follow_a_long_run(library: Library, tmp_path: Path):
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(12):
        lines = "\n\n".join(f"Gull {number} {line} flies over lantern {line} in the bay." for line in range(600))
        (folder / f"{number}.txt").write_text(lines, encoding="utf-8")
    small = Library(Settings(home=tmp_path / "home", chunk_tokens=32, chunk_overlap=0), library.embedder)
    events, seen = [], []
    for event in IngestPipeline(small, small.settings).run([folder], options=IngestOptions(embed=False)):
        events.append(event)
        with closing(small.reader(DEFAULT_COLLECTION)) as store:
            seen.append(store.generation("words") is not None)
    assert isinstance(events[-1], Finished)
    assert events[-1].chunks > 2_000
    # Before the run ended there was an index already.
    assert any(seen[:-1])
