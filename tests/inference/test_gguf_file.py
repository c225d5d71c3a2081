"""Our reader of GGUF headers against the gguf package, and against files that are made to hurt."""

import struct
from pathlib import Path

import pytest
from gguf import GGUFReader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import ModelLoadError, ModelNotFoundError
from inference.engine_options import responsive_batch
from inference.gguf_file import GgufHeader, TensorEntry, read_gguf_header


def small_file() -> bytes:
    """One key, one tensor of 8 float32, by the letter of the format."""

    def text(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    head = (
        b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + text(b"general.architecture") + struct.pack("<I", 8) + text(b"llama")
    )
    head += text(b"w") + struct.pack("<IQIQ", 1, 8, 0, 0)
    return head + b"\0" * (-len(head) % 32) + b"\0" * 32


def test_the_real_header_equals_what_the_gguf_package_reads(model_path: Path):
    header, reference = read_gguf_header(model_path), GGUFReader(str(model_path))
    expected = {name: field.contents() for name, field in reference.fields.items() if not name.startswith("GGUF.")}
    for name, value in header.metadata.items():
        assert value == pytest.approx(expected[name]) if isinstance(value, float) else value == expected[name]
    assert header.array_lengths == {name: len(value) for name, value in expected.items() if isinstance(value, list)}
    places = [(t.name, t.ggml_type, t.size, list(t.shape)) for t in header.tensors]
    assert places == [(t.name, int(t.tensor_type), t.n_bytes, [int(n) for n in t.shape]) for t in reference.tensors]


def test_a_sound_small_file_is_read(tmp_path: Path):
    path = tmp_path / "small.gguf"
    path.write_bytes(small_file())
    header = read_gguf_header(path)
    assert (header.architecture, header.n_parameters, header.tensors[0].size) == ("llama", 8, 32)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (0, b"GGML", "does not begin with GGUF"),
        (4, struct.pack("<I", 99), "version 99"),
        (8, struct.pack("<Q", 2**60), "announces"),
        (16, struct.pack("<Q", 2**40), "announces"),
        (24, struct.pack("<Q", 2**63), "beyond the end"),
        (52, struct.pack("<I", 77), "value type 77"),
        (len(small_file()) - 64 + 16, b"", None),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, place: int, value: bytes, reason: str | None):
    data = bytearray(small_file())
    data[place : place + len(value)] = value
    path = tmp_path / "bad.gguf"
    path.write_bytes(bytes(data) if reason else bytes(data[:-32]))
    with pytest.raises(ModelLoadError, match=reason or "beyond the end"):
        read_gguf_header(path)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ModelNotFoundError, match=r"absent\.gguf"):
        read_gguf_header(tmp_path / "absent.gguf")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, len(small_file()) - 1), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 200),
)
def test_no_damage_ends_in_anything_but_a_refusal(tmp_path: Path, changes: list[tuple[int, int]], cut: int):
    data = bytearray(small_file())
    for place, value in changes:
        data[place] = value
    path = tmp_path / "fuzz.gguf"
    path.write_bytes(bytes(data[: len(data) - cut]))
    try:
        ends = [tensor.offset + tensor.size for tensor in read_gguf_header(path).tensors]
    except ModelLoadError:
        ends = []
    assert all(end <= path.stat().st_size for end in ends)


def layer(rows: int, columns: int) -> GgufHeader:
    """A header whose largest matrix of a layer has this shape, beside a vocabulary that does not count."""
    tensors = (
        TensorEntry("token_embd.weight", (rows, 150_000), 8, 0, 0),
        TensorEntry("blk.0.ffn_up.weight", (rows, columns), 8, 0, 0),
        TensorEntry("blk.0.attn_norm.weight", (rows,), 0, 0, 0),
    )
    return GgufHeader(Path("x.gguf"), 0, {}, {}, tensors)


@pytest.mark.parametrize(
    ("rows", "columns", "threads", "tokens"),
    # 0.04 s x 25 GFLOP/s x threads / (2 x rows x columns), down to a multiple of 32, never below 32.
    [(576, 1536, 1, 544), (1024, 3072, 2, 288), (4096, 12288, 8, 64), (4096, 12288, 2, 32), (8192, 28672, 1, 32)],
)
def test_batches_are_as_large_as_a_cancel_can_wait(rows: int, columns: int, threads: int, tokens: int):
    assert responsive_batch(layer(rows, columns), threads) == tokens
