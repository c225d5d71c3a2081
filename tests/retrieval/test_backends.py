"""One suite for every place where a search index may live: here, a real PostgreSQL with pgvector, a real Milvus."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from core.config import Settings
from core.errors import BackendError, SettingError
from core.types import Scope
from retrieval.backends.contract import Backend, Change, CollectionKey, Watermark
from retrieval.backends.follow import follow, key_of, overlap
from retrieval.backends.moving import move_back, move_to
from retrieval.backends.opening import open_backend
from retrieval.exact_index import exact_search
from retrieval.fakes import HashEmbedder
from retrieval.indexing import refresh_indexes
from retrieval.lexical_index import FIELD_WEIGHTS, field_terms, parse_query
from retrieval.lexical_tail import LexicalTail
from retrieval.library import Library
from retrieval.store import CollectionStore
from retrieval.view import CollectionView
from tests.retrieval.conftest import document, emptied, put
from tests.retrieval.milvus_server import milvus_client

TEXTS = (
    ("/en/fox.md", "The quick brown fox jumps over the lazy dog.", "A fox is a small animal with a red tail."),
    ("/en/tides.md", "Tides follow the moon.", "Spring tides come twice a month, at new moon and at full moon."),
    ("/zh/panther.md", "黑豹队的防守只丢了308分，在联赛中排名第六。", "他们的防守反击非常出色。"),
    ("/zh/tea.md", "绿茶应当用八十度的水冲泡。", "红茶则需要沸水，冲泡三分钟。"),
    (
        "/en/cmake.txt",
        "Set cmake_minimum_required in the CMake file.",
        "A brown bag holds a quick lunch for a dog.",
    ),
)
QUESTIONS = (
    "quick brown fox",
    "spring tides of the moon",
    "黑豹队的防守",
    "红茶冲泡",
    "cmake_minimum_required",
)
Opened = Callable[[CollectionStore], CollectionView]


@pytest.fixture(params=["postgres", "milvus"])
def server_url(request: pytest.FixtureRequest) -> str:
    """Each kind of server in turn, with nothing of ours on it."""
    return emptied(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def backend(server_url: str) -> Iterator[Backend]:
    opened = open_backend(server_url)
    yield opened
    opened.close()


@pytest.fixture
def filled(store: CollectionStore) -> CollectionStore:
    embedder = HashEmbedder()
    store.bind(embedder.name, embedder.dimension)
    for uri, *texts in TEXTS:
        put(store, embedder, uri, *texts)
    return store


@pytest.fixture(params=["embedded", "postgres", "milvus"])
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Brings the index up to the store, in the place under test, and opens it for searching."""
    if request.param == "embedded":

        def local(store: CollectionStore) -> CollectionView:
            refresh_indexes(store, force=True)
            return CollectionView(store)

        yield local
        return
    backend = open_backend(emptied(request.getfixturevalue(f"{request.param}_url")))

    def remote(store: CollectionStore) -> CollectionView:
        collection = backend.open(key_of(store))
        follow(store, collection)
        return CollectionView(store, collection)

    yield remote
    backend.close()


def oracle(store: CollectionStore, question: str, documents: set[int] | None = None) -> dict[int, float]:
    """BM25 of every chunk, by the tail in plain Python over the whole collection."""
    tail = LexicalTail()
    by_id = {record.id: record.number for record in store.documents()}
    for number, chunk in store.iter_chunks():
        tail.add(number, by_id[chunk.document_id], chunk)
    return {hit.number: hit.score for hit in tail.search(parse_query(question), 100, documents)}


@pytest.mark.parametrize("question", QUESTIONS)
def test_keywords_score_as_bm25_counted_by_hand(filled: CollectionStore, opened: Opened, question: str):
    view = opened(filled)
    found = view.lexical.search(parse_query(question), 100, view.alive())
    assert {hit.number: hit.score for hit in found} == pytest.approx(oracle(filled, question), rel=1e-4)
    assert found[0].score == max(hit.score for hit in found)


