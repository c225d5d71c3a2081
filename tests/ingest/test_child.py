"""The child process: limits of time and memory, its death, its locked network; the parent goes on."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from core.errors import DocumentDamagedError, DocumentEncryptedError, DocumentTooLargeError
from core.language import Bilingual
from core.types import Page
from ingest import wire
from ingest.child import Limits, ParserChild, ParserPool
from ingest.types import Parsed, Table

ROOT = Path(__file__).parents[2]


@pytest.fixture
def child() -> Iterator[ParserChild]:
    made = ParserChild()
    yield made
    made.close()


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_child_stays_warm_and_reads_file_after_file(child: ParserChild, tmp_path: Path):
    first = child.parse(write(tmp_path / "a.txt", "First."), "a.txt")
    parsers = [process.pid for process in psutil.Process().children()]
    second = child.parse(write(tmp_path / "b.md", "# Second\n"), "b.md")
    assert (first.pages[0].text, second.title) == ("First.", "Second")
    assert [process.pid for process in psutil.Process().children()] == parsers


def test_a_file_that_takes_too_long_is_named_and_the_next_one_read(tmp_path: Path):
    slow = write(tmp_path / "slow.csv", "a,b\n" + "1,2\n" * 400_000)
    child = ParserChild(Limits(seconds=0.05))
    try:
        with pytest.raises(DocumentTooLargeError, match=r"slow.csv: .*longer than the limit"):
            child.parse(slow, "slow.csv")
    finally:
        child.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the system's limit of memory is tested on Linux")
def test_a_file_that_takes_too_much_memory_is_named(tmp_path: Path):
    path = write(tmp_path / "large.txt", "lantern " * 10_000_000)
    child = ParserChild(Limits(memory_bytes=150_000_000))
    try:
        with pytest.raises(DocumentTooLargeError, match="memory"):
            child.parse(path, "large.txt")
        assert child.parse(write(tmp_path / "a.txt", "Small."), "a.txt").pages[0].text == "Small."
    finally:
        child.close()


def test_a_child_that_dies_is_replaced(child: ParserChild, tmp_path: Path):
    path = write(tmp_path / "a.txt", "Still here.")
    child.parse(path, "a.txt")
    for process in psutil.Process().children():
        if "ingest.worker" in process.cmdline():
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    assert child.parse(path, "a.txt").pages[0].text == "Still here."


def test_a_parser_that_dies_on_a_file_is_a_damaged_file(child: ParserChild, tmp_path: Path):
    large = write(tmp_path / "large.csv", "a,b\n" + "1,2\n" * 400_000)
    done = threading.Event()

    def kill_every_parser() -> None:
        while not done.wait(0.02):
            for process in psutil.Process().children():
                if "ingest.worker" in process.cmdline():
                    process.kill()

    killer = threading.Thread(target=kill_every_parser)
    killer.start()
    try:
        with pytest.raises(DocumentDamagedError, match="crashed"):
            child.parse(large, "large.csv")
    finally:
        done.set()
        killer.join()


def test_the_child_has_no_network():
    attempt = (
        "import sys, socket; from ingest import worker; sys.addaudithook(worker._refuse_network)\n"
        "try:\n    socket.create_connection(('127.0.0.1', 9), 1)\nexcept PermissionError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", attempt], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "parsing has no network" in done.stdout


def test_an_attempt_to_connect_is_counted_though_a_library_swallows_it(tmp_path: Path):
    program = (
        "import sys, socket, contextlib, ingest.reading as reading, ingest.worker as worker\n"
        "def read_and_call_home(path, name, password):\n"
        "    with contextlib.suppress(OSError):\n"
        "        socket.create_connection(('192.0.2.1', 80))\n"
        "    return reading.read_file(path, name, password)\n"
        "worker.read_file = read_and_call_home\n"
        "worker.main()\n"
    )
    path = write(tmp_path / "a.txt", "Words.")
    request = f'{{"path": "{path.as_posix()}", "name": "a.txt"}}\n'
    done = subprocess.run(
        [sys.executable, "-c", program], input=request, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [attempt.split()[0] for attempt in wire.attempts(done.stdout)] == ["socket.getaddrinfo"]
    assert wire.load(done.stdout).pages == (Page("Words."),)
    assert wire.attempts(wire.dump(wire.load(done.stdout))) == ()


def test_what_a_library_prints_does_not_reach_the_parent(tmp_path: Path):
    path = write(tmp_path / "a.txt", "Words.")
    request = f'{{"path": "{path.as_posix()}", "name": "a.txt"}}\n'
    done = subprocess.run(
        [sys.executable, "-m", "ingest.worker"], input=request, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert len(done.stdout.splitlines()) == 1
    assert wire.load(done.stdout).pages == (Page("Words."),)


def test_a_pool_answers_in_order_and_keeps_errors_apart(tmp_path: Path):
    paths = [write(tmp_path / f"{number}.txt", f"Number {number}." if number % 3 else "") for number in range(12)]
    pool = ParserPool(2)
    try:
        outcomes = list(pool.parse_all((path, path.name, ()) for path in paths))
    finally:
        pool.close()
    assert [path for path, _ in outcomes] == paths
    read = [outcome.parsed.pages[0].text if outcome.parsed else "" for _, outcome in outcomes]
    assert read == [f"Number {number}." if number % 3 else "" for number in range(12)]
    assert all(type(outcome.error).__name__ == "DocumentEmptyError" for _, outcome in outcomes[::3])


def test_jobs_are_taken_as_results_are_read(tmp_path: Path):
    path = write(tmp_path / "a.txt", "Words.")
    taken: list[int] = []

    def jobs() -> Iterator[tuple[Path, str, tuple[str, ...]]]:
        for number in range(50):
            taken.append(number)
            yield path, "a.txt", ()

    pool = ParserPool(1)
    results = pool.parse_all(jobs())
    next(results)
    assert len(taken) <= 3
    results.close()  # type: ignore[attr-defined]
    pool.close()


def test_what_is_parsed_survives_the_wire():
    parsed = Parsed(
        pages=(Page("Text \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), 3, "Label"),),
        title="T",
        media_type="text/csv",
        structure="markdown",
        metadata={"rows": 2},
        warnings=(Bilingual("lost", "丢失"),),
        tables=(Table("t", ("a", "b"), ((1, None), (2.5, "x")), 1),),
        garbled_pages=(3,),
        ocr_pages=(4,),
        incomplete=True,
    )
    assert wire.load(wire.dump(parsed)) == parsed
    error = DocumentEncryptedError(Bilingual("locked", "已加密"))
    with pytest.raises(DocumentEncryptedError) as caught:
        wire.load(wire.dump_error(error))
    assert caught.value.message == error.message


def test_a_pool_that_is_closed_leaves_no_process_behind(tmp_path: Path):
    paths = [write(tmp_path / f"{number}.csv", "a,b\n" + "1,2\n" * 200_000) for number in range(4)]
    pool = ParserPool(2)
    results = pool.parse_all((path, path.name, ()) for path in paths)
    next(results)
    pool.close()
    assert not [process for process in psutil.Process().children() if "ingest.worker" in process.cmdline()]
