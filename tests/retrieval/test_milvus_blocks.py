"""Blocks of postings, over a table in memory, against BM25 counted by the tail in plain Python."""

import json
import random
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from core.types import Chunk
from retrieval.backends.contract import Row
from retrieval.backends.milvus_blocks import RANGE, Postings, blocks_of, bucket_of, pack, unpack
from retrieval.backends.milvus_words import BlockWords, best, hits, terms_of
from retrieval.lexical_index import FIELD_WEIGHTS, field_terms, parse_query
from retrieval.lexical_tail import LexicalTail

WORDS = ["fox", "moon", "tide", "stone", "黑豹", "防守", "反击", "联赛", "red", "brown", "cmake", "v1.2.3", "library"]
QUESTIONS = ("fox moon", "黑豹防守", "red brown fox", '"red brown" moon', "“防守反击”联赛", "nothing of this")


class MemoryTable:
    """Rows as a server keeps them, by their key; the conditions are those that `BlockWords` asks for."""

    def __init__(self) -> None:
        self.rows: dict[object, dict[str, object]] = {}

    def read(self, condition: str, *, places: bool, seen: int | None) -> list[dict[str, object]]:
        found = [row for row in self.rows.values() if all(_holds(row, part) for part in condition.split(" and "))]
        return [{name: value for name, value in row.items() if places or name != "places"} for row in found]

    def write(self, rows: Sequence[Mapping[str, object]]) -> None:
        self.rows.update({row["key"]: dict(row) for row in rows})


def _holds(row: Mapping[str, object], clause: str) -> bool:
    name, operator, value = clause.split(" ", 2)
    wanted = json.loads(value)
    return row[name] == wanted if operator == "==" else row[name] in wanted


def chunks_of(count: int, seed: int) -> dict[int, tuple[int, Chunk]]:
    """Number, document and chunk: the numbers have gaps and lie in several ranges."""
    draw = random.Random(seed)
    numbers = sorted(draw.sample(range(1, 3 * RANGE), count))
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(3, 30))) for _ in numbers]
    return {
        number: (number // 50, Chunk("", "", text, 0, 0, len(text), title=draw.choice(WORDS)))
        for number, text in zip(numbers, texts, strict=True)
    }


def rows_of(chunks: Mapping[int, tuple[int, Chunk]]) -> list[Row]:
    return [Row(number, document, field_terms(chunk)) for number, (document, chunk) in chunks.items()]


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_bm25_also_after_removals_and_repetitions(seed: int):
    chunks, table = chunks_of(200, seed), MemoryTable()
    words, rows = BlockWords(table), rows_of(chunks)
    totals = np.array(words.put(rows[:120], ()))
    totals += words.put(rows[80:], ())
    gone = list(chunks)[::7]
    totals += words.put((), gone)
    left = {number: found for number, found in chunks.items() if number not in gone}
    tail = LexicalTail()
    for number, (document, chunk) in left.items():
        tail.add(number, document, chunk)
    assert totals.tolist() == words.count()
    for question in QUESTIONS:
        query = parse_query(question)
        for documents in (None, {document for document, _ in left.values() if document % 2}):
            found = words.find(terms_of(query), max(chunks), 1, places=True)
            scored = hits(*best(found, query, words.count(), documents), 500)
            wanted = tail.search(query, 500, documents)
            assert {h.number: h.score for h in scored} == pytest.approx({h.number: h.score for h in wanted}, rel=1e-9)
            assert [h.number for h in scored] == [h.number for h in wanted]


def test_what_lies_beyond_the_watermark_is_not_seen():
    chunks = chunks_of(50, 9)
    words = BlockWords(MemoryTable())
    words.put(rows_of(chunks), ())
    middle = sorted(chunks)[20]
    found = words.find({("body", "fox")}, middle, 1)["body", "fox"]
    assert len(found.numbers)
    assert found.numbers.max() <= middle


def test_a_block_too_long_for_one_row_comes_in_pieces():
    draw = np.random.default_rng(4)
    numbers = np.arange(1, RANGE)
    noise = [draw.integers(0, 2**32, RANGE - 1) for _ in range(4)]
    counts = draw.integers(1, 9, RANGE - 1)
    spots = draw.integers(0, 2**32, int(counts.sum()))
    block = {
        ("body", "fox"): Postings(numbers, noise[0], counts, noise[1], spots),
        ("heading", "fox"): Postings(numbers, noise[2], counts, noise[3], spots[::-1]),
    }
    postings, places = pack(block, 0)
    assert len(places) > len(postings) > 1
    assert all(len(piece) <= 65_535 for piece in postings + places)
    again = unpack(postings, places, 0)
    for term, given in block.items():
        for name in ("numbers", "documents", "counts", "lengths", "places"):
            assert np.array_equal(getattr(again[term], name), getattr(given, name))


def test_a_damaged_block_is_told():
    postings, _ = pack(blocks_of([Row(1, 1, {field: ["fox"] for field in FIELD_WEIGHTS})])[bucket_of("fox")], 0)
    with pytest.raises(ValueError, match="damaged"):
        unpack([postings[0][:-8]], [], 0)
