"""An ingest on a Ray cluster: files are read and cut, and passages encoded, by actors on whatever machines there are.

Ray is imported here and nowhere else. This process reads the plan and the bytes of the files, and it alone commits, in
the order of the plan: so a run on a cluster ends with the chunks and vectors of a run without one, and what a lost
machine had in hand is given to another. Every machine needs this application in the same version.
"""

import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

# Ray would report its use to its makers; it reads this when it is imported.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import numpy as np
import ray
from ray.exceptions import RayError, RayTaskError

from core.config import Settings
from core.errors import DocumentError, EncoderMismatchError, IngestClusterError, SettingError
from core.language import Bilingual
from core.types import Chunk
from ingest import wire
from ingest.child import Outcome, ParserChild
from ingest.documents import make_document
from ingest.embedding import COMMIT, WINDOW, by_length, steps_of, unique_texts, windows
from ingest.events import Embedded
from ingest.plan import Job
from ingest.reading import MAX_FILE_BYTES
from ingest.splitter import Splitter
from ingest.workers import ReadFile, ReadWith
from retrieval.embedder import SentenceEncoder, open_embedder, sibling
from retrieval.library import Library
from retrieval.protocol import Embedder, Vectors
from retrieval.store import CollectionStore

LOCAL = "local"
Opener = Callable[[], Embedder]
Item = TypeVar("Item")
Result = TypeVar("Result")
# Items in hand of the actors, for each of them; and how often one is tried before the run gives up.
_AHEAD, _TRIES = 2, 5
# An actor that says nothing for so long is lost, and so is a cluster that offers no other in this time.
_PATIENCE = 300.0
_OBJECT_STORE_BYTES = 256_000_000


@dataclass(frozen=True)
class _Cut:
    """What a reader sends back: the reply as a child process gives it, and the chunks of it."""

    reply: str
    chunks: list[Chunk]
    seconds: float
    peak_bytes: int
    attempts: tuple[str, ...]


