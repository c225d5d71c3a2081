"""From an order of candidates to the passages that are shown: without near-duplicates, neighbours joined."""

import re
from collections.abc import Sequence
from dataclasses import replace

from core.types import Chunk, ScoredChunk
from retrieval.store import CollectionStore

_WORD = re.compile(r"\w", re.UNICODE)
# Two passages that share this part of their letter groups say the same.
_SAME = 0.9
_GROUP = 5


def without_duplicates(found: Sequence[ScoredChunk], top_k: int) -> list[ScoredChunk]:
    """The first `top_k` that do not repeat one before them."""
    kept: list[ScoredChunk] = []
    shapes: list[frozenset[str]] = []
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


def _shape(text: str) -> frozenset[str]:
    letters = "".join(_WORD.findall(text.lower()))
    return frozenset(letters[place : place + _GROUP] for place in range(max(1, len(letters) - _GROUP + 1)))


def _likeness(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / max(1, len(one | other))
