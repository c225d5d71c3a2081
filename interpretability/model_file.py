"""A GGUF read as a file, without loading the model: its settings, its vocabulary, its tensors, rows of its tables."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ModelLoadError
from core.language import Bilingual
from inference.gguf_file import TensorEntry, read_gguf_header

_LONGEST_ARRAY = 2_000_000  # the vocabulary and its merges are wanted whole
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

    def is_shaped_like(self, other: "ModelFile") -> bool:
        """Whether hidden states of both can be compared number by number: layers and widths are the same."""
        shapes = [(model.setting("block_count"), model.setting("embedding_length")) for model in (self, other)]
        return shapes[0] == shapes[1]


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
    """Read and check the header of the GGUF at `path`. Raises ModelNotFoundError and ModelLoadError."""
    return _read(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=4)
def _read(path: Path, _modified: int) -> ModelFile:
    header = read_gguf_header(path, longest_array=_LONGEST_ARRAY)
    tensors = {entry.name: _tensor(entry, header.data_start) for entry in header.tensors}
    return ModelFile(path, dict(header.metadata), tensors)


def _tensor(entry: TensorEntry, data_start: int) -> TensorInfo:
    from gguf import GGMLQuantizationType

    kind = GGMLQuantizationType(entry.ggml_type)
    return TensorInfo(entry.name, entry.shape[::-1], kind.name, kind.value, data_start + entry.offset, entry.size)
