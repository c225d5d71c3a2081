"""The whole search on small collections: at once, both languages, filters, deletions, generations and their damage."""

import json
from collections.abc import Sequence

import numpy as np
import pytest

from core.types import Chunk, Scope, ScoredChunk
from retrieval.arrangement import join_neighbours, without_duplicates
from retrieval.calibration import META_KEY
from retrieval.exact_index import exact_search
from retrieval.fusion import fuse
from retrieval.generations import open_generation
from retrieval.indexing import refresh_indexes, refresh_words
from retrieval.legs import VECTORS, WORDS, DenseHit
from retrieval.lexical_index import LexicalHit
from retrieval.library import Library
from retrieval.retriever import HybridSearcher
from tests.retrieval.conftest import document, put

SCOPE = Scope("notes")


def uris(library: Library, query: str, scope: Scope = SCOPE, top_k: int = 5) -> list[str]:
    return [hit.chunk.uri for hit in library.searcher().retrieve(query, scope, top_k).chunks]


@pytest.fixture
def filled(library: Library) -> Library:
    with library.writer("notes") as store:
        put(store, library.embedder, "/a/fox.md", "The quick brown fox jumps over the lazy dog.", modified_at=100.0)
        put(
            store,
            library.embedder,
            "/a/deep/panther.md",
            "黑豹队的防守只丢了308分，在联赛中排名第六。",
            modified_at=200.0,
        )
        put(store, library.embedder, "/b/cmake.txt", "Set cmake_minimum_required in the CMake file.")
    return library


def test_a_chunk_without_a_vector_is_found_by_keyword_at_once(filled: Library):
    assert uris(filled, "zebra stripes")[0] != "/z.md"
    with filled.writer("notes") as store:
        store.put_document(*document("/z.md", "Zebras have stripes."))
        found = filled.searcher().retrieve("zebra stripes", SCOPE, 1).chunks[0]
        assert (found.chunk.uri, found.ranks) == ("/z.md", {"lexical": 1})


def test_what_is_removed_or_replaced_never_answers_again(filled: Library):
    assert uris(filled, "quick fox")[0] == "/a/fox.md"
    with filled.writer("notes") as store:
        refresh_indexes(store, force=True)
        (fox,) = [record for record in store.documents() if record.uri == "/a/fox.md"]
        put(store, filled.embedder, "/a/deep/panther.md", "Nothing about sports any more.")
        store.remove_document(fox.id)
        assert "/a/fox.md" not in uris(filled, "quick brown fox")
        texts = [hit.chunk.text for hit in filled.searcher().retrieve("黑豹队的防守", SCOPE, 5).chunks]
        assert not any("黑豹" in text for text in texts)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope("notes", folders=("/a",)), {"/a/fox.md", "/a/deep/panther.md"}),
        (Scope("notes", folders=("/a/deep",)), {"/a/deep/panther.md"}),
        (Scope("notes", modified_after=150.0), {"/a/deep/panther.md"}),
        (Scope("notes", modified_after=50.0, modified_before=150.0), {"/a/fox.md"}),
        (Scope("notes", tags=("none",)), set()),
        (Scope("notes", document_ids=("x",)), set()),
    ],
)
def test_filters_hold_for_both_legs(filled: Library, scope: Scope, expected: set[str]):
    assert set(uris(filled, "fox 黑豹 cmake", scope)) == expected


def test_a_filter_keeps_top_k_exact_behind_generations(library: Library):
    with library.writer("notes") as store:
        for number in range(40):
            put(store, library.embedder, f"/{number % 4}/{number}.md", f"common words and number {number} of many")
        refresh_indexes(store, force=True)
        for number in range(40, 48):
            put(store, library.embedder, f"/{number % 4}/{number}.md", f"common words and number {number} of many")
        store.remove_document(store.documents()[0].id)
    with library.reader("notes") as store:
        (pairs,) = [np.concatenate(part) for part in [[keys for keys, _ in store.iter_vectors()]]]
        vectors = np.concatenate([batch for _, batch in store.iter_vectors()])
        chunks = store.chunks_by_number(pairs[:, 1].tolist())
    allowed = np.array([chunks[int(number)].uri.startswith("/1/") for number in pairs[:, 1]])
    query = library.embedder.embed_query("common number 13")
    rows, _ = exact_search(vectors, query[None], 10, allowed)
    expected = [float(vectors[row] @ query) for row in rows[0]]
    scope = Scope("notes", folders=("/1",))
    found = HybridSearcher(library, "dense", arranged=False).retrieve("common number 13", scope, 10)
    assert [hit.legs["dense"] for hit in found.chunks] == pytest.approx(expected, abs=1e-5)
    assert len(found.chunks) == 10
    assert all(hit.chunk.uri.startswith("/1/") for hit in found.chunks)


