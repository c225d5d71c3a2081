"""Advice about pages never changes what they hold, and asks for nothing that is not there."""

import sys

import numpy as np

from retrieval.large_pages import keep_in_large_pages


def test_an_array_keeps_what_it_holds():
    values = np.arange(6_000_000, dtype=np.int32)
    taken = keep_in_large_pages(values.ctypes.data, values.nbytes)
    assert taken in ((True, False) if sys.platform == "linux" else (False,))
    assert np.array_equal(values, np.arange(6_000_000, dtype=np.int32))


def test_a_small_one_is_left_alone():
    assert not keep_in_large_pages(np.zeros(100).ctypes.data, 800)
