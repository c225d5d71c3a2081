"""Sentences of a collection, asked of it: questions without labels, as far from the passages as a person's are."""

import random

from core.language import sentence_spans
from core.types import Chunk
from retrieval.store import CollectionStore


def own_sentences(store: CollectionStore, count: int, seed: int = 0) -> list[tuple[int, str]]:
    """A sentence from the middle of each of `count` chunks that have a vector, with the chunk's number."""
    numbers = [int(row[0]) for row in store.rows("SELECT chunk FROM vectors")]
    chosen = random.Random(seed).sample(numbers, min(count, len(numbers)))  # noqa: S311
    return [(number, middle_sentence(chunk)) for number, chunk in store.chunks_by_number(chosen).items()]


def middle_sentence(chunk: Chunk) -> str:
    """The sentence in the middle of a passage."""
    spans = sentence_spans(chunk.text) or [(0, len(chunk.text))]
    start, end = spans[len(spans) // 2]
    return chunk.text[start:end]