def test_a_phrase_has_to_stand_there(filled: CollectionStore, opened: Opened):
    view = opened(filled)
    for question, text in (('"brown fox"', "The quick brown fox"), ("“防守反击”", "他们的防守反击非常出色")):
        found = [hit.number for hit in view.lexical.search(parse_query(question), 100, view.alive())]
        assert [chunk.text.startswith(text) for chunk in filled.chunks_by_number(found).values()] == [True]


@pytest.mark.parametrize("question", QUESTIONS)
def test_vectors_come_in_the_order_of_the_exact_comparison(filled: CollectionStore, opened: Opened, question: str):
    view, vector = opened(filled), HashEmbedder().embed_query(question)
    keys, vectors = next(filled.iter_vectors())
    rows, scores = exact_search(vectors, vector[None], 5)
    found = view.dense.search(vector, 5, view.alive())
    assert [hit.score for hit in found] == pytest.approx(scores[0].tolist(), abs=1e-5)
    assert {hit.number for hit in found if hit.score > scores[0][-1] + 1e-6} <= set(keys[rows[0], 1].tolist())


def test_a_filter_is_part_of_the_search(filled: CollectionStore, opened: Opened):
    view, vector = opened(filled), HashEmbedder().embed_query("quick brown fox")
    alive, documents = view.chosen(Scope("notes", folders=("/zh",)))
    assert documents
    dense = view.dense.search(vector, 50, alive, documents)
    assert sorted(hit.number for hit in dense) == np.flatnonzero(alive).tolist()
    words = view.lexical.search(parse_query("防守 fox"), 50, alive, documents)
    assert {hit.number: hit.score for hit in words} == pytest.approx(oracle(filled, "防守 fox", documents), rel=1e-4)


def test_a_filter_that_leaves_many_goes_through_the_graph(filled: CollectionStore, postgres_url: str):
    from retrieval.backends.postgres import PostgresBackend

    follow(filled, open_backend(emptied(postgres_url)).open(key_of(filled)))
    walker = PostgresBackend(postgres_url, exact_below=0)
    vector = HashEmbedder().embed_query("quick brown fox")
    alive, documents = CollectionView(filled).chosen(Scope("notes", folders=("/zh",)))
    found = walker.open(key_of(filled)).search_vectors(vector, 50, documents)
    assert sorted(hit.number for hit in found) == np.flatnonzero(alive).tolist()
    walker.close()


def test_totals_are_kept_as_they_would_be_counted(filled: CollectionStore, backend: Backend):
    remote = backend.open(key_of(filled))
    follow(filled, remote)
    (fox,) = [record for record in filled.documents() if record.uri == "/en/fox.md"]
    filled.remove_document(fox.id)
    put(filled, HashEmbedder(), "/en/tides.md", "Tides follow the moon and the sun.")
    follow(filled, remote)
    terms = [field_terms(chunk) for _, chunk in filled.iter_chunks()]
    counted = {field: sum(len(found[field]) for found in terms) for field in FIELD_WEIGHTS}
    assert remote.field_lengths() == (len(terms), counted)


def test_what_is_committed_or_removed_holds_at_once(filled: CollectionStore, opened: Opened):
    view = opened(filled)
    (fox,) = [record for record in filled.documents() if record.uri == "/en/fox.md"]
    filled.remove_document(fox.id)
    put(filled, HashEmbedder(), "/en/zebra.md", "Zebras have stripes.")
    view.refresh()
    found = view.lexical.search(parse_query("zebras fox"), 10, view.alive())
    assert [filled.chunks_by_number([hit.number])[hit.number].uri for hit in found] == ["/en/zebra.md"]
    vector = HashEmbedder().embed_query("Zebras have stripes.")
    nearest = view.dense.search(vector, 20, view.alive())
    assert filled.chunks_by_number([nearest[0].number])[nearest[0].number].uri == "/en/zebra.md"
    assert len(nearest) == filled.counts()["chunks"]


def test_background_and_ceiling_agree_with_the_embedded_index(filled: CollectionStore, backend: Backend):
    refresh_indexes(filled, force=True)
    remote = backend.open(key_of(filled))
    follow(filled, remote)
    here, there = CollectionView(filled), CollectionView(filled, remote)
    vector, query = HashEmbedder().embed_query("moon"), parse_query("moon tides fox 防守")
    assert there.lexical.ceiling(query) == pytest.approx(here.lexical.ceiling(query), rel=1e-6)
    # The sample is the whole of so small a collection.
    assert there.dense.background(vector) == pytest.approx(here.dense.background(vector), abs=1e-5)


