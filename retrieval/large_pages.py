"""Asking the system to keep a large array in large pages, which a walk through it needs fewer of.

A graph is read at places all over its memory. With pages of 4 KB every look costs a second one, into the tables of the
pages; with pages of 2 MB these fit the processor. Measured: evaluation/DECISIONS.md. Where the system cannot do it,
nothing happens.
"""

import ctypes
import sys

_PAGE = 4096
# Smaller arrays gain nothing.
_WORTH_IT = 4 * 1024 * 1024
# Linux, include/uapi/asm-generic/mman-common.h: from now on, and (since 6.1) what is there already, at once.
_ADVICE = (14, 25)


def keep_in_large_pages(address: int, size: int) -> bool:
    """Advise for the `size` bytes from `address` on; whether the system took the advice. Contents stay as they are."""
    first = -(-address // _PAGE) * _PAGE
    length = (address + size) // _PAGE * _PAGE - first
    if sys.platform != "linux" or size < _WORTH_IT:
        return False
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return not any([advise(first, length, advice) for advice in _ADVICE])
