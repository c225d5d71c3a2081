"""Frames between the application and the worker process: a JSON header and raw arrays, never pickle.

One frame is: 4 bytes little-endian length of the header, the header (UTF-8 JSON), then the bytes of each array that
the header lists under `arrays` as {name, dtype, shape}, in that order.
"""

import json
import math
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

LENGTH = struct.Struct("<I")
MAX_HEADER_BYTES = 256 * 1024 * 1024
# Only plain numbers travel: an object array would be code in disguise.
DTYPES = frozenset({"bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"})

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Frame:
    """One message: what it says, and the arrays that it carries."""

    header: dict[str, Any]
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)


class Channel:
    """Both ends of a pair of byte streams. Sending is thread-safe; one thread receives."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader = reader
        self._writer = writer
        self._sending = threading.Lock()

    def send(self, header: Mapping[str, Any], arrays: Arrays | None = None) -> None:
        """Write one frame. Raises OSError or ValueError where the other end is gone."""
        plain = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
        listed = [{"name": n, "dtype": str(a.dtype), "shape": list(a.shape)} for n, a in plain.items()]
        text = json.dumps({**header, "arrays": listed} if listed else header, ensure_ascii=False).encode("utf-8")
        with self._sending:
            self._writer.write(LENGTH.pack(len(text)) + text)
            for array in plain.values():
                self._writer.write(array.tobytes())
            self._writer.flush()

    def receive(self) -> Frame | None:
        """Read one frame; None where the other end has closed. Raises ValueError on a frame that is not ours."""
        prefix = self._read(LENGTH.size)
        if prefix is None:
            return None
        (length,) = LENGTH.unpack(prefix)
        if length > MAX_HEADER_BYTES:
            raise ValueError(f"a frame announces a header of {length} bytes")
        text = self._read(length)
        if text is None:
            return None
        header: dict[str, Any] = json.loads(text)
        arrays = {item["name"]: self._read_array(item) for item in header.pop("arrays", ())}
        return Frame(header, arrays)

    def close(self) -> None:
        """Close both streams; a process at the other end sees the end of its input."""
        for stream in (self._writer, self._reader):
            try:
                stream.close()
            except OSError:
                # The other end died with unread bytes in the pipe: there is nobody left to tell.
                continue

    def _read_array(self, item: Mapping[str, Any]) -> NDArray[Any]:
        if item["dtype"] not in DTYPES:
            raise ValueError(f"a frame carries an array of type {item['dtype']}")
        dtype, shape = np.dtype(item["dtype"]), tuple(int(size) for size in item["shape"])
        data = self._read(dtype.itemsize * math.prod(shape))
        if data is None:
            raise ValueError("a frame ends in the middle of an array")
        return np.frombuffer(data, dtype=dtype).reshape(shape)

    def _read(self, size: int) -> bytes | None:
        data = self._reader.read(size) if size else b""
        return data if len(data) == size else None
