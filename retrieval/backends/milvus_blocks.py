"""Postings as Milvus can keep them: rows of text, each holding some terms of some thousand chunks.

Milvus 2.3 knows no sparse vectors, so BM25 is counted here, over postings that the server finds by the number of their
bucket. A block is what one bucket of terms has in one range of chunk numbers: it is read, changed and written whole.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from retrieval.backends.contract import Row
from retrieval.lexical_index import FIELD_WEIGHTS, Field, rounded_length

Numbers = NDArray[np.int64]
Term = tuple[Field, str]
# Chunk numbers to a block, and buckets over which the terms are spread.
RANGE, BUCKETS = 4_096, 8_192
# Characters to a row; a VARCHAR of Milvus holds 65,535 bytes.
_PIECE = 60_000
_COLUMNS = 4
_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Postings:
    """Where one term stands, by rising chunk number: its document, how often, and how long the field is.

    `places` are the positions of all, one chunk after the other; empty where they were not asked for.
    """

    numbers: Numbers = field(default_factory=lambda: _NONE)
    documents: Numbers = field(default_factory=lambda: _NONE)
    counts: Numbers = field(default_factory=lambda: _NONE)
    lengths: Numbers = field(default_factory=lambda: _NONE)
    places: Numbers = field(default_factory=lambda: _NONE)

    def only(self, kept: NDArray[np.bool_]) -> "Postings":
        """The chunks of a mask."""
        places = self.places[np.repeat(kept, self.counts)] if len(self.places) else self.places
        return Postings(self.numbers[kept], self.documents[kept], self.counts[kept], self.lengths[kept], places)

    def places_by_chunk(self) -> dict[int, set[int]]:
        """The positions in each chunk."""
        ends = np.cumsum(self.counts)
        return {
            number: set(self.places[end - count : end].tolist())
            for number, count, end in zip(self.numbers.tolist(), self.counts, ends, strict=True)
        }


Block = Mapping[Term, Postings]


def bucket_of(term: str) -> int:
    """The bucket of a term, the same for every field, in every process and for ever."""
    return zlib.crc32(term.encode("utf-8", "surrogatepass")) % BUCKETS


def join(parts: Sequence[Postings]) -> Postings:
    """The postings of several ranges, in the order given."""
    columns = ("numbers", "documents", "counts", "lengths", "places")
    return Postings(*(np.concatenate([getattr(part, name) for part in parts] or [_NONE]) for name in columns))


def blocks_of(rows: Sequence[Row]) -> dict[int, dict[Term, Postings]]:
    """What some chunks of rising number add to each bucket."""
    found: dict[int, dict[Term, list[tuple[int, int, list[int], int]]]] = {}
    for row in rows:
        for name, words in row.terms.items():
            for term, places in _places(words).items():
                entry = (row.number, row.document, places, rounded_length(len(words)))
                found.setdefault(bucket_of(term), {}).setdefault((name, term), []).append(entry)
    return {
        bucket: {term: _postings(entries, term[0]) for term, entries in terms.items()}
        for bucket, terms in found.items()
    }


def merged(before: Block, added: Block, replaced: Iterable[int]) -> dict[Term, Postings]:
    """A block without the chunks `replaced`, and with those that are added."""
    gone = np.array(list(replaced), np.int64)
    result = {}
    for term in {**before, **added}:
        kept = before[term].only(~np.isin(before[term].numbers, gone)) if term in before else Postings()
        whole = join([kept, added[term]]) if term in added else kept
        if len(whole.numbers):
            result[term] = whole
    return result


def pack(block: Block, start: int) -> tuple[list[str], list[str]]:
    """A block as pieces of text: the postings, and apart from them the places. `start` is its first chunk number."""
    head = json.dumps([[*term, len(found.numbers), len(found.places)] for term, found in block.items()])
    whole = join(list(block.values()))
    columns = np.concatenate([whole.numbers - start, whole.documents, whole.counts, whole.lengths])
    return _pieces(head.encode() + b"\n" + _bytes(columns)), _pieces(_bytes(whole.places))


def unpack(postings: Sequence[str], places: Sequence[str], start: int) -> dict[Term, Postings]:
    """The inverse of `pack`; without `places` the positions are left out. Raises ValueError where it is damaged."""
    try:
        head, _, body = _whole(postings).partition(b"\n")
        listed: list[tuple[Field, str, int, int]] = [tuple(entry) for entry in json.loads(head)]
        columns = np.frombuffer(body, "<u4").astype(np.int64).reshape(_COLUMNS, -1)
        spots = np.frombuffer(_whole(places), "<u4").astype(np.int64) if places else None
    except (zlib.error, ValueError) as error:
        raise ValueError(f"a block of postings is damaged: {error}") from error
    result, row, spot = {}, 0, 0
    for name, term, count, spread in listed:
        numbers, documents, counts, lengths = columns[:, row : row + count]
        found = _NONE if spots is None else spots[spot : spot + spread]
        result[name, term] = Postings(numbers + start, documents, counts, lengths, found)
        row, spot = row + count, spot + spread
    return result


def _places(words: Sequence[str]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for position, term in enumerate(words):
        places.setdefault(term, []).append(position)
    return places


def _postings(entries: Sequence[tuple[int, int, list[int], int]], name: Field) -> Postings:
    numbers, documents, places, lengths = zip(*entries, strict=True)
    # Phrases are looked for among words only.
    spots = [] if name == "letters" else [place for part in places for place in part]
    counts = [len(part) for part in places]
    return Postings(*(np.array(column, np.int64) for column in (numbers, documents, counts, lengths, spots)))


def _bytes(values: Numbers) -> bytes:
    return values.astype("<u4").tobytes()


def _pieces(data: bytes) -> list[str]:
    text = base64.b64encode(zlib.compress(data, 1)).decode()
    return [text[place : place + _PIECE] for place in range(0, len(text), _PIECE)]


def _whole(pieces: Sequence[str]) -> bytes:
    return zlib.decompress(base64.b64decode("".join(pieces)))


def lengths_of(rows: Sequence[Row]) -> dict[Term, Postings]:
    """The chunks themselves as a block, one entry a field, with the length of the field: what the totals count."""
    return {
        (name, ""): Postings(
            np.array([row.number for row in rows], np.int64),
            np.array([row.document for row in rows], np.int64),
            np.zeros(len(rows), np.int64),
            np.array([len(row.terms.get(name, ())) for row in rows], np.int64),
        )
        for name in FIELD_WEIGHTS
    }
