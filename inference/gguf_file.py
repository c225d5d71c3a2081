"""The header of a GGUF, read in Python and checked against the file's length before llama.cpp sees the file.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian). Every count, length
and offset in the header is compared with what is left of the file: a file made to overrun a loader stops here.
"""

import mmap
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from core.errors import ModelLoadError, ModelNotFoundError
from core.language import Bilingual

MAGIC = b"GGUF"
MAX_KEYS = 65_536
MAX_TENSORS = 262_144
MAX_DIMENSIONS = 4
KEPT_ARRAY = 64
STRING, ARRAY = 8, 9
# Value types of the format by number: struct code of one value.
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
# Tensor types: (values per block, bytes per block), from ggml's own table.
BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36),
}  # fmt: skip
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip


@dataclass(frozen=True)
class TensorEntry:
    """One tensor: its shape (fastest dimension first), ggml type, and place in the data section in bytes."""

    name: str
    shape: tuple[int, ...]
    ggml_type: int
    offset: int
    size: int


@dataclass(frozen=True)
class GgufHeader:
    """What a GGUF says of itself. Long arrays (the vocabulary) are left out of `metadata`; `array_lengths` has all.

    `data_start` is where the tensors begin, in bytes from the start of the file.
    """

    path: Path
    file_size: int
    metadata: Mapping[str, Any]
    array_lengths: Mapping[str, int]
    tensors: tuple[TensorEntry, ...] = field(repr=False)
    data_start: int = 0

    @property
    def architecture(self) -> str:
        """`general.architecture`, empty where it is absent."""
        return str(self.metadata.get("general.architecture", ""))

    @property
    def quantisation(self) -> str:
        """The usual name of the file's type, such as Q4_1."""
        return FILE_TYPES.get(int(self.metadata.get("general.file_type", -1)), "unknown")

    @property
    def n_parameters(self) -> int:
        """Values in all tensors."""
        total = 0
        for tensor in self.tensors:
            count = 1
            for size in tensor.shape:
                count *= size
            total += count
        return total

    def of_architecture(self, key: str, default: int = 0) -> int:
        """An integer under the architecture's own prefix (`block_count` -> `llama.block_count`)."""
        value = self.metadata.get(f"{self.architecture}.{key}", default)
        # Some models give one value per layer; the largest is the safe one for memory.
        return int(max(value)) if isinstance(value, list) else int(value)


def read_gguf_header(path: Path, longest_array: int = KEPT_ARRAY) -> GgufHeader:
    """Read and check the header of `path`; arrays of more than `longest_array` values are skipped.

    Raises ModelNotFoundError where no file is, ModelLoadError naming what does not fit.
    """
    if not path.is_file():
        raise ModelNotFoundError(
            Bilingual(
                en=f"There is no model file at {path}. Set FOURFOLD_MODEL to a GGUF file that exists.",
                zh=f"{path} 处没有模型文件。请把 FOURFOLD_MODEL 设为存在的 GGUF 文件。",
            )
        )
    size = path.stat().st_size
    if size < len(MAGIC) + 20:
        _refuse(path, "it is too short")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _Parser(path, data, size, longest_array).parse()
        except struct.error:
            _refuse(path, "its header ends beyond the file")


def _refuse(path: Path, reason: str) -> NoReturn:
    raise ModelLoadError(
        Bilingual(
            en=f"{path} is not a usable GGUF file: {reason}. Download it again or choose another file.",
            zh=f"{path} 不是可用的 GGUF 文件（{reason}）。请重新下载或换一个文件。",
        )
    )


class _Parser:
    """Walks the header once; every step checks what is left."""

    def __init__(self, path: Path, data: mmap.mmap, size: int, longest_array: int) -> None:
        self._path, self._data, self._size, self._at = path, data, size, 0
        self._longest_array = longest_array

    def parse(self) -> GgufHeader:
        if self._data[:4] != MAGIC:
            _refuse(self._path, "it does not begin with GGUF")
        self._at = 4
        version, n_tensors, n_keys = self._scalar("I"), self._scalar("Q"), self._scalar("Q")
        if version not in (2, 3):
            _refuse(self._path, f"version {version} is not known")
        if n_keys > MAX_KEYS or n_tensors > MAX_TENSORS:
            _refuse(self._path, f"it announces {n_keys} keys and {n_tensors} tensors")
        metadata, lengths = self._metadata(n_keys)
        tensors = tuple(self._tensor() for _ in range(n_tensors))
        start = self._check_places(tensors, int(metadata.get("general.alignment", 32)))
        return GgufHeader(self._path, self._size, metadata, lengths, tensors, start)

    def _metadata(self, n_keys: int) -> tuple[dict[str, Any], dict[str, int]]:
        metadata: dict[str, Any] = {}
        lengths: dict[str, int] = {}
        for _ in range(n_keys):
            key, kind = self._string(), self._scalar("I")
            if kind != ARRAY:
                metadata[key] = self._value(kind)
                continue
            lengths[key], values = self._array()
            if values is not None:
                metadata[key] = values
        return metadata, lengths

    def _scalar(self, code: str) -> Any:
        form = struct.Struct("<" + code)
        (value,) = form.unpack_from(self._data, self._at)
        self._at += form.size
        return value

    def _string(self) -> str:
        start = self._skip_string()
        return self._data[start : self._at].decode("utf-8", errors="replace")

    def _skip_string(self) -> int:
        length = self._scalar("Q")
        start = self._at
        if length > self._size - start:
            _refuse(self._path, f"a text of {length} bytes stands beyond the end of the file")
        self._at = start + length
        return start

    def _value(self, kind: int) -> Any:
        if kind == STRING:
            return self._string()
        if kind not in SCALARS:
            _refuse(self._path, f"value type {kind} is not known")
        return self._scalar(SCALARS[kind])

    def _array(self) -> tuple[int, list[Any] | None]:
        kind, count = self._scalar("I"), self._scalar("Q")
        smallest = 8 if kind == STRING else struct.calcsize("<" + SCALARS.get(kind, "Q"))
        if count * smallest > self._size - self._at:
            _refuse(self._path, f"an array of {count} values stands beyond the end of the file")
        if count <= self._longest_array:
            return count, [self._value(kind) for _ in range(count)]
        if kind == STRING:
            skip: Callable[[], int] = self._skip_string
            for _ in range(count):
                skip()
        elif kind in SCALARS:
            self._at += count * smallest
        else:
            _refuse(self._path, f"an array of type {kind} is not known")
        return count, None

    def _tensor(self) -> TensorEntry:
        name, n_dimensions = self._string(), self._scalar("I")
        if not 1 <= n_dimensions <= MAX_DIMENSIONS:
            _refuse(self._path, f"tensor {name[:64]} has {n_dimensions} dimensions")
        shape = tuple(self._scalar("Q") for _ in range(n_dimensions))
        kind, offset = self._scalar("I"), self._scalar("Q")
        count = 1
        for size in shape:
            count *= size
        per_block, block_bytes = BLOCKS.get(kind, (1, 0))
        return TensorEntry(name, shape, kind, offset, -(-count // per_block) * block_bytes)

    def _check_places(self, tensors: tuple[TensorEntry, ...], alignment: int) -> int:
        if alignment < 8 or alignment & (alignment - 1) or alignment > 1 << 20:
            _refuse(self._path, f"its alignment is {alignment}")
        start = -(-self._at // alignment) * alignment
        for tensor in tensors:
            if 0 in tensor.shape or tensor.offset % alignment or start + tensor.offset + tensor.size > self._size:
                _refuse(self._path, f"tensor {tensor.name[:64]} stands beyond the end of the file")
        return start
