"""From an order of candidates to the passages that are shown: without near-duplicates, neighbours joined."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.types import Chunk, ScoredChunk
from retrieval.store import CollectionStore

_NO_LETTERS = re.compile(r"\W+", re.UNICODE)
Shape = NDArray[np.uint64]
# Two passages that share this part of their letter groups say the same.
_SAME = 0.9
_GROUP = 5
# Odd and of 64 bits: groups of letters that differ get numbers that differ, but for one pair in 2**64.
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def without_duplicates(found: Sequence[ScoredChunk], top_k: int) -> list[ScoredChunk]:
    """The first `top_k` that do not repeat one before them."""
    kept: list[ScoredChunk] = []
    shapes: list[Shape] = []
    for hit in found:
        shape = _shape(hit.chunk.text)
        if all(_likeness(shape, other) < _SAME for other in shapes):
            kept.append(hit)
            shapes.append(shape)
        if len(kept) == top_k:
            break
    return kept


def join_neighbours(store: CollectionStore, found: Sequence[ScoredChunk]) -> list[ScoredChunk]:
    """Join two passages that follow each other in one document into one, under the better one's name and place."""
    joined: list[ScoredChunk] = []
    for hit in found:
        place = next((place for place, other in enumerate(joined) if _are_neighbours(other.chunk, hit.chunk)), None)
        if place is None:
            joined.append(hit)
        else:
            joined[place] = replace(joined[place], chunk=_joined(store, joined[place].chunk, hit.chunk))
    return joined


def _are_neighbours(one: Chunk, other: Chunk) -> bool:
    # One that was joined already has no room for a third: a passage must still fit a small context.
    is_whole = "joined" not in one.metadata
    return is_whole and one.document_id == other.document_id and abs(one.position - other.position) == 1


def _joined(store: CollectionStore, best: Chunk, other: Chunk) -> Chunk:
    first, second = sorted((best, other), key=lambda chunk: chunk.position)
    start, end = first.start, max(first.end, second.end)
    text = store.document_text(best.document_id)[start:end]
    is_exact = text.startswith(first.text) and text.endswith(second.text)
    metadata = {**best.metadata, "joined": other.id}
    if not is_exact:
        # A chunk that is not a plain piece of the text (a table's rows under its header) stays by itself.
        text, start, end = f"{first.text}\n{second.text}", first.start, max(first.end, second.end)
    return replace(best, text=text, start=start, end=end, page=first.page, metadata=metadata)


def _shape(text: str) -> Shape:
    """The groups of five letters of a text, in any order, each as one number."""
    letters = _NO_LETTERS.sub("", text.lower()).ljust(_GROUP, "_")
    codes = np.frombuffer(letters.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    groups = np.zeros(len(codes) - _GROUP + 1, np.uint64)
    for place in range(_GROUP):
        groups = groups * _FACTOR + codes[place : place + len(groups)]
    found: Shape = np.unique(groups)
    return found


def _likeness(one: Shape, other: Shape) -> float:
    """Jaccard's: the share of the groups of both that they share."""
    smaller, larger = sorted((len(one), len(other)))
    if smaller < _SAME * larger:
        # They cannot share enough, and most pairs end here.
        return 0.0
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)
