"""Bulk work waits while anybody answers, in this process or another, and never longer than it was told."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.answering import NICENESS, answering, step_back, wait_for_answers

HOLDER = """
import sys
from pathlib import Path
from core.answering import answering
with answering(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_nobody_answers_nobody_waits(tmp_path: Path):
    assert wait_for_answers(tmp_path / "absent", 5) < 5
    with answering(tmp_path):
        pass
    assert wait_for_answers(tmp_path, 5) < 5


def test_it_waits_for_the_longest_time_while_an_answer_runs(tmp_path: Path):
    with answering(tmp_path), answering(tmp_path):
        assert wait_for_answers(tmp_path, 0.1) >= 0.1


def test_another_process_is_waited_for_until_it_ends(tmp_path: Path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert wait_for_answers(tmp_path, 0.1) >= 0.1
    holder.kill()
    holder.wait()
    assert wait_for_answers(tmp_path, 60) < 60


def test_a_folder_that_cannot_be_made_stops_no_answer(tmp_path: Path):
    blocked = tmp_path / "file"
    blocked.write_text("x")
    reached = []
    with answering(blocked / "cache"):
        reached.append(True)
    assert reached == [True]
    assert wait_for_answers(blocked / "cache", 5) < 5


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows a priority for each thread")
def test_who_steps_back_does_so_alone():
    def stepped() -> int:
        step_back()
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(stepped).result() == NICENESS
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) < NICENESS
