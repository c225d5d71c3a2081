"""`python -m ingest PATH... [--collection NAME]`: files into a collection, with a bar, an estimate and a summary."""

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from core.answering import step_back
from core.config import Settings, load_settings
from core.errors import FourfoldError, MissingExtraError
from core.language import Bilingual
from core.types import DEFAULT_COLLECTION
from ingest.events import Embedded, FileDone, FileFailed, FileRemoved, FileRenamed, Finished, IngestEvent, Planned
from ingest.pipeline import IngestOptions, IngestPipeline
from ingest.samples import make_way
from ingest.sync import Snapshot, snapshot, watch
from retrieval.embedder import open_embedder
from retrieval.library import Library

if TYPE_CHECKING:
    from ingest.ray_pipeline import RayWorkers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, or 1 where a file failed, or 2 where nothing could be done."""
    options = _parser().parse_args(arguments)
    # Threads that wait for each other spinning take from a busy machine what they do not use. Read with torch.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    console = Console(stderr=True)
    try:
        settings = load_settings()
        if options.profile:
            settings = settings.model_copy(update={"encoder_profile": options.profile})
        library = Library(settings, open_embedder(settings))
        if options.list:
            return _list(library, options.collection, options.json)
        if not options.paths:
            _parser().error("give at least one file or folder (or --list)")
        if options.remove:
            return _remove(library, options)
        return _ingest(library, settings, options, console)
    except FourfoldError as error:
        language = "zh" if options.chinese else "en"
        console.print(error.message.in_(language), style="red", markup=False, highlight=False)
        if options.json:
            print(json.dumps({"error": type(error).__name__, "message": asdict(error.message)}, ensure_ascii=False))
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ingest", description="Files and folders into a collection.")
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files and folders")
    parser.add_argument("--collection", default=DEFAULT_COLLECTION, metavar="NAME")
    parser.add_argument("--json", action="store_true", help="last line of output: one JSON object")
    parser.add_argument("--list", action="store_true", help="show the documents with their quality cards")
    parser.add_argument("--sync", action="store_true", help="also remove documents whose files are gone")
    parser.add_argument("--dry-run", action="store_true", help="show the plan and change nothing")
    parser.add_argument("--watch", action="store_true", help="stay and follow the folders (implies --sync)")
    parser.add_argument("--retry", action="store_true", help="try files again that failed before")
    parser.add_argument("--again", action="store_true", help="read every file anew, unchanged ones too")
    parser.add_argument("--remove", action="store_true", help="take the named documents out; the files stay")
    parser.add_argument("--tag", action="append", default=[], help="for every document read; may be repeated")
    parser.add_argument("--profile", choices=("accurate", "instant"), help="encoder of a new collection")
    parser.add_argument("--no-vectors", action="store_true", help="searchable by keyword only, for now")
    parser.add_argument("--password", action="append", default=[], help="for encrypted files; may be repeated")
    parser.add_argument(
        "--on", metavar="CLUSTER", help="read and encode on Ray: local, ray://host:port, host:port, auto"
    )
    parser.add_argument("--chinese", action="store_true", help="messages in Chinese")
    return parser


def _ingest(library: Library, settings: Settings, options: argparse.Namespace, console: Console) -> int:
    with contextlib.ExitStack() as ending:
        # Looking at the plan needs nobody who would carry it out.
        workers = ending.enter_context(_on_ray(settings, options.on)) if options.on and not options.dry_run else None
        return _ingest_with(IngestPipeline(library, settings, workers), options, console)


def _on_ray(settings: Settings, address: str) -> "RayWorkers":
    try:
        from ingest.ray_pipeline import RayWorkers
    except ImportError as error:
        raise MissingExtraError(Bilingual("An ingest on a Ray cluster", "在 Ray 集群上导入"), "ray") from error
    return RayWorkers(settings, address)


def _ingest_with(pipeline: IngestPipeline, options: argparse.Namespace, console: Console) -> int:
    chosen = IngestOptions(
        sync=options.sync or options.watch,
        retry=options.retry,
        again=options.again,
        tags=tuple(options.tag),
        embed=not options.no_vectors,
        passwords=tuple(options.password),
    )
    if options.dry_run:
        print(pipeline.plan(options.paths, options.collection, chosen).line)
        return 0
    make_way(pipeline.library, options.collection, options.paths)
    stop = _stop_on_interrupt(console)
    screen = _Screen(console, "zh" if options.chinese else "en")

    def read() -> Finished:
        return screen.follow(pipeline.run(options.paths, options.collection, chosen, stop))

    seen = snapshot(options.paths) if options.watch else frozenset()
    summary = read()
    if options.watch:
        summary = _watch(options.paths, stop, seen, read, screen) or summary
    print(json.dumps(_as_json(summary), ensure_ascii=False) if options.json else summary.line(screen.language))
    return 1 if summary.failed else 0


def _watch(
    paths: Sequence[Path], stop: threading.Event, seen: Snapshot, read: Callable[[], Finished], screen: "_Screen"
) -> Finished | None:
    """Read again at every change since `seen`, until `stop` is set; returns the last summary."""
    summary = None
    while watch(paths, stop, before=seen):
        # Taken before the run: what changes while it lasts is read by the next one.
        seen = snapshot(paths)
        try:
            summary = read()
        except FourfoldError as error:
            # A drive that is away for a while, a disk that is full: said, and tried again at the next change.
            screen.complain(error)
    return summary


def _stop_on_interrupt(console: Console) -> threading.Event:
    """The first Ctrl-C finishes the file at hand; the second one is not caught."""
    stop = threading.Event()

    def ask_to_stop(number: int, frame: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        console.print("Finishing the file at hand ... (press Ctrl-C again to stop at once)")

    signal.signal(signal.SIGINT, ask_to_stop)
    return stop


class _Screen:
    """Draws the events: one bar for files, one for vectors, a line for each file that is not whole."""

    def __init__(self, console: Console, language: str) -> None:
        self.language = language
        self._console = console

    def follow(self, events: Any) -> Finished:
        """Show a run to its end."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        finished: Finished | None = None
        with Progress(*columns, console=self._console, transient=True) as bars:
            tasks = {
                "files": bars.add_task("files", total=None, visible=False),
                "vectors": bars.add_task("vectors", total=None, visible=False),
            }
            for event in events:
                self._show(event, bars, tasks)
                finished = event if isinstance(event, Finished) else finished
        if finished is None:
            raise RuntimeError("a run ends with Finished")
        return finished

    def complain(self, error: FourfoldError) -> None:
        """Say what went wrong."""
        self._say(error.message.in_(self.language), style="red")

    def _show(self, event: IngestEvent, bars: Progress, tasks: dict[str, Any]) -> None:
        match event:
            case Planned():
                self._say(event.line)
            case FileDone(done=done, total=total) | FileFailed(done=done, total=total):
                bars.update(tasks["files"], completed=done, total=total, visible=True)
                self._name(event)
            case Embedded(done=done, total=total):
                bars.update(tasks["vectors"], completed=done, total=total, visible=True)
            case FileRemoved(uri=uri):
                self._say(f"- {uri}")
            case FileRenamed(before=before, after=after):
                self._say(f"> {before} -> {after}")
            case Finished():
                rate = f"searchable {event.searchable_seconds:.1f} s, all {event.seconds:.1f} s"
                self._say(f"{event.chunks} chunks, {event.vectors} vectors; {rate}")

    def _name(self, event: FileDone | FileFailed) -> None:
        """Only what a person should know of: failures and losses."""
        if isinstance(event, FileFailed):
            self._say(f"x {event.reason.in_(self.language)}", style="red")
            return
        for warning in event.warnings:
            self._say(f"! {event.uri.rsplit('/', 1)[-1]}: {warning.in_(self.language)}", style="yellow")

    def _say(self, text: str, style: str = "") -> None:
        # A file's name is text: it must not be read as markup.
        self._console.print(text, style=style or None, markup=False, highlight=False)


