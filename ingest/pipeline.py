"""Files into a collection: parse in child processes, commit one by one, then give the chunks their vectors.

A file is searchable by its words as soon as it is committed; the vectors follow in batches sorted by length. What is
committed survives a crash, and the next run goes on from there.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.config import Settings
from core.errors import CollectionError, DocumentError
from core.language import Bilingual
from core.types import DEFAULT_COLLECTION
from ingest.child import Limits
from ingest.documents import make_document, quality_card, table_data
from ingest.events import FileDone, FileFailed, FileRemoved, FileRenamed, Finished, IngestEvent, Planned
from ingest.plan import Job, Plan, is_gone, make_plan
from ingest.splitter import Splitter
from ingest.types import Parsed
from ingest.workers import LocalWorkers, ReadFile, ReadWith, Workers
from retrieval.library import Library
from retrieval.store import CollectionStore

_REFRESH_EVERY = 2_000


@dataclass(frozen=True)
class IngestOptions:
    """How a run goes.

    `passwords` are tried on encrypted files in turn; `embed` False leaves vectors to a later run; `tags` are given to
    every document read (empty: a known document keeps its own); `again` reads unchanged files too.
    """

    sync: bool = False
    retry: bool = False
    again: bool = False
    embed: bool = True
    passwords: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    parsers: int = 0

    @property
    def choices(self) -> dict[str, bool]:
        """What the plan depends on."""
        return {"sync": self.sync, "retry": self.retry or self.again, "again": self.again}

    @property
    def read_with(self) -> ReadWith:
        """What the files are read with."""
        return ReadWith(self.limits, self.passwords, self.parsers)


class IngestPipeline:
    """The way from paths to a searchable collection."""

    def __init__(self, library: Library, settings: Settings, workers: Workers | None = None) -> None:
        """`workers` read and encode; without them it is done on this machine."""
        self.library = library
        self.workers = workers or LocalWorkers()
        self.splitter = Splitter(library.embedder, settings.chunk_tokens, settings.chunk_overlap)

    def plan(self, paths: Sequence[Path], collection: str, options: IngestOptions | None = None) -> Planned:
        """What `run` would do. Raises SettingError where a path does not exist."""
        chosen = options or IngestOptions()
        with self.library.writer(collection) as store:
            return _planned(make_plan(store, paths, **chosen.choices))

    def run(
        self,
        paths: Sequence[Path],
        collection: str = DEFAULT_COLLECTION,
        options: IngestOptions | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[IngestEvent]:
        """Ingest. Setting `stop` finishes the file at hand, commits it and ends the run.

        Raises SettingError (a path that does not exist), CollectionLockedError, EncoderMismatchError, or
        CollectionError where the disk is full: what was committed before stays.
        """
        chosen = options or IngestOptions()
        try:
            with self.library.writer(collection) as store:
                embedder = self.library.embedder_of(store)
                store.bind(embedder.name, embedder.dimension, self.splitter.settings)
                yield from _Run(store, self, chosen, stop or threading.Event()).events(paths)
        except (sqlite3.OperationalError, OSError) as error:
            raise CollectionError(_describe_disk(collection, error)) from error


class _Run:
    """One run over one open collection."""

    def __init__(
        self,
        store: CollectionStore,
        pipeline: IngestPipeline,
        options: IngestOptions,
        stop: threading.Event,
    ) -> None:
        self._store = store
        self._splitter = pipeline.splitter
        self._library = pipeline.library
        self._workers = pipeline.workers
        self._options = options
        self._stop = stop
        self._started = time.perf_counter()
        self._counts = {"ok": 0, "partial": 0}
        self._failed: list[tuple[str, Bilingual]] = []
        self._chunks = 0

    def events(self, paths: Sequence[Path]) -> Iterator[IngestEvent]:
        """Plan, apply, embed, sum up."""
        plan = make_plan(self._store, paths, **self._options.choices)
        self._failed.extend(plan.known_failures)
        yield _planned(plan)
        yield from self._tidy(plan)
        yield from self._read(plan)
        searchable = time.perf_counter() - self._started
        if self._options.embed:
            yield from self._workers.embed(self._store, self._library, self._stop)
        yield self._finished(plan, searchable)

    def _tidy(self, plan: Plan) -> Iterator[IngestEvent]:
        """Removals first: from here on they answer no question."""
        known = {record.id for record in self._store.documents()}
        for orphan in {table.document_id for table in self._store.tables.catalogue()} - known:
            self._store.tables.remove(orphan)
        for record in plan.removed:
            self._store.remove_document(record.id)
            yield FileRemoved(record.uri)
        for record, file in plan.renamed:
            named_after_file = record.title == Path(record.uri).stem
            self._store.rename_document(record.id, file.uri, file.path.stem if named_after_file else None)
            yield FileRenamed(record.uri, file.uri)
        gone = {failure.uri for failure in self._store.failures() if is_gone(failure.uri)}
        for uri in gone:
            self._store.forget_failure(uri)

    def _read(self, plan: Plan) -> Iterator[IngestEvent]:
        reads = self._workers.read_all(self._until_stopped(plan), self._splitter, self._options.read_with)
        try:
            for job, read in zip(plan.jobs, reads, strict=False):
                done = self._counts["ok"] + self._counts["partial"] + len(self._failed) - len(plan.known_failures) + 1
                yield self._commit(job, read, done, len(plan.jobs))
                self._refresh_at_times()
        finally:
            reads.close()

    def _refresh_at_times(self) -> None:
        """What no index holds yet is searched one by one: during a long run the indexes have to follow."""
        if self._chunks >= _REFRESH_EVERY:
            self._chunks = 0
            self._library.refresh(self._store)

    def _until_stopped(self, plan: Plan) -> Iterator[Job]:
        for job in plan.jobs:
            if self._stop.is_set():
                return
            yield job

    def _commit(self, job: Job, read: ReadFile, done: int, total: int) -> IngestEvent:
        if read.outcome.parsed is None or read.outcome.error is not None:
            return self._fail(job, read.outcome.error, done, total)
        try:
            return self._keep(job, read, read.outcome.parsed, done, total)
        except DocumentError as error:
            return self._fail(job, error, done, total)

    def _keep(self, job: Job, read: ReadFile, parsed: Parsed, done: int, total: int) -> FileDone:
        """Cut and commit one file, with its tables; until here nothing of it is in the collection."""
        document = make_document(job, parsed)
        chunks = self._splitter.split(document) if read.chunks is None else read.chunks
        seconds = read.outcome.seconds
        card = quality_card(document, parsed, chunks, seconds)
        status = "partial" if card["status"] == "partial" else "ready"
        document_id = self._store.put_document(document, chunks, card, tags=self._options.tags or None, status=status)
        if parsed.tables or not job.is_new:
            self._store.put_tables(document_id, table_data(parsed))
        self._counts[card["status"]] += 1
        self._chunks += len(chunks)
        return FileDone(
            document.uri, card["status"], len(chunks), parsed.characters, seconds, done, total, parsed.warnings
        )

    def _fail(self, job: Job, error: DocumentError | None, done: int, total: int) -> FileFailed:
        """Name the file. What an earlier version of it said is no longer true and must not answer."""
        reason = error.message if error else Bilingual("unknown reason", "原因不明")
        kind = type(error).__name__
        before = self._store.document_by_uri(job.file.uri)
        if before is not None:
            self._store.remove_document(before.id)
        self._store.record_failure(job.file.uri, job.content_hash, reason, kind)
        self._failed.append((job.file.uri, reason))
        return FileFailed(job.file.uri, reason, kind, done, total)

    def _finished(self, plan: Plan, searchable: float) -> Finished:
        counts = self._store.counts()
        summary = Finished(
            ok=self._counts["ok"],
            partial=self._counts["partial"],
            skipped=len(plan.unchanged),
            failed=tuple(self._failed),
            removed=len(plan.removed),
            renamed=len(plan.renamed),
            chunks=counts["chunks"],
            vectors=counts["vectors"],
            searchable_seconds=searchable,
            seconds=time.perf_counter() - self._started,
            stopped=self._stop.is_set(),
        )
        return replace(summary, details={"documents": counts["documents"]})


def _planned(plan: Plan) -> Planned:
    added = sum(job.is_new for job in plan.jobs)
    return Planned(
        added,
        len(plan.jobs) - added,
        len(plan.removed),
        len(plan.renamed),
        len(plan.unchanged),
        len(plan.known_failures),
    )


def _describe_disk(collection: str, error: Exception) -> Bilingual:
    return Bilingual(
        en=f"The collection {collection!r} could not be written: {error}. What was committed before stays. Free some "
        "space on the disk and run the same command again.",
        zh=f"无法写入文档集“{collection}”：{error}。此前已提交的内容均已保存。请释放磁盘空间后再次运行同一命令。",
    )