@pytest.mark.parametrize("harm", ["flip", "cut", "missing", "manifest"])
def test_a_damaged_generation_is_set_aside_and_made_again(filled: Library, harm: str):
    with filled.writer("notes") as store:
        refresh_words(store, force=True)
        opened = open_generation(store, WORDS)
        assert opened is not None
        victim = (
            sorted(path for path in opened[0].glob("*.idx"))[0] if harm != "manifest" else opened[0] / "manifest.json"
        )
        data = victim.read_bytes()
        changed = {"flip": bytes([data[0] ^ 1]) + data[1:], "cut": data[:-1], "manifest": b"{", "missing": b""}[harm]
        if harm == "missing":
            victim.unlink()
        else:
            victim.unlink()
            victim.write_bytes(changed)
        assert open_generation(store, WORDS) is None
        assert uris(filled, "黑豹队防守")[0] == "/a/deep/panther.md"
        refresh_words(store, force=True)
        again = open_generation(store, WORDS)
        assert again is not None
        assert again[1]["rows"] == 3


def test_an_unfinished_generation_is_never_seen(filled: Library):
    with filled.writer("notes") as store:
        refresh_words(store, force=True)
        name = store.generation(WORDS)
        (store.folder / "building-words-x").mkdir()
        (store.folder / "words-orphan").mkdir()
        assert store.generation(WORDS) == name
        refresh_words(store, force=True)
        left = sorted(path.name.split("-")[0] for path in store.folder.iterdir() if path.is_dir())
        assert left == ["words", "words"]
        assert store.generation(VECTORS) is None


def test_a_grown_word_index_links_what_did_not_change(filled: Library):
    with filled.writer("notes") as store:
        refresh_words(store, force=True)
        put(store, filled.embedder, "/n.md", "A new note on zebras.")
        refresh_words(store, force=True)
        opened = open_generation(store, WORDS)
        assert opened is not None
        assert (opened[1]["rows"], opened[1]["number"]) == (4, store.revision()[0])
    assert uris(filled, "zebras")[0] == "/n.md"
    assert uris(filled, "cmake_minimum_required")[0] == "/b/cmake.txt"


def test_a_deleted_and_remade_collection_is_new(filled: Library):
    assert uris(filled, "fox")[0] == "/a/fox.md"
    filled.delete("notes")
    assert filled.names() == []
    with filled.writer("notes") as store:
        put(store, filled.embedder, "/other.md", "Other words about a fox.")
    assert uris(filled, "fox") == ["/other.md"]


def test_the_weight_of_the_dense_leg_follows_trust():
    dense = [DenseHit(1, 0.9), DenseHit(2, 0.5), DenseHit(3, 0.1)]
    lexical = [LexicalHit(3, 8.0), LexicalHit(2, 4.0)]
    trusted, distrusted = (fuse(dense, lexical, trust) for trust in (1.0, 0.0))
    assert [hit.number for hit in trusted] == [1, 2, 3]
    assert [hit.number for hit in distrusted] == [3, 2, 1]
    assert trusted[1].score == pytest.approx(0.55 * 0.5 + 0.45 * 0.5)
    assert trusted[1].ranks == {"dense": 2, "lexical": 2}
    assert [hit.number for hit in fuse(dense, [], 0.0)] == [1, 2, 3]
    assert [hit.number for hit in fuse([], lexical, 1.0)] == [3, 2]


def test_scores_that_differ_in_the_last_digits_are_equal():
    lexical = [LexicalHit(9, 2.0), LexicalHit(4, 2.0 - 1e-9), LexicalHit(7, 1.9)]
    assert [hit.number for hit in fuse([], lexical, 1.0)] == [4, 9, 7]


def test_evidence_tells_a_foreign_question_from_one_at_home(filled: Library):
    def level(query: str) -> str:
        return filled.searcher().retrieve(query, SCOPE, 3).evidence.level

    assert level("what does the quick brown fox jump over") == "strong"
    assert level("黑豹队的防守丢了多少分") == "strong"
    assert level("submarine volcano eruption statistics") == "none"
    assert level("") == "none"


