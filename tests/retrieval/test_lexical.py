"""Keywords in both languages; tantivy and the plain Python tail are each other's oracle."""

import math
import random
from pathlib import Path

import pytest

from core.types import Chunk
from retrieval.analysis import letters, quoted_phrases, terms
from retrieval.lexical_index import LexicalIndex, parse_query
from retrieval.lexical_tail import LexicalTail

TEXTS = {
    1: "The quick brown fox jumps over the lazy dog near the river bank.",
    2: "Foxes are running; a dog barks at 3 cats.",
    3: "黑豹队的防守只丢了308分，在联赛中排名第六。",
    4: "野马队在分区轮击败了匹兹堡钢人队。",
    5: "Set cmake_minimum_required in the CMake file, version v1.2.3, written in C++.",
}


def chunk(number: int, title: str = "") -> Chunk:
    return Chunk(str(number), "d", TEXTS[number], 0, 0, len(TEXTS[number]), title=title)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The dogs were running", ["dog", "run"]),
        ("黑豹队的防守", ["黑豹", "豹队", "队的", "的防", "防守"]),
        ("NFL联赛2024年", ["nfl", "联赛", "2024", "年"]),
        ("cmake_minimum_required", ["cmake", "minimum", "requir", "cmake_minimum_required"]),
        ("ISO-9001 and C++", ["iso", "9001", "iso-9001", "c", "c++"]),
        ("the dog's bone", ["dog", "bone"]),
        ("ＡＢＣ１２", ["abc12"]),
        ("", []),
    ],
)
def test_terms(text: str, expected: list[str]):
    assert terms(text) == expected


def test_letters_and_phrases():
    assert letters("ab防守 c") == ["防", "守"]
    assert quoted_phrases('find "quick brown" and 「排名 第六」') == ["quick brown", "排名 第六"]


@pytest.fixture
def both(tmp_path: Path) -> tuple[LexicalIndex, LexicalTail]:
    index, tail = LexicalIndex(tmp_path), LexicalTail()
    index.update((number, number % 2, chunk(number, "Animals" if number < 3 else "")) for number in TEXTS)
    for number in TEXTS:
        tail.add(number, number % 2, chunk(number, "Animals" if number < 3 else ""))
    return index, tail


@pytest.mark.parametrize(
    "question",
    ["which fox jumps over the dog", "animals at the river", "黑豹队防守丢了多少分？", "c++ v1.2.3", "钢人 dog"],
)
def test_tantivy_and_the_tail_give_the_same_scores(both: tuple[LexicalIndex, LexicalTail], question: str):
    first, second = (leg.search(parse_query(question), 10) for leg in both)
    assert first
    assert [hit.number for hit in first] == [hit.number for hit in second]
    assert [hit.score for hit in first] == pytest.approx([hit.score for hit in second], rel=1e-5)


def test_the_score_is_the_published_formula(both: tuple[LexicalIndex, LexicalTail]):
    (hit,) = both[0].search(parse_query("barks"), 10)
    lengths = {number: len(terms(text)) for number, text in TEXTS.items()}
    idf = math.log(1 + (5 - 1 + 0.5) / (1 + 0.5))
    mean = sum(lengths.values()) / 5
    assert hit.number == 2
    assert hit.score == pytest.approx(idf * 2.2 / (1 + 1.2 * (0.25 + 0.75 * lengths[2] / mean)), rel=1e-5)


def test_phrases_and_documents_narrow_both(both: tuple[LexicalIndex, LexicalTail]):
    for leg in both:
        assert [hit.number for hit in leg.search(parse_query('"quick brown" dog'), 10)] == [1]
        assert leg.search(parse_query('"brown quick"'), 10) == []
        assert [hit.number for hit in leg.search(parse_query("dog"), 10, {0})] == [2]
        assert leg.search(parse_query("of the"), 10) == []


def test_added_and_removed_in_one_commit(tmp_path: Path):
    index = LexicalIndex(tmp_path)
    index.update([(1, 1, chunk(1)), (2, 1, chunk(2))])
    index.update([(3, 2, chunk(3))], removed=[1])
    assert [hit.number for hit in index.search(parse_query("dog 防守"), 10)] == [3, 2]
    assert [hit.number for hit in LexicalIndex(tmp_path).search(parse_query("dog 防守"), 10)] == [3, 2]


def test_the_tail_counts_long_passages_as_the_index_does():
    draw = random.Random(1)
    words = ["fox", "moon", "tide", "stone", "黑豹", "防守", "red", "brown", "cmake", "library"]
    texts = {number: " ".join(draw.choices(words, k=draw.randint(3, 900))) for number in range(1, 120)}
    chunks = {number: Chunk("", "", text, 0, 0, len(text), title="fox") for number, text in texts.items()}
    index, tail = LexicalIndex(), LexicalTail()
    index.update([(number, 1, chunk) for number, chunk in chunks.items()])
    for number, chunk in chunks.items():
        tail.add(number, 1, chunk)
    query = parse_query("fox 防守 moon")
    scores = {hit.number: hit.score for hit in index.search(query, 200)}
    assert {hit.number: hit.score for hit in tail.search(query, 200)} == pytest.approx(scores, rel=1e-4)


def test_a_phrase_lets_through_and_adds_nothing_to_the_score(both: tuple[LexicalIndex, LexicalTail]):
    for leg in both:
        (phrase,) = leg.search(parse_query('"quick brown" dog'), 10)
        words = {hit.number: hit.score for hit in leg.search(parse_query("quick brown dog"), 10)}
        assert phrase.score == pytest.approx(words[phrase.number], rel=1e-5)


def test_a_generation_and_its_tail_count_rarity_over_both():
    draw = random.Random(3)
    words = ["fox", "moon", "tide", "stone", "red", "brown", "cmake", "library", "river"]
    # Of one length, so that the generation's mean is that of all.
    texts = {number: " ".join(draw.choices(words, k=12)) for number in range(1, 61)}
    chunks = {number: Chunk("", "", text, 0, 0, len(text)) for number, text in texts.items()}
    whole, index = LexicalTail(), LexicalIndex()
    added = index.update([(number, 1, chunk) for number, chunk in chunks.items() if number <= 40])
    tail = LexicalTail(40, added, index.document_frequency, seen=40)
    for number, chunk in chunks.items():
        whole.add(number, 1, chunk)
        if number > 40:
            tail.add(number, 1, chunk)
    query = parse_query("a red fox at the river")
    expected = {hit.number: hit.score for hit in whole.search(query, 100)}
    found = index.search(query, 100, lift=tail.lift) + tail.search(query, 100)
    assert {hit.number: hit.score for hit in found} == pytest.approx(expected, rel=1e-5)
    apart = {hit.number: hit.score for hit in index.search(query, 100)}
    assert apart
    assert apart != pytest.approx({number: expected[number] for number in apart}, rel=1e-3)