def test_the_sample_of_a_large_collection_is_the_one_taken_here(filled: CollectionStore, backend: Backend):
    put_many(filled, 700)
    refresh_indexes(filled, force=True)
    remote = backend.open(key_of(filled))
    follow(filled, remote)
    here, there = (CollectionView(filled, of).dense.sample() for of in (None, remote))
    assert here.shape == (355, 64)
    assert np.array_equal(here, there)


def test_following_twice_or_after_a_restored_backup_ends_the_same(filled: CollectionStore, backend: Backend):
    remote = backend.open(key_of(filled))
    end = follow(filled, remote)
    assert follow(filled, remote) == end == remote.watermark()
    assert remote.counts() == {"chunks": 10, "vectors": 10}
    remote.apply(Change(Watermark(end.chunks + 7, end.vectors + 7, 3)))
    assert follow(filled, remote) == end
    assert remote.counts() == {"chunks": 10, "vectors": 10}
    assert overlap(filled, remote) == 1.0


def test_tenants_and_encoders_are_kept_apart(filled: CollectionStore, backend: Backend):
    mine, theirs = backend.open(key_of(filled, "ann")), backend.open(key_of(filled, "bob"))
    follow(filled, mine)
    assert theirs.counts() == {"chunks": 0, "vectors": 0}
    key = key_of(filled, "ann")
    with pytest.raises(BackendError, match="another-encoder"):
        backend.open(CollectionKey(key.name, key.identity, "another-encoder", key.dimension, "ann"))
    again = backend.open(CollectionKey(key.name, "made anew", key.encoder, key.dimension, "ann"))
    assert again.counts() == {"chunks": 0, "vectors": 0}


def test_a_collection_answers_the_same_here_and_there_and_back(tmp_path: Path, server_url: str, backend: Backend):
    local = Library(Settings(home=tmp_path), HashEmbedder())
    with local.writer("notes") as store:
        for uri, *texts in TEXTS:
            put(store, local.embedder, uri, *texts)
    before = answers(local)
    moved = move_to(local, "notes", backend)
    assert (moved.chunks, moved.vectors, moved.overlap) == (10, 10, 1.0)
    served = Library(Settings(home=tmp_path, index_url=server_url), HashEmbedder())
    assert answers(served) == before
    with served.writer("notes") as store:
        put(store, served.embedder, "/en/zebra.md", "Zebras have stripes.")
    assert backend.open(key_of(served.reader("notes"))).counts() == {"chunks": 11, "vectors": 11}
    move_back(local, "notes", backend)
    back = Library(Settings(home=tmp_path, index_url=server_url), HashEmbedder())
    with back.reader("notes") as store:
        assert back.remote(store) is None
    assert answers(back) == answers(Library(Settings(home=tmp_path), HashEmbedder()))


def test_two_people_with_one_name_for_a_collection_do_not_meet(tmp_path: Path, server_url: str, backend: Backend):
    found = {}
    for person, text in (("ann", "The zebra of Ann has stripes."), ("bob", "The zebra of Bob has none.")):
        own = {"home": tmp_path / "people" / person, "shared_home": tmp_path}
        home = Settings().model_copy(update={**own, "index_url": server_url})
        library = Library(home.model_copy(update={"index_url": ""}), HashEmbedder())
        with library.writer("notes") as store:
            put(store, library.embedder, "/zebra.md", text)
        move_to(library, "notes", backend)
        found[person] = Library(home, HashEmbedder())
    for person, library in found.items():
        hits = library.searcher().retrieve("zebra stripes none", Scope("notes"), 5).chunks
        assert [hit.chunk.text.split()[3].lower() for hit in hits] == [person]
        assert len(library.view("notes").dense.sample()) == 1


def answers(library: Library) -> list[list[str]]:
    searcher = library.searcher()
    return [[hit.chunk.text for hit in searcher.retrieve(text, Scope("notes"), 3).chunks] for text in QUESTIONS]