def _as_json(summary: Finished) -> dict[str, Any]:
    fields = asdict(summary)
    fields["failed"] = [{"uri": uri, "en": reason.en, "zh": reason.zh} for uri, reason in summary.failed]
    return fields


def _remove(library: Library, options: argparse.Namespace) -> int:
    """Documents by their files, or all under a folder; 1 where there was none."""
    wanted = [path.expanduser().absolute() for path in options.paths]
    with library.writer(options.collection, wait_seconds=5.0) as store:
        found = [
            record for record in store.documents() if any(Path(record.uri).is_relative_to(path) for path in wanted)
        ]
        for record in found:
            store.remove_document(record.id)
    print(json.dumps({"removed": [record.uri for record in found]}) if options.json else f"-{len(found)}")
    return 0 if found else 1


def _list(library: Library, collection: str, as_json: bool) -> int:
    store = library.reader(collection)
    try:
        documents, failures = store.documents(), store.failures()
    finally:
        store.close()
    if as_json:
        rows = [{"uri": record.uri, "title": record.title, **record.card} for record in documents]
        failed = [{"uri": failure.uri, "error": failure.error, **asdict(failure.message)} for failure in failures]
        print(json.dumps({"documents": rows, "failures": failed}, ensure_ascii=False))
        return 0
    for record in documents:
        card = record.card
        print(
            f"{card.get('status', 'ok'):8} {record.chunks:5} chunks {card.get('characters', 0):9} characters "
            f"{record.language} {record.uri}"
        )
    for failure in failures:
        print(f"{'failed':8} {failure.message.en}")
    return 0


if __name__ == "__main__":
    step_back()
    sys.exit(main())
