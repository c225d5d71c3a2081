"""An encoder without a model, for tests and for machines that have none: hashed words and character pairs."""

import re
import zlib
from collections.abc import Sequence

import numpy as np

from retrieval.protocol import Vectors

_PIECE = re.compile(r"[^\W_]+", re.UNICODE)


class HashEmbedder:
    """Texts that share words or characters lie near each other. Deterministic, knows every language a little."""

    def __init__(self, dimension: int = 64, max_tokens: int = 256) -> None:
        self.name = f"hash-{dimension}"
        self.dimension = dimension
        self.max_tokens = max_tokens
        self.languages: tuple[str, ...] = ("en", "zh")

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Words and single non-ASCII characters."""
        return [len(_pieces(text)) for text in texts]

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """float32 (len(texts), dimension), unit rows."""
        return np.stack([self.embed_query(text) for text in texts]) if texts else self._zeros(0)

    def embed_query(self, text: str) -> Vectors:
        """float32 (dimension,), of unit length."""
        vector = self._zeros(1)[0]
        for piece in _pieces(text) or [""]:
            code = zlib.crc32(piece.encode("utf-8"))
            vector[code % self.dimension] += 1.0 if code & 0x10000 else -1.0
        norm = float(np.linalg.norm(vector))
        if norm == 0.0:
            vector[0] = norm = 1.0
        return np.asarray(vector / norm, np.float32)

    def _zeros(self, rows: int) -> Vectors:
        return np.zeros((rows, self.dimension), np.float32)


class NeighbourEmbedder(HashEmbedder):
    """Each vector depends a little on the texts that are encoded with it, as it does in eight bits."""

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """float32 (len(texts), dimension), unit rows."""
        mixed = super().embed_documents(texts)
        mixed = mixed + 0.1 * self.embed_query(" ".join(texts))
        return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    for word in _PIECE.findall(text.lower()):
        pieces.extend([word] if word.isascii() else word)
    return pieces
