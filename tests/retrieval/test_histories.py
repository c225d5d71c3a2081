"""Whatever is put, replaced, tagged, removed and indexed in between: a search sees just what is there now."""

import random

import numpy as np
import pytest

from core.types import Scope
from retrieval.indexing import refresh_indexes, refresh_words
from retrieval.lexical_index import parse_query
from retrieval.lexical_tail import LexicalTail
from retrieval.library import Library
from retrieval.retriever import HybridSearcher
from retrieval.store import CollectionStore
from tests.retrieval.conftest import document, put

NOUNS = ("lamp", "river", "engine", "garden", "violin", "harbour", "winter", "copper", "letter", "mountain")
TAGS = ("red", "green")


def sentence(draw: random.Random) -> str:
    return (
        f"The {draw.choice(NOUNS)} stands by the {draw.choice(NOUNS)} and the {draw.choice(NOUNS)} {draw.random():.3f}."
    )


def change(store: CollectionStore, library: Library, draw: random.Random) -> None:
    """One thing that a person or a program may do to a collection."""
    uri = f"/{draw.choice('ab')}/{draw.randrange(12)}.md"
    texts = [sentence(draw) for _ in range(draw.randint(1, 3))]
    kind = draw.choice(("put", "put", "words only", "remove", "tag", "index", "words"))
    records = store.documents()
    if kind == "put":
        put(store, library.embedder, uri, *texts)
    elif kind == "words only":
        store.put_document(*document(uri, *texts))
    elif kind == "remove" and records:
        store.remove_document(draw.choice(records).id)
    elif kind == "tag" and records:
        store.set_tags(draw.choice(records).id, [draw.choice(TAGS)])
    elif kind == "index":
        refresh_indexes(store, force=True)
    elif kind == "words":
        refresh_words(store, force=True)


def expected_dense(store: CollectionStore, query: np.ndarray, scope: Scope) -> list[float]:
    """By plain loops: the scores of all vectors whose documents the scope lets through."""
    scores = []
    for _, chunk in store.iter_chunks():
        record = store.document(chunk.document_id)
        assert record is not None
        if scope.tags and not set(scope.tags) & set(record.tags):
            continue
        if scope.folders and not chunk.uri.startswith(scope.folders[0] + "/"):
            continue
        numbers = [row[0] for row in store.rows("SELECT number FROM chunks WHERE id = ?", (chunk.id,))]
        scores += [float(vector @ query) for vector in store.vectors(numbers).values()]
    return sorted(scores, reverse=True)


@pytest.mark.parametrize("seed", range(3))
def test_a_search_sees_what_is_there_after_any_history(library: Library, seed: int):
    draw = random.Random(seed)
    dense, lexical = (HybridSearcher(library, leg, arranged=False) for leg in ("dense", "lexical"))
    scopes = [Scope("notes"), Scope("notes", tags=("red",)), Scope("notes", folders=("/a",))]
    with library.writer("notes") as store:
        put(store, library.embedder, "/a/0.md", sentence(draw))
        for step in range(30):
            change(store, library, draw)
            scope, question = scopes[step % 3], f"{draw.choice(NOUNS)} and {draw.choice(NOUNS)}"
            expected = expected_dense(store, library.embedder.embed_query(question), scope)[:5]
            found = dense.retrieve(question, scope, 5).chunks
            assert [hit.legs["dense"] for hit in found] == pytest.approx(expected, abs=1e-5)
            wanted = [word for word in question.split() if word != "and"]
            for hit in lexical.retrieve(question, scope, 5).chunks:
                assert any(word in hit.chunk.text for word in wanted)
                assert store.chunk(hit.chunk.id) is not None
        assert lexical.retrieve("stands", Scope("notes"), 50).searched == store.counts()["chunks"]
    dense.close()
    lexical.close()


def test_a_generation_and_its_tail_find_what_one_index_would(library: Library):
    draw = random.Random(7)
    with library.writer("notes") as store:
        for number in range(20):
            store.put_document(*document(f"/{number}.md", sentence(draw), sentence(draw)))
            if number == 9:
                refresh_words(store, force=True)
        whole = LexicalTail()
        for number, chunk in store.iter_chunks():
            whole.add(number, 0, chunk)
        texts = {number: chunk.text for number, chunk in store.iter_chunks()}
        searcher = HybridSearcher(library, "lexical", arranged=False)
        for noun in NOUNS:
            found = searcher.search_legs(noun, Scope("notes"), 40)["lexical"]
            truth = whole.search(parse_query(noun), 40)
            assert {hit.chunk.text for hit in found} == {texts[hit.number] for hit in truth}
            assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
        searcher.close()
