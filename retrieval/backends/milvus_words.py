"""Keyword search over blocks of postings in Milvus: BM25 by the formula and constants of the embedded index.

BM25 after Robertson & Zaragoza 2009, "The Probabilistic Relevance Framework" (k1 1.2, b 0.75), with tantivy's rarity.
What is looked at grows with the collection: the blocks of the question's words, over all of it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.backends.contract import Row
from retrieval.backends.milvus_blocks import (
    RANGE,
    Block,
    Numbers,
    Postings,
    Term,
    blocks_of,
    bucket_of,
    join,
    lengths_of,
    merged,
    pack,
    unpack,
)
from retrieval.lexical_index import FIELD_WEIGHTS, LexicalHit, LexicalQuery

# The bucket in which the chunks themselves stand.
_CHUNKS = -1
_K1, _B = 1.2, 0.75
# Buckets asked for at once, and postings kept in memory between two questions.
_AT_ONCE = 16
_MOST_KEPT = 4_000_000


class Table(Protocol):
    """Rows of blocks on a server. A row is (bucket, start, part, parts, postings, places)."""

    def read(self, condition: str, *, places: bool, seen: int | None) -> list[dict[str, object]]:
        """The rows of a condition: all that was written before the time `seen`, or, for None, before now."""
        ...

    def write(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Put rows, in place of those of the same `key`."""
        ...


