"""Advice about pages never changes what they hold, and asks for nothing that is not there."""

import sys
from pathlib import Path

import numpy as np

from retrieval.system_memory import give_back, keep_in_large_pages, let_go


def test_an_array_keeps_what_it_holds():
    values = np.arange(6_000_000, dtype=np.int32)
    taken = keep_in_large_pages(values.ctypes.data, values.nbytes)
    assert taken in ((True, False) if sys.platform == "linux" else (False,))
    assert np.array_equal(values, np.arange(6_000_000, dtype=np.int32))


def test_a_small_one_is_left_alone():
    assert not keep_in_large_pages(np.zeros(100).ctypes.data, 800)


def test_what_was_freed_goes_back_and_what_is_held_stays():
    held = [bytes([number]) * 100_000 for number in range(200)]
    freed = [bytes(60_000) for _ in range(500)]
    del freed
    assert give_back() in ((True, False) if sys.platform == "linux" else (False,))
    assert all(block == bytes([number]) * 100_000 for number, block in enumerate(held))


def test_pages_let_go_are_read_again_from_their_file(tmp_path: Path):
    mapped = np.lib.format.open_memmap(tmp_path / "rows.npy", mode="w+", dtype=np.float32, shape=(5_000, 64))
    mapped[:] = np.arange(5_000, dtype=np.float32)[:, None]
    assert let_go(mapped) or sys.platform == "win32"
    assert np.array_equal(mapped[:, 3], np.arange(5_000))
    assert np.array_equal(np.load(tmp_path / "rows.npy")[:, 63], np.arange(5_000))
    assert not let_go(np.zeros((3, 3), np.float32))
