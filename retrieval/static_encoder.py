"""The `instant` profile: a static encoder distilled from another one, without data (Model2Vec, Tulkens 2024).

Every token of the vocabulary goes through the encoder alone; what comes out is turned to its principal axes and weighed
down where it is frequent (smooth inverse frequency, Arora et al. 2017). A text is the sum of its tokens: hundreds
of times as fast, but order and context of the words are not seen. What that costs stands in docs/ingest.md.
"""

import hashlib
import json
import logging
import os
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.protocol import Vectors

if TYPE_CHECKING:
    from retrieval.embedder import SentenceEncoder

DIMENSION = 256
VERSION = 1
# Weight of a token of probability p: a / (a + p). The vocabulary stands in order of frequency, so p follows Zipf's law.
_SMOOTHING = 1e-5
_LETTER, _FOREIGN = 100, 5_000
_TABLE, _MANIFEST = "table.npy", "manifest.json"
_log = logging.getLogger(__name__)


class StaticEncoder:
    """A table of token vectors. Made from `base` on the first use, then kept in `folder`. Thread-safe."""

    def __init__(self, base: "SentenceEncoder", folder: Path) -> None:
        self.base = base
        self.name = instant_name(base.name)
        self.dimension = DIMENSION
        # It has no window of its own; the same chunks as the base's keep the two profiles comparable.
        self.max_tokens = base.max_tokens
        self.languages = base.languages
        self._folder = folder
        self._rows: Vectors | None = None
        self._lock = threading.Lock()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, as the base counts them."""
        return self.base.count_tokens(texts)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """float32 (len(texts), dimension), unit rows, in order; a text without tokens is the first axis."""
        rows = self.table()
        ids = self.base.plain_token_ids(texts)
        lengths = np.array([len(row) for row in ids], np.int64)
        out = np.zeros((len(texts), rows.shape[1]), np.float32)
        filled = np.flatnonzero(lengths)
        if len(filled):
            tokens = rows[np.fromiter((token for row in ids for token in row), np.int64, int(lengths.sum()))]
            starts = np.concatenate([[0], np.cumsum(lengths[filled])[:-1]])
            out[filled] = np.add.reduceat(tokens, starts, axis=0)
        norms = np.linalg.norm(out, axis=1, keepdims=True)
        out[norms[:, 0] < 1e-9, 0] = 1.0
        return np.asarray(out / np.where(norms < 1e-9, 1.0, norms), np.float32)

    def embed_query(self, text: str) -> Vectors:
        """float32 (dimension,), of unit length."""
        return np.asarray(self.embed_documents([text])[0], np.float32)

    def table(self) -> Vectors:
        """float32 (vocabulary, dimension): read, or made where there is none yet or it is damaged."""
        with self._lock:
            if self._rows is None:
                self._rows = self._read()
            if self._rows is None:
                _log.info("distilling the instant profile of %s, once", self.base.name)
                self._rows = distil(self.base)
                self._write(self._rows)
            return self._rows

    def _read(self) -> Vectors | None:
        try:
            manifest = json.loads((self._folder / _MANIFEST).read_text(encoding="utf-8"))
            data = (self._folder / _TABLE).read_bytes()
            if manifest != self._manifest(data):
                return None
            return np.asarray(np.load(self._folder / _TABLE, allow_pickle=False), np.float32)
        except (OSError, ValueError):
            # Not there, or not readable: it is made anew.
            return None

    def _write(self, rows: Vectors) -> None:
        draft = self._folder.with_name(f"{self._folder.name}.{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        np.save(draft / _TABLE, rows)
        manifest = self._manifest((draft / _TABLE).read_bytes())
        (draft / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        shutil.rmtree(self._folder, ignore_errors=True)
        draft.rename(self._folder)

    def _manifest(self, data: bytes) -> dict[str, str | int]:
        return {"name": self.name, "version": VERSION, "sha256": hashlib.sha256(data).hexdigest()}


def instant_name(base: str) -> str:
    """The name under which a collection remembers the static encoder of `base`."""
    return f"{base}+instant{VERSION}"


def distil(base: "SentenceEncoder") -> Vectors:
    """float32 (vocabulary, DIMENSION) from an encoder; takes the encoder as long as some hundred passages do."""
    vectors = base.embed_vocabulary()
    ranks = frequency_ranks(base.vocabulary())
    counted = ranks > 0
    centred = vectors - vectors[counted].mean(axis=0)
    # The axes of the largest variance, largest first.
    _, axes = np.linalg.eigh(np.cov(centred[counted].T))
    turned = centred @ axes[:, ::-1][:, :DIMENSION].astype(np.float32)
    probability = np.where(counted, 1.0 / np.maximum(ranks, 1), 0.0)
    weights = _SMOOTHING / (_SMOOTHING + probability / probability.sum())
    return np.asarray(turned * (weights * counted)[:, None], np.float32)


def frequency_ranks(vocabulary: Sequence[str]) -> NDArray[np.int64]:
    """int64 (vocabulary,): how many tokens are as frequent, from 1; 0 for a token that stands for no text.

    Vocabularies list their words in order of frequency, but single characters by their code: signs are taken for the
    most frequent tokens, letters and digits for frequent, characters of other scripts for rare.
    """
    ranks, words = np.zeros(len(vocabulary), np.int64), 0
    for number, token in enumerate(vocabulary):
        bare = token.removeprefix("##").lstrip("▁")
        if len(token) > 2 and token[0] in "[<" and token[-1] in "]>":
            continue
        if len(bare) <= 1:
            ranks[number] = (_LETTER if bare.isascii() else _FOREIGN) if bare.isalnum() else 1
        else:
            words += 1
            ranks[number] = words
    return ranks