class BlockWords:
    """Keyword search over the blocks of one collection. Thread-safe for readers; one writer."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._kept: tuple[int, dict[int, dict[int, Block]]] = (0, {})

    def put(self, rows: Sequence[Row], removed: Collection[int]) -> list[int]:
        """Add chunks (again) and take others out; returns by how much the totals grew: chunks, then terms by field."""
        grown = np.zeros(1 + len(FIELD_WEIGHTS), np.int64)
        for start in sorted({_start(row.number) for row in rows} | {_start(number) for number in removed}):
            inside = [row for row in rows if _start(row.number) == start]
            gone = {number for number in removed if _start(number) == start}
            grown += self._change(start, inside, gone | {row.number for row in inside})
        return [int(value) for value in grown]

    def count(self, seen: int | None = None) -> list[int]:
        """The totals, counted over all chunks: how many there are, then terms by field."""
        blocks = self._blocks([_CHUNKS], seen).values()
        return [int(value) for value in sum((_totals(block) for block in blocks), np.zeros(4, np.int64))]

    def documents(self, numbers: Numbers) -> dict[int, int]:
        """The document of each chunk, as it was last written; one that is not there is left out."""
        starts = sorted({_start(int(number)) for number in numbers})
        condition = f"bucket == {_CHUNKS} and start in {starts}"
        found: dict[int, int] = {}
        for _, block in _assembled(self._table.read(condition, places=False, seen=None)):
            chunks = block.get(("body", ""), Postings())
            found.update(zip(chunks.numbers.tolist(), chunks.documents.tolist(), strict=True))
        return found

    def find(self, terms: Collection[Term], last: int, seen: int, *, places: bool = False) -> dict[Term, Postings]:
        """The postings of some terms in the chunks up to number `last`, as written before the time `seen`."""
        buckets = sorted({bucket_of(term) for _, term in terms})
        blocks = self._blocks_by_bucket(buckets, seen, places=places)
        found = {}
        for term in terms:
            parts = [block[term] for _, block in sorted(blocks[bucket_of(term[1])].items()) if term in block]
            whole = join(parts)
            found[term] = whole.only(whole.numbers <= last)
        return found

    def _change(self, start: int, rows: Sequence[Row], replaced: Collection[int]) -> NDArray[np.int64]:
        """Rewrite what changes in one range of numbers."""
        before = self._range(start)
        added: dict[int, dict[Term, Postings]] = {**blocks_of(rows), _CHUNKS: lengths_of(rows)}
        here = np.array(list(replaced), np.int64)
        after = {}
        for bucket in before.keys() | added.keys():
            old = before.get(bucket, {})
            if bucket in added or any(np.isin(found.numbers, here).any() for found in old.values()):
                after[bucket] = merged(old, added.get(bucket, {}), replaced) if old else added[bucket]
        self._table.write([row for bucket, block in after.items() for row in _rows(bucket, start, block)])
        return _totals(after.get(_CHUNKS, {})) - _totals(before.get(_CHUNKS, {}))

    def _range(self, start: int) -> dict[int, Block]:
        rows = self._table.read(f"start == {start}", places=True, seen=None)
        return {bucket: block for (bucket, _), block in _assembled(rows)}

    def _blocks_by_bucket(self, buckets: Sequence[int], seen: int, *, places: bool) -> dict[int, dict[int, Block]]:
        """By bucket, and in it by the start of the range; those met before come from memory."""
        if places:
            return self._read_buckets(buckets, seen, places=True)
        moment, kept = self._kept
        if moment != seen or sum(_size(blocks) for blocks in kept.values()) > _MOST_KEPT:
            kept = {}
        missing = [bucket for bucket in buckets if bucket not in kept]
        # A new dictionary, since other threads may read the old one.
        kept = {**kept, **self._read_buckets(missing, seen, places=False)}
        self._kept = (seen, kept)
        return kept

    def _read_buckets(self, buckets: Sequence[int], seen: int, *, places: bool) -> dict[int, dict[int, Block]]:
        found: dict[int, dict[int, Block]] = {bucket: {} for bucket in buckets}
        for place in range(0, len(buckets), _AT_ONCE):
            rows = self._table.read(f"bucket in {list(buckets[place : place + _AT_ONCE])}", places=places, seen=seen)
            for (bucket, start), block in _assembled(rows):
                found[bucket][start] = block
        return found

    def _blocks(self, buckets: Sequence[int], seen: int | None) -> dict[tuple[int, int], Block]:
        return dict(_assembled(self._table.read(f"bucket in {list(buckets)}", places=False, seen=seen)))


def best(
    found: Mapping[Term, Postings], query: LexicalQuery, totals: Sequence[int], documents: Collection[int] | None
) -> tuple[Numbers, NDArray[np.float64]]:
    """Chunk numbers and BM25 scores of all that hold a term and every phrase, in `documents` where they are given."""
    rows, *lengths = totals
    means = {field: max(1e-9, length / rows) for field, length in zip(FIELD_WEIGHTS, lengths, strict=True)}
    numbers, scores = [np.zeros(0, np.int64)], [np.zeros(0)]
    allowed = None if documents is None else np.fromiter(documents, np.int64, len(documents))
    for field, counts in query.by_field.items():
        for term, count in counts.items():
            postings = found[field, term]
            weight = count * FIELD_WEIGHTS[field] * _rarity(rows, len(postings.numbers))
            chosen = postings if allowed is None else postings.only(np.isin(postings.documents, allowed))
            parts = chosen.counts * (_K1 + 1) / (chosen.counts + _K1 * (1 - _B + _B * chosen.lengths / means[field]))
            numbers.append(chosen.numbers)
            scores.append(weight * parts)
    unique, place = np.unique(np.concatenate(numbers), return_inverse=True)
    summed: NDArray[np.float64] = np.bincount(place, np.concatenate(scores), len(unique)).astype(np.float64)
    for phrase in query.phrases:
        stands = np.isin(unique, list(_holding(found, phrase)))
        unique, summed = unique[stands], summed[stands]
    return unique, summed


def hits(numbers: Numbers, scores: NDArray[np.float64], top_k: int) -> list[LexicalHit]:
    """The best `top_k`, best first; of equal ones the lower number."""
    order = np.lexsort((numbers, -scores))[:top_k]
    return [LexicalHit(int(numbers[row]), float(scores[row])) for row in order]


def terms_of(query: LexicalQuery) -> set[Term]:
    """The terms that a question asks for, those of its phrases too."""
    asked = {(field, term) for field, counts in query.by_field.items() for term in counts}
    return asked | {(field, term) for phrase in query.phrases for term in phrase for field in ("body", "heading")}


def _rarity(rows: int, frequency: int) -> float:
    return float(np.log(1 + (rows - frequency + 0.5) / (frequency + 0.5)))


def _holding(found: Mapping[Term, Postings], phrase: Sequence[str]) -> set[int]:
    """The chunks where the terms follow one another, in the body or in the heading."""
    holding: set[int] = set()
    for field in ("body", "heading"):
        first, *rest = (found[field, term].places_by_chunk() for term in phrase)
        for number, begins in first.items():
            for step, places in enumerate(rest, start=1):
                begins = begins & {place - step for place in places.get(number, ())}
            if begins:
                holding.add(number)
    return holding


def _start(number: int) -> int:
    return number // RANGE * RANGE


def _totals(block: Block) -> NDArray[np.int64]:
    fields = [block[field, ""] for field in FIELD_WEIGHTS if (field, "") in block]
    if not fields:
        return np.zeros(1 + len(FIELD_WEIGHTS), np.int64)
    return np.array([len(fields[0].numbers), *(found.lengths.sum() for found in fields)], np.int64)


def _size(blocks: Mapping[int, Block]) -> int:
    return sum(len(found.numbers) for block in blocks.values() for found in block.values())


def _rows(bucket: int, start: int, block: Block) -> Iterator[dict[str, object]]:
    postings, places = pack(block, start)
    parts = max(len(postings), len(places))
    for part in range(parts):
        yield {
            "key": f"{bucket}.{start}.{part}",
            "bucket": bucket,
            "start": start,
            "part": part,
            "parts": parts,
            "postings": "".join(postings[part : part + 1]),
            "places": "".join(places[part : part + 1]),
        }


def _assembled(rows: Sequence[Mapping[str, object]]) -> Iterator[tuple[tuple[int, int], Block]]:
    """The blocks, each from its pieces; a piece beyond the number that the first one tells is left from before."""
    pieces: dict[tuple[int, int], dict[int, Mapping[str, object]]] = {}
    for row in rows:
        pieces.setdefault((int(str(row["bucket"])), int(str(row["start"]))), {})[int(str(row["part"]))] = row
    for (bucket, start), found in pieces.items():
        whole = [found[part] for part in range(int(str(found[0]["parts"])))]
        places = [str(row["places"]) for row in whole if "places" in row]
        yield (bucket, start), unpack([str(row["postings"]) for row in whole], places, start)
