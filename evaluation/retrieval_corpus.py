"""Real passages multiplied up to any number, for the benchmark of retrieval: neither copies nor noise.

A new vector is a real one moved by the difference of two of its sixteen nearest neighbours, half to the whole of it:
so it stays where passages about the same thing lie, about as far from the next one as real ones are (the result tells
both distances). A new text is the beginning of the passage and the end of one of those neighbours.
"""

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.config import Settings
from core.language import language_of
from core.types import Chunk, Document, Page
from evaluation.datasets import read_contexts, read_questions
from evaluation.retrieval import collection_of
from retrieval.exact_index import exact_search
from retrieval.library import Library
from retrieval.probing import middle_sentence
from retrieval.protocol import Vectors
from retrieval.store import CollectionStore

NEIGHBOURS = 16
CHUNKS_PER_DOCUMENT = 20
_SHARE = (0.5, 1.1)


@dataclass(frozen=True)
class RealPassages:
    """Passages as they are: chunks, float32 (n, dimension) unit rows, and int64 (n, 16) rows of the nearest others."""

    chunks: tuple[Chunk, ...]
    vectors: Vectors
    neighbours: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.chunks)


def read_passages(collections: Sequence[tuple[Library, str]]) -> RealPassages:
    """Every chunk of these collections that has a vector."""
    chunks: list[Chunk] = []
    vectors: list[Vectors] = []
    for library, name in collections:
        with library.reader(name) as store:
            by_number = dict(store.iter_chunks())
            for keys, batch in store.iter_vectors():
                chunks.extend(by_number[int(number)] for number in keys[:, 1])
                vectors.append(batch)
    rows = np.concatenate(vectors)
    return RealPassages(tuple(chunks), rows, nearest(rows))


def real_passages(source: Library, options: argparse.Namespace, settings: Settings) -> RealPassages:
    """The passages of the sets that the options name and, where they do, of one of the user's own collections."""
    qa = settings.eval_data / "qa"
    names = [collection_of(source, read_contexts(qa / f"{name}.contexts.jsonl")) for name in options.sets]
    passages = [(source, name) for name in names]
    if options.collection:
        passages.append((Library(settings, source.embedder), options.collection))
    return read_passages(passages)


def questions_about(real: RealPassages, options: argparse.Namespace, settings: Settings) -> dict[str, list[str]]:
    """Some questions of the sets, and sentences of as many real passages."""
    qa = settings.eval_data / "qa"
    asked = [question.text for name in options.sets for question in read_questions(qa / f"{name}.dev.jsonl")]
    draw = random.Random(0)  # noqa: S311
    some = draw.sample(real.chunks, min(options.queries, len(real)))
    questions = draw.sample(asked, min(options.queries, len(asked)))
    return {"questions": questions, "sentences": [middle_sentence(chunk) for chunk in some]}


def nearest(vectors: Vectors, count: int = NEIGHBOURS, batch: int = 512) -> NDArray[np.int64]:
    """int64 (n, count): the nearest other rows of each row."""
    found = [
        exact_search(vectors, vectors[start : start + batch], count + 1)[0][:, 1:]
        for start in range(0, len(vectors), batch)
    ]
    return np.concatenate(found)


def multiplied_vectors(real: RealPassages, numbers: NDArray[np.int64]) -> Vectors:
    """float32 (len(numbers), dimension), unit rows; a number below `len(real)` is that real one itself."""
    own, one, other, share = _recipe(real, numbers)
    rows = real.vectors[own] + share[:, None] * (real.vectors[one] - real.vectors[other])
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def multiplied_documents(real: RealPassages, start: int, stop: int) -> Iterator[tuple[Document, list[Chunk]]]:
    """Documents of twenty chunks: the texts of the numbers from `start` to `stop`."""
    for first in range(start, stop, CHUNKS_PER_DOCUMENT):
        numbers = np.arange(first, min(stop, first + CHUNKS_PER_DOCUMENT))
        texts = _texts(real, numbers)
        uri = f"/{first // 10_000}/{first}.md"
        title = real.chunks[int(numbers[0]) % len(real)].title
        language = language_of(texts[0])
        chunks, place = [], 0
        for position, text in enumerate(texts):
            chunks.append(Chunk("", "", text, position, place, place + len(text), title=title, language=language))
            place += len(text) + 1
        yield Document(uri, title, (Page("\n".join(texts)),), f"{first}", language=language), chunks


def fill(store: CollectionStore, real: RealPassages, count: int, batch: int = 10_000) -> None:
    """Put passages with their vectors until the collection holds `count`; goes on where an earlier call stopped."""
    while (held := store.counts())["chunks"] < count:
        for document, chunks in multiplied_documents(real, held["chunks"], min(count, held["chunks"] + batch)):
            store.put_document(document, chunks)
    last = 0
    query = (
        "SELECT id, number FROM chunks WHERE number > ? AND NOT EXISTS (SELECT 1 FROM vectors WHERE chunk = number)"
        " ORDER BY number LIMIT ?"
    )
    # A chunk whose text was there before has its vector already. The first row is number 1.
    while rows := store.rows(query, (last, batch)):
        numbers = np.array([row["number"] for row in rows], np.int64)
        store.put_vectors([row["id"] for row in rows], multiplied_vectors(real, numbers - 1))
        last = int(numbers[-1])


def geometry(vectors: Vectors, sample: int = 100) -> dict[str, float]:
    """How near the next and the tenth neighbour of a passage are, as median cosines: real and multiplied, compared."""
    chosen = np.random.default_rng(0).integers(0, len(vectors), sample)
    _, scores = exact_search(vectors, np.asarray(vectors[chosen]), 11)
    return {"nearest": round(float(np.median(scores[:, 1])), 3), "tenth": round(float(np.median(scores[:, 10])), 3)}


def _recipe(real: RealPassages, numbers: NDArray[np.int64]) -> tuple[Any, Any, Any, Vectors]:
    """The passage, two of its neighbours and how far to go, the same for a number at every call."""
    own = numbers % len(real)
    # Three even spreads over 0..1, without a state to carry (Roberts 2018, the R3 sequence).
    draws = (numbers[:, None] * np.array([0.8191725133961645, 0.6710436067037893, 0.5497004779019703])) % 1.0
    first = (draws[:, 0] * NEIGHBOURS).astype(np.int64)
    # Never the same one twice: their difference would be nothing.
    second = (first + 1 + (draws[:, 1] * (NEIGHBOURS - 1)).astype(np.int64)) % NEIGHBOURS
    one, other = real.neighbours[own, first], real.neighbours[own, second]
    share = _SHARE[0] + draws[:, 2] * (_SHARE[1] - _SHARE[0])
    return own, one, other, np.where(numbers < len(real), 0.0, share).astype(np.float32)


def _texts(real: RealPassages, numbers: NDArray[np.int64]) -> list[str]:
    own, one, _, share = _recipe(real, numbers)
    texts = []
    for place, number in enumerate(numbers.tolist()):
        text, end = real.chunks[int(own[place])].text, real.chunks[int(one[place])].text
        # Between 0.2 and 0.8 of the passage stays.
        kept = float(share[place]) - 0.3
        texts.append(text if number < len(real) else f"{_first(text, kept)} {_last(end, 1 - kept)}")
    return texts


def _first(text: str, share: float) -> str:
    return text[: int(len(text) * share)].rsplit(" ", 1)[0]


def _last(text: str, share: float) -> str:
    return text[len(text) - int(len(text) * share) :].split(" ", 1)[-1]