class Reader:
    """Reads and cuts files, in a child process under limits, on the machine that it lives on."""

    def __init__(self, opener: Opener, chunk_tokens: int, overlap: int, how: ReadWith) -> None:
        self._splitter = Splitter(opener(), chunk_tokens, overlap)
        self._child = ParserChild(how.limits)
        self._passwords = how.passwords

    def ready(self) -> str:
        """What the chunks depend on."""
        return self._splitter.settings

    def work(self, job: Job, data: bytes) -> _Cut:
        """Read one file by its bytes (none of one that is too long); a failure is part of what comes back."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"file{job.file.path.suffix[:16]}")
            path.write_bytes(data)
            if job.file.size > MAX_FILE_BYTES:
                os.truncate(path, job.file.size)
            outcome = self._child.outcome(path, job.file.path.name, self._passwords)
        try:
            if outcome.parsed is None or outcome.error is not None:
                raise outcome.error or DocumentError(Bilingual("unknown reason", "原因不明"))
            chunks, reply = self._splitter.split(make_document(job, outcome.parsed)), wire.dump(outcome.parsed)
        except DocumentError as error:
            chunks, reply = [], wire.dump_error(error)
        return _Cut(reply, chunks, outcome.seconds, outcome.peak_bytes, outcome.attempts)


class Encoder:
    """Encodes passages on the machine that it lives on."""

    def __init__(self, opener: Opener) -> None:
        self._embedder = opener()

    def ready(self) -> str:
        """What the vectors depend on."""
        return self._embedder.name

    def work(self, texts: list[str]) -> Vectors:
        """float32 (len(texts), dimension)."""
        return self._embedder.embed_documents(texts)


class RayWorkers:
    """Actors of a cluster, as `ingest.workers.Workers`. Use it as a `with` block: it ends what it has started."""

    def __init__(self, settings: Settings, address: str, opener: Opener | None = None) -> None:
        """`address`: `local` for a cluster of this machine alone, ray://host:port, host:port, or auto.

        `opener` makes the encoder on a worker; without it the settings say which. Raises SettingError where there is
        no such cluster.
        """
        self._settings = settings
        self._opener = opener
        _connect(address)

    def __enter__(self) -> "RayWorkers":
        return self

    def __exit__(self, *_: object) -> None:
        ray.shutdown()

    def read_all(self, jobs: Iterator[Job], splitter: Splitter, how: ReadWith) -> Generator[ReadFile, None, None]:
        """What became of each job, in their order."""
        cut = (self._settings.chunk_tokens, self._settings.chunk_overlap)
        make = partial(Reader, self._opener or partial(open_named, self._settings, "", ""), *cut, how)
        pool: _Pool[Job, _Cut] = _Pool(make, how.readers or _processors(), splitter.settings)
        try:
            for found in pool.map(jobs, lambda job: (job, _bytes_of(job))):
                yield ReadFile(_outcome(found), found.chunks)
        finally:
            pool.close()

    def embed(self, store: CollectionStore, library: Library, stop: threading.Event) -> Iterator[Embedded]:
        """Encode what has no vector yet; the batches of a window are in hand of all actors at once."""
        counts = store.counts()
        total = counts["chunks"] - counts["vectors"]
        if not total:
            return
        embedder = library.embedder_of(store)
        opener = self._opener or partial(open_named, self._settings, embedder.name, _way_of(embedder, total))
        pool: _Pool[list[str], Vectors] = _Pool(partial(Encoder, opener), _processors(), embedder.name, _gpus())
        done, started = 0, time.perf_counter()
        try:
            for count in _committed(store, library, pool, stop):
                done += count
                rate = done / (time.perf_counter() - started)
                yield Embedded(done, max(total, done), max(total - done, 0) / rate)
        finally:
            pool.close()


def _committed(
    store: CollectionStore, library: Library, pool: "_Pool[list[str], Vectors]", stop: threading.Event
) -> Iterator[int]:
    """Encode and commit batch after batch; yield the number of chunks in each. The index follows after a full window.

    Windows, batches and steps are those of `ingest.embedding`, larger windows only where the actors are many.
    """
    for window, is_full in windows(store, stop, max(WINDOW, 4 * COMMIT * pool.size)):
        batches = list(by_length(window, library.embedder_of(store)))
        told = [unique_texts(batch) for batch in batches]
        vectors = pool.map((step for texts, _ in told for step in steps_of(texts)), lambda step: (step,))
        for batch, (texts, rows) in zip(batches, told, strict=True):
            parts = [next(vectors) for _ in steps_of(texts)]
            store.put_vectors([chunk.id for chunk in batch], np.concatenate(parts)[rows])
            yield len(batch)
            if stop.is_set():
                return
        counts = store.counts()
        if is_full and counts["vectors"] < counts["chunks"]:
            library.refresh(store)


def open_named(settings: Settings, name: str, way: str) -> Embedder:
    """The encoder of the settings, or its other profile where `name` says so, computing in this `way`.

    Raises EncoderMismatchError where this machine has another one.
    """
    opened = open_embedder(settings)
    found = opened if name in ("", opened.name) else sibling(opened, name, settings)
    if found is None:
        raise EncoderMismatchError(
            Bilingual(
                en=f"A worker of the cluster has the encoder {opened.name!r} where {name!r} is wanted. "
                "Install the same encoder on every machine.",
                zh=f"集群中的一个工作进程使用编码器“{opened.name}”，而需要的是“{name}”。请在每台机器上安装相同的编码器。",
            )
        )
    if way and isinstance(found, SentenceEncoder):
        found.use_runtime(way)
    return found


class _Pool(Generic[Item, Result]):
    """Actors of one kind. Those that are lost are replaced as soon as the cluster has room, and their work redone."""

    def __init__(self, make: "partial[Any]", size: int, expected: str, gpus: int = 0) -> None:
        """`expected` is what every actor has to answer to `ready`."""
        self.size = gpus or size
        kind = ray.remote(make.func)
        options = kind.options(num_cpus=1, num_gpus=1 if gpus else 0, scheduling_strategy="SPREAD")
        self._new: Callable[[], Any] = lambda: options.remote(*make.args)
        self._expected = expected
        self._lost = 0
        self._coming: dict[Any, Any] = {}
        self._idle: list[Any] = []
        self._running: dict[Any, tuple[int, Item, int, Any]] = {}
        for _ in range(self.size):
            self._call_one()

    def map(self, items: Iterator[Item], arguments: Callable[[Item], tuple[Any, ...]]) -> Iterator[Result]:
        """The actors' answers in the order of `items`, which are taken as answers are read."""
        numbered = enumerate(items)
        again: deque[tuple[int, Item, int]] = deque()
        finished: dict[int, Result] = {}
        wanted = 0
        while True:
            while wanted in finished:
                yield finished.pop(wanted)
                wanted += 1
            room = _AHEAD * self.size - len(self._running) - len(finished) - len(again)
            again.extend((place, item, 0) for place, item in islice(numbered, max(0, room)))
            while again and self._idle:
                self._ask(*again.popleft(), arguments)
            if not self._running and not again:
                return
            self._wait(finished, again)

    def close(self) -> None:
        """End the actors."""
        for actor in [*self._idle, *self._coming.values(), *(entry[3] for entry in self._running.values())]:
            ray.kill(actor)
        self._idle, self._coming, self._running = [], {}, {}

    def _call_one(self) -> None:
        actor = self._new()
        self._coming[actor.ready.remote()] = actor

    def _ask(self, place: int, item: Item, tries: int, arguments: Callable[[Item], tuple[Any, ...]]) -> None:
        actor = self._idle.pop()
        self._running[actor.work.remote(*arguments(item))] = (place, item, tries, actor)

    def _wait(self, finished: dict[int, Result], again: deque[tuple[int, Item, int]]) -> None:
        """Take in the next answer, or the news that an actor came or was lost."""
        watched = [*self._running, *self._coming]
        ready, _ = ray.wait(watched, num_returns=1, timeout=_PATIENCE)
        if not ready:
            raise IngestClusterError(_describe_silence())
        for reference in ready:
            if reference in self._coming:
                self._welcome(reference)
            else:
                self._take(reference, finished, again)

    def _welcome(self, reference: Any) -> None:
        actor = self._coming.pop(reference)
        try:
            answered = ray.get(reference)
        except RayTaskError:
            raise
        except RayError as error:
            self._replace(error)
            return
        if answered != self._expected:
            raise IngestClusterError(_describe_other(str(answered), self._expected))
        self._idle.append(actor)

    def _take(self, reference: Any, finished: dict[int, Result], again: deque[tuple[int, Item, int]]) -> None:
        place, item, tries, actor = self._running.pop(reference)
        try:
            finished[place] = ray.get(reference)
            self._idle.append(actor)
            self._lost = 0
        except RayTaskError:
            raise
        except RayError as error:
            # The machine or the process is gone, and with it what it had in hand.
            if tries + 1 >= _TRIES:
                raise IngestClusterError(_describe_loss(str(error))) from error
            again.appendleft((place, item, tries + 1))
            self._replace(error)

    def _replace(self, error: RayError) -> None:
        """Ask for another actor; it comes when the cluster has room, and until then the others go on."""
        self._lost += 1
        if self._lost > _TRIES * self.size:
            raise IngestClusterError(_describe_loss(str(error))) from error
        self._call_one()


