"""Does memory stay flat however large the folder is? Peaks over one and over many times the same files.

Two peaks of the process: all that it has in memory, and what belongs to it alone. The difference are pages of files
that are mapped, which the system takes back when it wants them; an index being built reads all vectors that way.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from core.config import Settings, load_settings
from core.types import DEFAULT_COLLECTION
from ingest.events import Finished
from ingest.pipeline import IngestPipeline
from ingest.plan import find_files
from retrieval.fakes import HashEmbedder
from retrieval.library import Library

_SECONDS = 1_500.0
# As long as those of the usual encoder.
_DIMENSION = 384
_LOOK_EVERY_SECONDS = 0.02
# The processes that parse are looked for among all of the machine, which takes longer.
_LOOKS_FOR_PARSERS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("paths", nargs="+", type=Path, help="text files and folders of them")
    parser.add_argument("--files", type=int, default=70, help="so many files are once the corpus, spread evenly")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10], help="how many copies")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Real parsing and real commits, with an encoder that needs no model: its memory would hide that of the rest."""
    files = [file.path for file in find_files(options.paths)]
    files = files[:: max(len(files) // options.files, 1)][: options.files]
    runs = []
    for times in options.times:
        with tempfile.TemporaryDirectory() as scratch:
            folder = _copies(files, Path(scratch, "files"), times)
            command = [sys.executable, "-m", "evaluation.ingest_memory", str(Path(scratch, "home")), str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SECONDS)
            runs.append({"times": times, **json.loads(done.stdout.splitlines()[-1])})
    growth = [run["peak_megabytes"] - run["before_megabytes"] for run in runs]
    return {
        "benchmark": "ingest-memory",
        "files": len(files),
        "runs": runs,
        "peak_against_first": round(runs[-1]["peak_megabytes"] / runs[0]["peak_megabytes"], 3),
        "own_against_first": round(runs[-1]["own_megabytes"] / runs[0]["own_megabytes"], 3),
        "growth_megabytes": growth,
    }


def _copies(files: list[Path], folder: Path, times: int) -> Path:
    """Each copy says something of its own, so that none is taken for another."""
    folder.mkdir(parents=True)
    for copy in range(times):
        for number, file in enumerate(files):
            target = Path(shutil.copy(file, folder / f"{copy:03}-{number:04}{file.suffix}"))
            with target.open("a", encoding="utf-8") as opened:
                opened.write(f"\n\nCopy {copy} of file {number}.\n")
    return folder


def _measure(home: Path, folder: Path) -> dict[str, Any]:
    # An override, because the environment of the process above wins over everything else.
    library = Library(load_settings(home=home), HashEmbedder(_DIMENSION))
    before, started = _peak_megabytes(), time.perf_counter()
    last = None
    with _Watch() as watch:
        for event in IngestPipeline(library, library.settings).run([folder], DEFAULT_COLLECTION):
            last = event if isinstance(event, Finished) else last
    return {
        "chunks": last.chunks if last else 0,
        "before_megabytes": before,
        "peak_megabytes": _peak_megabytes(),
        "own_megabytes": round(watch.own / 1e6),
        "parser_megabytes": round(watch.parser / 1e6),
        "seconds": round(time.perf_counter() - started, 1),
    }


def _peak_megabytes() -> int:
    # Linux counts in kilobytes; this benchmark is for developers' machines.
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)


class _Watch:
    """Looks at memory, many times a second, for the time of the block.

    What the system says of children that ended is no use: a child counts as its own the memory that its parent had
    when it was started.
    """

    def __init__(self) -> None:
        self.own = 0
        self.parser = 0
        self._process = psutil.Process()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        looks = 0
        while not self._over.wait(_LOOK_EVERY_SECONDS):
            memory = self._process.memory_info()
            self.own = max(self.own, memory.rss - memory.shared)
            if looks % _LOOKS_FOR_PARSERS == 0:
                self.parser = max(self.parser, *(_memory_of_parser(child) for child in self._process.children()), 0)
            looks += 1


def _memory_of_parser(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss) if "ingest.worker" in process.cmdline() else 0
    except psutil.Error:
        return 0


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]), Path(sys.argv[2]))))  # noqa: T201 - read by the process above
