"""`kill -9` at random moments while a folder is followed: never a broken collection, a duplicate, or half a file.

Before each kill some files of a mixed folder are added, changed, renamed or removed. The collection that is killed is
held against one that nobody disturbs: each of its documents must be a whole version that its file has had.
"""

import argparse
import multiprocessing
import random
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.config import Settings
from core.types import DEFAULT_COLLECTION
from ingest.pipeline import IngestOptions, IngestPipeline
from ingest.plan import hash_file
from ingest.samples import sample_folder
from retrieval.fakes import HashEmbedder
from retrieval.library import Library

# Formats that stay readable when a line is written after their end.
_APPENDABLE = frozenset({".txt", ".md", ".csv", ".html"})
_COPIES = 4
_CHANGES = 6
# A kill may fall into any part of a run, its end included: up to so many times what the same work took undisturbed.
_LONGEST_LIFE = 1.5
_CHUNK_TOKENS = 60


@dataclass(frozen=True)
class Held:
    """What a collection holds of one file: the texts of its chunks in order, and how many SQL tables."""

    content_hash: str
    texts: tuple[str, ...]
    tables: int


@dataclass
class Tally:
    """What was found after the kills; every list but `states` must stay empty."""

    kills: int = 0
    ended_before: int = 0
    files: list[int] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    halves: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was ever wrong."""
        return not (self.broken or self.duplicates or self.halves)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this evaluation."""
    parser.add_argument("--count", type=int, default=200, help="so many kills")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=sample_folder(), help="files to begin with, of any format")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Kill and look, so many times; then let one run end, and compare the two collections."""
    with tempfile.TemporaryDirectory() as scratch:
        trial = Trial(Path(scratch).resolve(), options.folder, options.seed, settings)
        tally = Tally()
        for _ in range(options.count):
            trial.kill_once(tally)
        same = trial.finish()
    return {
        "evaluation": "kills",
        "kills": tally.kills,
        "ended_before": tally.ended_before,
        "files_held": [min(tally.files), max(tally.files)],
        "broken": tally.broken,
        "duplicates": tally.duplicates,
        "halves": tally.halves,
        "same_in_the_end": same,
    }


class Trial:
    """One folder, the collection that is killed over it, and the one that is not."""

    def __init__(self, scratch: Path, pool: Path, seed: int, settings: Settings) -> None:
        self._folder = scratch / "files"
        self._chance = random.Random(seed)  # noqa: S311 - moments, not secrets
        self.killed = _library(settings, scratch / "killed")
        self._calm = _library(settings, scratch / "calm")
        self._versions: dict[str, Held] = {}
        self._step = 0
        self._seconds = 0.0
        for copy in range(_COPIES):
            shutil.copytree(pool, self._folder / str(copy), ignore=shutil.ignore_patterns("__pycache__"))
        self._remember()

    def kill_once(self, tally: Tally) -> None:
        """Change some files, begin to ingest, kill at a random moment, look at what is left."""
        for _ in range(self._chance.randint(1, _CHANGES)):
            self._change()
        self._remember()
        # Forked from a server that has imported everything, so that the moments fall into the work.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        process = context.Process(target=ingest, args=(self.killed.settings.home, self._folder))
        process.start()
        time.sleep(self._chance.uniform(0.0, _LONGEST_LIFE * self._seconds))
        tally.ended_before += not process.is_alive()
        process.kill()
        process.join()
        tally.kills += 1
        self.inspect(tally)

    def finish(self) -> bool:
        """Let a run end; whether the killed collection is then the same as the undisturbed one, vectors included."""
        ingest(self.killed.settings.home, self._folder)
        with closing(self.killed.reader(DEFAULT_COLLECTION)) as store:
            counts = store.counts()
        return counts["vectors"] == counts["chunks"] and dict(_held(self.killed)) == dict(_held(self._calm))

    def inspect(self, tally: Tally) -> None:
        """Hold the collection that is killed against every version that its files have had."""
        if not self.killed.exists(DEFAULT_COLLECTION):
            tally.files.append(0)
            return
        for path in self.killed.settings.paths.collection(DEFAULT_COLLECTION).glob("*.db"):
            with closing(sqlite3.connect(path)) as connection:
                verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
            if verdict != "ok":
                tally.broken.append(f"kill {tally.kills}: {path.name}: {verdict}")
        held = list(_held(self.killed))
        tally.files.append(len(held))
        tally.duplicates.extend(uri for uri, times in Counter(uri for uri, _ in held).items() if times > 1)
        for uri, found in held:
            whole = self._versions.get(found.content_hash)
            # Tables are committed just after their document; a run that comes later completes them.
            if whole is None or found.texts != whole.texts or found.tables not in (0, whole.tables):
                tally.halves.append(f"kill {tally.kills}: {uri}")

    def _remember(self) -> None:
        """Bring the undisturbed collection up to date and note every version that it ever held."""
        started = time.perf_counter()
        ingest(self._calm.settings.home, self._folder)
        self._seconds = time.perf_counter() - started
        if self._unread():
            # On a machine that stands still for a minute a parser meets its limit of time: what could be read then
            # by the process that is killed would seem to be no version at all.
            ingest(self._calm.settings.home, self._folder, retry=True)
        self._versions.update({held.content_hash: held for _, held in _held(self._calm)})

    def _unread(self) -> set[str]:
        """The contents that the undisturbed collection could not read."""
        with closing(self._calm.reader(DEFAULT_COLLECTION)) as store:
            return {failure.content_hash for failure in store.failures()}

    def _change(self) -> None:
        self._step += 1
        paths = sorted(path for path in self._folder.rglob("*") if path.is_file())
        path = self._chance.choice(paths)
        kind = self._chance.choice(("add", "change", "change", "rename", "remove"))
        if kind == "add" or len(paths) < _CHANGES:
            shutil.copy(path, path.with_name(f"{path.stem}-{self._step}{path.suffix}"))
        elif kind == "change":
            self._rewrite(path, self._chance.choice([other for other in paths if other.suffix == path.suffix]))
        elif kind == "rename":
            path.rename(path.with_name(f"moved-{self._step}{path.suffix}"))
        else:
            path.unlink()

    def _rewrite(self, path: Path, other: Path) -> None:
        if path.suffix in _APPENDABLE:
            with path.open("a", encoding="utf-8") as file:
                file.write(f"\n\nLantern {self._step} burns in the bay.\n")
        elif hash_file(path) != hash_file(other):
            shutil.copy(other, path)


def ingest(home: Path, folder: Path, retry: bool = False) -> None:
    """Follow the folder once: what the process that is killed does."""
    library = _library(Settings(), home)
    for _ in IngestPipeline(library, library.settings).run([folder], options=IngestOptions(sync=True, retry=retry)):
        pass


def _library(settings: Settings, home: Path) -> Library:
    """Small chunks by an encoder that needs no model: the commits are what is tried here."""
    changed = {"home": home, "chunk_tokens": _CHUNK_TOKENS, "chunk_overlap": 0}
    return Library(settings.model_copy(update=changed), HashEmbedder())


def _held(library: Library) -> Iterator[tuple[str, Held]]:
    with closing(library.reader(DEFAULT_COLLECTION)) as store:
        tables = Counter(table.document_id for table in store.tables.catalogue())
        for record in store.documents():
            texts = tuple(chunk.text for chunk in store.chunks_of_document(record.id))
            yield record.uri, Held(record.content_hash, texts, tables[record.id])
