"""What is asked of the system about memory: large pages for an array, and taking back what is not needed any more.

A graph is read at places all over its memory. With pages of 4 KB every look costs a second one, into the tables of the
pages; with pages of 2 MB these fit the processor. And a long run leaves holes in what it once took, which the C
library keeps: an ingest of ten times the files had a third more memory, none of it used. Measured:
evaluation/DECISIONS.md. Where the system cannot do it, nothing happens.
"""

import ctypes
import mmap
import sys

import numpy as np
from numpy.typing import NDArray

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


def give_back() -> bool:
    """Give the system the memory that was freed and not yet given back; whether there was any (glibc only)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    return bool(trim is not None and trim(0))


def let_go(array: NDArray[np.float32]) -> bool:
    """Forget the pages of an array that is mapped from a file, until they are read again; whether it was done.

    What was written to a shared mapping stays: the pages are the file's.
    """
    mapped = getattr(array, "_mmap", None)
    if not isinstance(mapped, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED"):
        return False
    mapped.madvise(mmap.MADV_DONTNEED)
    return True
