"""A GGUF read as a file, without loading the model: its settings, its vocabulary, its tensors, single rows of a table.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Only dequantisation is left to the package `gguf`:
its own reader builds an array per string and takes seconds where this takes a tenth.
"""

import hashlib
import math
import mmap
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ModelLoadError
from core.language import Bilingual

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_BLOCK_ROWS = 4096  # rows of a table that are dequantised at a time: some ten megabytes at a usual width

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TensorInfo:
    """One tensor: `shape` is row-major (rows first), `offset` counts from the start of the file, `n_bytes` on disk."""

    name: str
    shape: tuple[int, ...]
    type_name: str
    type_id: int
    offset: int
    n_bytes: int

    @property
    def n_elements(self) -> int:
        """How many numbers the tensor holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class ModelFile:
    """What a GGUF says of itself."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, TensorInfo]

    @property
    def architecture(self) -> str:
        """The family of the model, such as `llama` or `qwen3`."""
        return str(self.metadata.get("general.architecture", ""))

    def setting(self, name: str, default: Any = None) -> Any:
        """The value of `<architecture>.<name>`."""
        return self.metadata.get(f"{self.architecture}.{name}", default)

    @property
    def tokens(self) -> list[str]:
        """The vocabulary as written in the file, by token id."""
        return list(self.metadata.get("tokenizer.ggml.tokens", ()))

    def table(self, name: str) -> "Table":
        """The two-dimensional tensor `name`. Raises ModelLoadError where the model has none."""
        if name not in self.tensors:
            raise ModelLoadError(
                Bilingual(
                    en=f"{self.path.name} has no tensor {name}; this part of the X-ray is not available for it.",
                    zh=f"{self.path.name} 中没有张量 {name}，该模型无法显示这一部分。",
                )
            )
        return Table(self.path, self.tensors[name])

    @property
    def embedding(self) -> "Table":
        """The table of token embeddings, (n_vocab, n_embd)."""
        return self.table("token_embd.weight")

    @property
    def has_tied_output(self) -> bool:
        """Whether the output layer is the embedding table used a second time."""
        return "output.weight" not in self.tensors

    @property
    def output(self) -> "Table":
        """The table that turns a hidden state into logits, (n_vocab, n_embd)."""
        return self.embedding if self.has_tied_output else self.table("output.weight")

    def vector(self, name: str) -> Floats | None:
        """A one-dimensional tensor as float32, None where the model has none."""
        info = self.tensors.get(name)
        return None if info is None else Table(self.path, info).rows([0])[0]

    def sha256(self) -> str:
        """SHA-256 of the whole file."""
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()


@dataclass(frozen=True)
class Table:
    """A quantised matrix on disk, read by rows."""

    path: Path
    info: TensorInfo

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns); a vector counts as one row."""
        rows = math.prod(self.info.shape[:-1])
        return rows, self.info.shape[-1]

    def rows(self, ids: Sequence[int]) -> Floats:
        """float32 (len(ids), columns), in the order of `ids`."""
        raw = self._raw()
        return self._dequantised(np.ascontiguousarray(raw[np.asarray(ids, dtype=np.int64)]))

    def blocks(self) -> Iterator[tuple[int, Floats]]:
        """The whole table in pieces: (number of the first row, float32 (rows, columns)). Never all in memory."""
        raw = self._raw()
        for first in range(0, len(raw), _BLOCK_ROWS):
            yield first, self._dequantised(np.ascontiguousarray(raw[first : first + _BLOCK_ROWS]))

    def _raw(self) -> NDArray[np.uint8]:
        rows = self.shape[0]
        # A memory map is shared with the runtime's own: reading the table costs no second copy of the weights.
        return np.memmap(self.path, np.uint8, "r", self.info.offset, (rows, self.info.n_bytes // rows))

    def _dequantised(self, raw: NDArray[np.uint8]) -> Floats:
        from gguf import GGMLQuantizationType, quants

        if self.info.type_name == "F32":
            return raw.view(np.float32)
        if self.info.type_name == "F16":
            return raw.view(np.float16).astype(np.float32)
        return np.asarray(quants.dequantize(raw, GGMLQuantizationType(self.info.type_id)), dtype=np.float32)


def read_model_file(path: Path) -> ModelFile:
    """Read the header of the GGUF at `path`. Raises ModelLoadError for a file that is not one or is cut short."""
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _read(path: Path, _modified: int) -> ModelFile:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        try:
            return _parse(path, _Cursor(view))
        except (struct.error, IndexError, KeyError, ValueError, RecursionError) as error:
            raise ModelLoadError(
                Bilingual(
                    en=f"{path} is not a readable GGUF ({error}). Download it again or choose another model.",
                    zh=f"{path} 不是可读取的 GGUF（{error}）。请重新下载，或选择其他模型。",
                )
            ) from error


class _Cursor:
    """Reads little-endian values one after another; never past the end."""

    def __init__(self, view: mmap.mmap) -> None:
        self.view = view
        self.at = 0

    def scalar(self, code: str) -> Any:
        value = struct.unpack_from("<" + code, self.view, self.at)[0]
        self.at += struct.calcsize("<" + code)
        return value

    def bounded(self, least_bytes: int = 1) -> int:
        """A count of things, each of at least so many bytes, that the rest of the file can really hold."""
        count = int(self.scalar("Q"))
        if count * least_bytes > len(self.view) - self.at:
            raise ValueError(f"a count of {count} exceeds the file")
        return count

    def text(self) -> str:
        length = self.bounded()
        self.at += length
        return self.view[self.at - length : self.at].decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.scalar(_SCALARS[kind])
        item = self.scalar("I")
        if item in (_STRING, _ARRAY):
            return [self.value(item) for _ in range(self.bounded(8))]
        size = struct.calcsize(_SCALARS[item])
        count = self.bounded(size)
        self.at += count * size
        return list(struct.unpack_from(f"<{count}{_SCALARS[item]}", self.view, self.at - count * size))


def _parse(path: Path, cursor: _Cursor) -> ModelFile:
    if cursor.view[:4] != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    cursor.at = 8
    n_tensors, n_values = cursor.bounded(24), cursor.bounded(12)
    metadata = {cursor.text(): cursor.value(cursor.scalar("I")) for _ in range(n_values)}
    described = [_tensor_header(cursor) for _ in range(n_tensors)]
    alignment = int(metadata.get("general.alignment", 32))
    start = -(-cursor.at // alignment) * alignment
    tensors = {name: _tensor(name, shape, kind, start + offset) for name, shape, kind, offset in described}
    if any(tensor.offset + tensor.n_bytes > len(cursor.view) for tensor in tensors.values()):
        raise ValueError("a tensor lies beyond the end of the file")
    return ModelFile(path, metadata, tensors)


def _tensor_header(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    name = cursor.text()
    shape = tuple(int(cursor.scalar("Q")) for _ in range(cursor.scalar("I")))
    return name, shape[::-1], cursor.scalar("I"), cursor.scalar("Q")


def _tensor(name: str, shape: tuple[int, ...], kind: int, offset: int) -> TensorInfo:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    per_block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
    n_bytes = math.prod(shape) // per_block * block_bytes
    return TensorInfo(name, shape, GGMLQuantizationType(kind).name, kind, offset, n_bytes)
