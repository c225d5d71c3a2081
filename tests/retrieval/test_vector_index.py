"""FAISS against the exact oracle, and the oracle against plain loops."""

from pathlib import Path

import numpy as np
import pytest

from retrieval.exact_index import exact_search
from retrieval.protocol import Vectors
from retrieval.vector_index import TARGET_RECALL, Kind, VectorIndex, kind_for

N, DIM = 1200, 24


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    """Clustered like real text: on uniformly random vectors no graph works, and none has to."""
    generator = np.random.default_rng(3)
    centres = generator.normal(size=(40, DIM))
    rows = centres[generator.integers(0, 40, N)] + 0.5 * generator.normal(size=(N, DIM))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def test_the_oracle_equals_a_plain_loop(vectors: Vectors):
    allowed = np.arange(N) % 3 == 0
    rows, scores = exact_search(vectors, vectors[:2], 5, allowed)
    for query, found, values in zip(vectors[:2], rows, scores, strict=True):
        plain = sorted(
            ((float(query @ row), -place) for place, row in enumerate(vectors) if allowed[place]), reverse=True
        )
        assert [-place for _, place in plain[:5]] == found.tolist()
        assert np.allclose([score for score, _ in plain[:5]], values, atol=1e-5)


@pytest.mark.parametrize("kind", ["exact", "hnsw", "compact"])
def test_each_kind_reaches_its_recall_and_true_scores(kind: Kind, vectors: Vectors, tmp_path: Path):
    numbers = np.arange(N, dtype=np.int64) * 2 + 5
    built = VectorIndex.build(numbers, vectors, kind)
    index = VectorIndex.load(tmp_path, built.save(tmp_path))
    truth, true_scores = exact_search(vectors, vectors[:100], 10)
    found, scores = index.search(vectors[:100], 10)
    recall = np.mean([len(set(numbers[a]) & set(b)) / 10 for a, b in zip(truth, found, strict=True)])
    assert recall >= TARGET_RECALL[kind]
    assert np.allclose(scores[:, 0], true_scores[:, 0], atol=1e-5)
    assert index.recall == built.recall >= TARGET_RECALL[kind]


@pytest.mark.parametrize("kind", ["exact", "hnsw", "compact"])
def test_a_filter_is_exact(kind: Kind, vectors: Vectors):
    index = VectorIndex.build(np.arange(N, dtype=np.int64), vectors, kind)
    allowed = np.arange(N) % 7 == 0
    truth, _ = exact_search(vectors, vectors[:20], 10, allowed)
    found, _ = index.search(vectors[:20], 10, allowed)
    assert found.tolist() == truth.tolist()
    assert index.search(vectors[:1], 10, np.zeros(N, np.bool_))[0].shape == (1, 0)


def test_a_grown_graph_finds_old_and_new(vectors: Vectors):
    numbers = np.arange(N, dtype=np.int64)
    before = VectorIndex.build(numbers[:900], vectors[:900], "hnsw")
    grown = VectorIndex.build(numbers, vectors, "hnsw", before)
    found, _ = grown.search(vectors, 1)
    assert np.mean(found[:, 0] == numbers) > 0.99


def test_the_kind_follows_the_size():
    assert [kind_for(10), kind_for(100_000), kind_for(10**6, compact=True)] == ["exact", "hnsw", "compact"]
