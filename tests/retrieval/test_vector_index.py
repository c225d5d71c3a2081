"""FAISS against the exact oracle, and the oracle against plain loops."""

from pathlib import Path

import numpy as np
import pytest

from retrieval.exact_index import exact_search
from retrieval.protocol import Vectors
from retrieval.vector_index import TARGET_RECALL, Kind, VectorIndex, kind_for, raw_search, recall_of

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


@pytest.mark.parametrize("kind", ["exact", "fine", "compact"])
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


@pytest.mark.parametrize("kind", ["exact", "fine", "compact"])
def test_a_filter_is_exact(kind: Kind, vectors: Vectors):
    index = VectorIndex.build(np.arange(N, dtype=np.int64), vectors, kind)
    allowed = np.arange(N) % 7 == 0
    truth, _ = exact_search(vectors, vectors[:20], 10, allowed)
    found, _ = index.search(vectors[:20], 10, allowed)
    assert found.tolist() == truth.tolist()
    assert index.search(vectors[:1], 10, np.zeros(N, np.bool_))[0].shape == (1, 0)


def test_a_grown_graph_finds_old_and_new(vectors: Vectors):
    numbers = np.arange(N, dtype=np.int64)
    before = VectorIndex.build(numbers[:900], vectors[:900], "fine")
    grown = VectorIndex.build(numbers, vectors, "fine", before)
    found, _ = grown.search(vectors, 1)
    assert np.mean(found[:, 0] == numbers) > 0.99


def test_the_kind_follows_the_size():
    assert [kind_for(10), kind_for(100_000), kind_for(10**6, compact=True)] == ["exact", "fine", "compact"]


def test_the_oracle_reads_in_blocks_and_keeps_the_lower_of_equals(vectors: Vectors):
    many = np.concatenate([vectors] * 60)
    assert len(many) > 65_536
    rows, scores = exact_search(many, vectors[:3], 61)
    for line in range(3):
        same = [line + N * copy for copy in range(60)]
        assert rows[line, :60].tolist() == same
        assert scores[line, 60] < scores[line, 59]
    allowed = np.zeros(len(many), np.bool_)
    allowed[[5, 70_000, 71_999]] = True
    found, _ = exact_search(many, vectors[:2], 10, allowed)
    assert [sorted(line) for line in found.tolist()] == [[5, 70_000, 71_999]] * 2


@pytest.mark.parametrize("kind", ["fine", "compact"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_a_filter_is_exact_however_much_it_lets_through(kind: Kind, share: float, vectors: Vectors, tmp_path: Path):
    built = VectorIndex.build(np.arange(N, dtype=np.int64), vectors, kind)
    index = VectorIndex.load(tmp_path, built.save(tmp_path))
    allowed = np.random.default_rng(5).random(N) < share
    _, truth = exact_search(vectors, vectors[:40], 50, allowed)
    found, scores = index.search(vectors[:40], 50, allowed)
    assert allowed[found].all()
    assert np.allclose(scores, truth, atol=1e-5)


def test_the_error_of_a_code_bounds_every_score(vectors: Vectors):
    index = VectorIndex.build(np.arange(N, dtype=np.int64), vectors, "compact")
    raw, rows = raw_search(index, vectors[:50], 5)
    true = np.einsum("qd,qkd->qk", vectors[:50], vectors[rows])
    assert 0 < np.abs(raw - true).max() <= index.code_error < 0.1


def test_recall_counts_scores_so_that_equal_passages_are_equally_right():
    truth = np.array([[0.9, 0.8, 0.7]], np.float32)
    assert recall_of(np.array([[0.9, 0.7, 0.7]], np.float32), truth) == 1.0
    assert recall_of(np.array([[0.9, 0.8, 0.6]], np.float32), truth) == pytest.approx(2 / 3)


def test_a_build_reads_vectors_from_a_file(vectors: Vectors, tmp_path: Path):
    mapped = np.lib.format.open_memmap(tmp_path / "vectors.npy", mode="w+", dtype=np.float32, shape=vectors.shape)
    mapped[:] = vectors
    mapped.flush()
    built = VectorIndex.build(np.arange(N, dtype=np.int64), mapped, "fine")
    changed = (tmp_path / "vectors.npy").stat().st_mtime_ns
    index = VectorIndex.load(tmp_path, built.save(tmp_path))
    assert (tmp_path / "vectors.npy").stat().st_mtime_ns == changed
    assert np.mean(index.search(vectors, 1)[0][:, 0] == np.arange(N)) > 0.99


def test_whoever_wants_many_walks_further_than_the_tuning_for_ten(vectors: Vectors):
    index = VectorIndex.build(np.arange(N, dtype=np.int64), vectors, "fine")
    index.ef_search = 16
    draw = np.random.default_rng(8)
    asked = vectors[draw.integers(0, N, 60)] + 0.7 * vectors[draw.integers(0, N, 60)]
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    _, truth = exact_search(vectors, asked, 50)
    assert recall_of(index.search(asked, 50)[1], truth) > 0.99