def test_arrangement_drops_repetitions_and_joins_neighbours(library: Library):
    with library.writer("notes") as store:
        texts = ("First half of the tale", "second half of the tale", "a third part")
        put(store, library.embedder, "/tale.md", *texts)
        put(store, library.embedder, "/copy.md", "second half of the tale")
        numbers = [number for number, _ in store.iter_chunks()]
        chunks: list[Chunk] = list(store.chunks_by_number(numbers).values())
        scored = [ScoredChunk(chunks[place], 1.0 - place / 10) for place in (1, 3, 0, 2)]
        kept = without_duplicates(scored, 10)
        assert [hit.chunk.uri for hit in kept] == ["/tale.md", "/tale.md", "/tale.md"]
        joined = join_neighbours(store, kept)
        assert [hit.chunk.text for hit in joined] == [" ".join(texts[:2]), texts[2]]
        whole = store.document_text(joined[0].chunk.document_id)
        assert whole[joined[0].chunk.start : joined[0].chunk.end] == joined[0].chunk.text


class _LastWordFirst:
    weight = 1.0

    def scores(self, query: str, passages: Sequence[str]) -> list[float]:
        return [float("CMake" in passage) for passage in passages]


def test_a_reranker_has_the_last_word(filled: Library):
    searcher = HybridSearcher(filled, reranker=_LastWordFirst())
    found = searcher.retrieve("quick fox over the lazy dog", SCOPE, 3).chunks
    assert found[0].chunk.uri == "/b/cmake.txt"
    assert found[1].chunk.uri == "/a/fox.md"


def test_vectors_after_a_generation_are_compared_one_by_one(filled: Library):
    with filled.writer("notes") as store:
        refresh_indexes(store, force=True)
        opened = open_generation(store, VECTORS)
        assert opened is not None
        assert (opened[1]["kind"], opened[1]["rows"], opened[1]["recall_at_10"]) == ("exact", 3, 1.0)
        put(store, filled.embedder, "/n.md", "Whales sing in the deep sea.")
        assert uris(filled, "whales sing", top_k=1) == ["/n.md"]
        refresh_indexes(store, force=True)
        grown = open_generation(store, VECTORS)
        assert grown is not None
        assert grown[1]["rows"] == 4
        (grown[0] / "vectors.npy").write_bytes(b"damaged")
    assert uris(filled, "whales sing", top_k=1) == ["/n.md"]


def test_calibration_is_kept_and_learns_whom_to_trust(filled: Library):
    with filled.reader("notes") as store:
        kept = json.loads(store.meta(META_KEY) or "{}")
    assert kept["vectors"] == 3
    assert set(kept["backgrounds"]) == {"en", "zh"}


def test_legs_apart_and_their_shares_tell_why(filled: Library):
    searcher = filled.searcher()
    legs = searcher.search_legs("quick brown fox", SCOPE, 3)
    assert [hit.chunk.uri for hit in legs["lexical"]] == ["/a/fox.md"]
    assert [hit.ranks for hit in legs["dense"]] == [{"dense": 1}, {"dense": 2}, {"dense": 3}]
    best = searcher.retrieve("quick brown fox", SCOPE, 3).chunks[0]
    assert best.legs["lexical"] == pytest.approx(legs["lexical"][0].score)
    assert sum(best.shares.values()) == pytest.approx(best.score)


def test_a_filter_follows_new_tags_and_new_documents(filled: Library):
    tagged = Scope("notes", tags=("animal",))
    assert uris(filled, "fox", tagged) == []
    with filled.writer("notes") as store:
        (fox,) = [record for record in store.documents() if record.uri == "/a/fox.md"]
        store.set_tags(fox.id, ["animal"])
        assert uris(filled, "fox", tagged) == ["/a/fox.md"]
        store.put_document(*document("/a/vixen.md", "A fox of another name."), tags=["animal"])
        assert sorted(uris(filled, "fox", tagged)) == ["/a/fox.md", "/a/vixen.md"]
        store.remove_document(fox.id)
        assert uris(filled, "fox", tagged) == ["/a/vixen.md"]


@pytest.mark.parametrize(
    ("setting", "expected"), [("auto", (False, True)), ("full", (False, False)), ("compact", (True, True))]
)
def test_the_setting_decides_what_is_kept_in_memory(library: Library, setting: str, expected: tuple[bool, bool]):
    wanted = Library(library.settings.model_copy(update={"index_memory": setting}), library.embedder)
    assert (wanted.is_compact(100_000), wanted.is_compact(1_000_000)) == expected


def test_near_duplicates_are_told_by_their_letters(library: Library):
    base = "The committee approved the budget for the coming year after a long debate about the roads of the county."
    texts = [
        base,
        base.replace("county", "County!"),
        base.replace("budget", "statute"),
        "黑豹队的防守只丢了308分",
        base[:60],
    ]
    found = [ScoredChunk(Chunk(str(place), str(place), text, 0, 0, 1), 1.0) for place, text in enumerate(texts)]
    assert [hit.chunk.id for hit in without_duplicates(found, 10)] == ["0", "2", "3", "4"]
    assert [hit.chunk.id for hit in without_duplicates(found, 2)] == ["0", "2"]
