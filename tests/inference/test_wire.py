"""Frames go through a real pipe and come out equal; what is not ours is refused."""

import io
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.wire import LENGTH, Channel


def through(header: dict[str, object], arrays: dict[str, NDArray[Any]]):
    pipe = io.BytesIO()
    Channel(io.BytesIO(), pipe).send(header, arrays)
    return Channel(io.BytesIO(pipe.getvalue()), io.BytesIO()).receive()


def test_header_and_arrays_come_out_as_they_went_in():
    arrays: dict[str, NDArray[Any]] = {
        "plain": np.arange(6, dtype=np.float32).reshape(2, 3),
        "view": np.arange(8, dtype=np.int64)[::2],
        "empty": np.zeros((0, 4), dtype=np.float16),
    }
    frame = through({"id": 1, "text": "你好"}, arrays)
    assert frame is not None
    assert frame.header == {"id": 1, "text": "你好"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(frame.arrays[name], array)
        assert frame.arrays[name].dtype == array.dtype


def test_the_end_of_the_stream_is_none():
    assert Channel(io.BytesIO(b""), io.BytesIO()).receive() is None
    assert Channel(io.BytesIO(b"\x05\x00\x00\x00{}"), io.BytesIO()).receive() is None


def test_an_array_of_objects_is_refused():
    text = json.dumps({"arrays": [{"name": "a", "dtype": "object", "shape": [1]}]}).encode()
    with pytest.raises(ValueError, match="type object"):
        Channel(io.BytesIO(LENGTH.pack(len(text)) + text + b"\0" * 8), io.BytesIO()).receive()


def test_a_header_of_gigabytes_is_refused():
    with pytest.raises(ValueError, match="header of"):
        Channel(io.BytesIO(LENGTH.pack(2**31)), io.BytesIO()).receive()
