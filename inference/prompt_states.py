"""Beginnings that many prompts share (the system's instructions), kept on disk as KV caches with a checksum.

A file is: 4 bytes little-endian length, a JSON header {model, adapter, tokens, sha256}, the state. One that was made by
another model file, library or KV type, or whose checksum does not hold, is deleted and never restored.
"""

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LENGTH = struct.Struct("<I")
SUFFIX = ".state"
LEAST_TOKENS, MOST_TOKENS = 32, 1024
MOST_HEADER = 1 << 20
# Of the files together; the oldest go first.
BUDGET_BYTES = 64 * 1024 * 1024
# A stored beginning that covers this share of another makes storing that one a waste.
COVERS = 0.8


@dataclass(frozen=True)
class StoredBeginning:
    """A file and what its header says."""

    path: Path
    tokens: tuple[int, ...]
    adapter: str
    sha256: str
    data_start: int


class PromptStates:
    """The stored beginnings of one model. `model` names everything that a state depends on but the adapter."""

    def __init__(self, folder: Path, model: str, budget_bytes: int = BUDGET_BYTES) -> None:
        self._folder = folder
        self._model = model
        self._budget = budget_bytes
        self._known: list[StoredBeginning] | None = None

    def find(self, tokens: Sequence[int], adapter: str, longer_than: int) -> StoredBeginning | None:
        """The longest stored beginning of `tokens` under `adapter` with more than `longer_than` tokens."""
        fitting = [
            stored
            for stored in self._stored()
            if stored.adapter == adapter
            and longer_than < len(stored.tokens) < len(tokens)
            and stored.tokens == tuple(tokens[: len(stored.tokens)])
        ]
        return max(fitting, key=lambda stored: len(stored.tokens), default=None)

    def read(self, stored: StoredBeginning) -> NDArray[np.uint8] | None:
        """The state's bytes; None where the file is gone or damaged, which is then deleted."""
        try:
            data = stored.path.read_bytes()[stored.data_start :]
        except OSError:
            # Somebody cleared the cache.
            self._drop(stored)
            return None
        if hashlib.sha256(data).hexdigest() != stored.sha256:
            self._drop(stored)
            return None
        return np.frombuffer(data, dtype=np.uint8)

    def is_worth_keeping(self, tokens: Sequence[int], adapter: str) -> bool:
        """Whether a beginning is long enough, not too long, and not nearly stored already."""
        if not LEAST_TOKENS <= len(tokens) <= MOST_TOKENS:
            return False
        nearest = self.find([*tokens, -1], adapter, 0)
        return nearest is None or len(nearest.tokens) < COVERS * len(tokens)

    def keep(self, tokens: Sequence[int], adapter: str, state: NDArray[np.uint8]) -> None:
        """Store a state; where the disk refuses, nothing is stored and nothing else happens."""
        digest = hashlib.sha256(state.tobytes()).hexdigest()
        header = {"model": self._model, "adapter": adapter, "tokens": [int(token) for token in tokens]}
        text = json.dumps({**header, "sha256": digest}).encode()
        name = hashlib.sha256(json.dumps(header).encode()).hexdigest()[:24]
        path = self._folder / f"{name}{SUFFIX}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            beside = path.with_suffix(".new")
            beside.write_bytes(LENGTH.pack(len(text)) + text + state.tobytes())
            beside.replace(path)
            self._prune()
        except OSError:
            # A full or read-only disk costs the saving of time, not the answer.
            return
        start = LENGTH.size + len(text)
        self._stored().append(StoredBeginning(path, tuple(map(int, tokens)), adapter, digest, start))

    def _prune(self) -> None:
        files = sorted(self._folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime)
        total = sum(path.stat().st_size for path in files)
        for path in files:
            if total <= self._budget:
                return
            total -= path.stat().st_size
            path.unlink(missing_ok=True)

    def _drop(self, stored: StoredBeginning) -> None:
        stored.path.unlink(missing_ok=True)
        self._known = [other for other in self._stored() if other is not stored]

    def _stored(self) -> list[StoredBeginning]:
        if self._known is None:
            read = [_read_header(path, self._model) for path in sorted(self._folder.glob(f"*{SUFFIX}"))]
            self._known = [stored for stored in read if stored is not None]
        return self._known


def _read_header(path: Path, model: str) -> StoredBeginning | None:
    try:
        with path.open("rb") as file:
            (length,) = LENGTH.unpack(file.read(LENGTH.size))
            header: dict[str, Any] = json.loads(file.read(min(length, MOST_HEADER)))
        if header["model"] != model:
            return None
        tokens = tuple(int(token) for token in header["tokens"])
        return StoredBeginning(path, tokens, str(header["adapter"]), str(header["sha256"]), LENGTH.size + length)
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        # Not one of ours, or cut off: a cache that can be made again.
        path.unlink(missing_ok=True)
        return None