def _connect(address: str) -> None:
    try:
        if address == LOCAL:
            ray.init(
                "local",
                num_cpus=os.cpu_count() or 1,
                include_dashboard=False,
                log_to_driver=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                _node_ip_address="127.0.0.1",
            )
        else:
            ray.init(address, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise SettingError(_describe_address(address, error)) from error


def _processors() -> int:
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def _gpus() -> int:
    return int(ray.cluster_resources().get("GPU", 0))


def _way_of(embedder: Embedder, count: int) -> str:
    """How this machine computes, for the others to do the same; empty where that is not ours to say."""
    if isinstance(embedder, SentenceEncoder) and embedder.is_read_here and not _gpus():
        return embedder.way_for(count)
    return ""


def _bytes_of(job: Job) -> bytes:
    """The file as it is now; nothing of one that is gone, or too long to be read."""
    try:
        return b"" if job.file.size > MAX_FILE_BYTES else job.file.path.read_bytes()
    except OSError:
        return b""


def _outcome(found: _Cut) -> Outcome:
    try:
        return Outcome(wire.load(found.reply), None, found.seconds, found.peak_bytes, found.attempts)
    except DocumentError as error:
        return Outcome(None, error, found.seconds, found.peak_bytes, found.attempts)


def _describe_address(address: str, error: Exception) -> Bilingual:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return Bilingual(
        en=f"No Ray cluster could be used at {address!r} (--on): {reason}. Start one with `ray start --head`, or take "
        f"`--on {LOCAL}`.",
        zh=f"无法使用“{address}”（--on）处的 Ray 集群：{reason}。请用 `ray start --head` 启动集群，"
        f"或使用 `--on {LOCAL}`。",
    )


def _describe_silence() -> Bilingual:
    return Bilingual(
        en=f"The Ray cluster has given no sign for {_PATIENCE:.0f} seconds. What was committed stays; look after the "
        "cluster and run the same command again.",
        zh=f"Ray 集群已有 {_PATIENCE:.0f} 秒没有回应。已提交的内容均已保存；请检查集群后再次运行同一命令。",
    )


def _describe_other(found: str, expected: str) -> Bilingual:
    return Bilingual(
        en=f"A worker of the Ray cluster works with {found!r} where this machine has {expected!r}. Install the same "
        "version with the same settings on every machine.",
        zh=f"Ray 集群中的一个工作进程使用“{found}”，而本机为“{expected}”。请在每台机器上安装相同版本并使用相同设置。",
    )


def _describe_loss(reason: str) -> Bilingual:
    first = reason.strip().splitlines()[0]
    return Bilingual(
        en=f"Workers of the Ray cluster are lost again and again: {first}. What was committed stays.",
        zh=f"Ray 集群的工作进程反复丢失：{first}。已提交的内容均已保存。",
    )
