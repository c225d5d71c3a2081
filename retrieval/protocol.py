"""The seams of retrieval: the encoder and the search, real or fake."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.types import Retrieval, Scope

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Turns text into unit vectors."""

    @property
    def name(self) -> str:
        """Name with revision; an index remembers it and refuses another."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """Longest input in the encoder's own tokens, special tokens included; what is beyond is not seen."""
        ...

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that the encoder knows, as two-letter codes."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens not counted."""
        ...

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """float32 (len(texts), dimension), unit rows, in the order of `texts`."""
        ...

    def embed_query(self, text: str) -> Vectors:
        """float32 (dimension,), of unit length."""
        ...


class Reranker(Protocol):
    """Looks again at the few best passages, with more care than a search over all can take."""

    @property
    def weight(self) -> float:
        """How much its word counts against the first order: 0 nothing, 1 alone."""
        ...

    def scores(self, query: str, passages: Sequence[str]) -> Sequence[float]:
        """How well each passage answers the question; higher is better, comparable within one call only."""
        ...


class Searcher(Protocol):
    """Finds passages."""

    def retrieve(self, query: str, scope: Scope, top_k: int) -> Retrieval:
        """The best `top_k` chunks of `scope`, best first, with the evidence that they hold an answer."""
        ...