def test_a_mover_that_is_killed_goes_on_where_it_was(tmp_path: Path, server_url: str, backend: Backend):
    local = Library(Settings(home=tmp_path), HashEmbedder())
    with local.writer("notes") as store:
        size = backend.open(key_of(store)).rows_at_once
        put_many(store, 2 * size)
    script = (
        "import sys; from pathlib import Path; from core.config import Settings\n"
        "from retrieval.fakes import HashEmbedder; from retrieval.library import Library\n"
        "from retrieval.backends.moving import move_to\n"
        "from retrieval.backends.opening import open_backend\n"
        "library = Library(Settings(home=Path(sys.argv[1])), HashEmbedder())\n"
        "move_to(library, 'notes', open_backend(sys.argv[2]), lambda done, all_: print(done, flush=True))"
    )
    mover = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), server_url], stdout=subprocess.PIPE, text=True
    )
    assert mover.stdout
    assert [int(mover.stdout.readline()) for _ in range(3)] == [size, 2 * size, 3 * size]
    mover.send_signal(signal.SIGKILL)
    mover.wait()
    sent: list[int] = []
    moved = move_to(local, "notes", backend, lambda done, all_: sent.append(all_))
    assert (moved.chunks, moved.vectors) == (2 * size, 2 * size)
    # Chunks and vectors are four sizes in all; what was committed before the kill was not sent again.
    assert sent[0] <= size
    assert moved.overlap >= 0.95


def put_many(store: CollectionStore, count: int) -> None:
    """One document of so many short passages, with their vectors."""
    embedder = HashEmbedder()
    store.put_document(*document("/many.md", *(f"Passage {n} of the very long file." for n in range(count))))
    pending = store.chunks_without_vectors(count)
    store.put_vectors([c.id for c in pending], embedder.embed_documents([c.embedded_text for c in pending]))


def test_a_change_that_was_cut_off_in_milvus_is_counted_anew(filled: CollectionStore, milvus_url: str):
    backend = open_backend(emptied(milvus_url))
    remote = backend.open(key_of(filled))
    follow(filled, remote)
    whole = remote.field_lengths()
    client = milvus_client(milvus_url)
    (words,) = [name for name in client.list_collections() if name.endswith("words")]
    # As a mover leaves it that was killed after its rows were written and before it said so.
    state = json.loads(client.describe_collection(words)["properties"]["fourfold.state"])
    cut_off = {**state, "chunks": 4, "totals": [4, 1, 1, 1], "open": True}
    client.alter_collection_properties(words, {"fourfold.state": json.dumps(cut_off)})
    assert follow(filled, remote) == remote.watermark()
    assert remote.field_lengths() == whole
    assert remote.counts() == {"chunks": 10, "vectors": 10}
    client.close()
    backend.close()


def test_a_copy_is_dropped_whatever_made_it(filled: CollectionStore, backend: Backend):
    key = key_of(filled)
    follow(filled, backend.open(key))
    assert backend.forget(CollectionKey(key.name, "", "another-encoder", 3))
    assert not backend.forget(key)
    assert backend.open(key).counts() == {"chunks": 0, "vectors": 0}


def test_a_server_that_is_not_there_is_named_without_its_password():
    backend = open_backend("postgresql://ann:secret@127.0.0.1:9/none")
    with pytest.raises(BackendError, match=r"127\.0\.0\.1:9") as caught:
        backend.health()
    assert "secret" not in str(caught.value)
    assert "ann" not in backend.name
    backend.close()


def test_a_milvus_that_is_not_there_is_named_without_its_password():
    backend = open_backend("milvus://ann:secret@127.0.0.1:9/none")
    with pytest.raises(BackendError, match=r"127\.0\.0\.1:9") as caught:
        backend.health()
    assert "secret" not in str(caught.value)
    assert "ann" not in backend.name
    with pytest.raises(SettingError, match="names no host"):
        open_backend("milvus://")


def test_a_kind_of_server_that_is_not_known_is_refused():
    with pytest.raises(SettingError, match="index_url"):
        open_backend("mysql://localhost/x")
