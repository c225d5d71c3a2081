"""FAISS against the exact oracle, and the oracle against plain loops."""

from pathlib import Path

import numpy as np
import psutil
import pytest

from retrieval.exact_index import exact_search
from retrieval.protocol import Vectors
from retrieval.vector_index import CODES_FILE, TARGET_RECALL, Kind, VectorIndex, kind_for, recall_of
from retrieval.vector_lists import CodedRows, codes_of, lists_for, mapped

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


@pytest.mark.parametrize("kind", ["exact", "fine", "lists"])
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


@pytest.mark.parametrize("kind", ["exact", "fine", "lists"])
def test_a_filter_is_exact(kind: Kind, vectors: Vectors):
    index = VectorIndex.build(np.arange(N, dtype=np.int64), vectors, kind)
    allowed = np.arange(N) % 7 == 0
    truth, _ = exact_search(vectors, vectors[:20], 10, allowed)
    found, _ = index.search(vectors[:20], 10, allowed)
    assert found.tolist() == truth.tolist()
    assert index.search(vectors[:1], 10, np.zeros(N, np.bool_))[0].shape == (1, 0)


@pytest.mark.parametrize("kind", ["fine", "lists"])
@pytest.mark.parametrize("known", [900, 200])
def test_what_grew_finds_old_and_new(kind: Kind, known: int, vectors: Vectors, tmp_path: Path):
    """From 200 to 1,200 vectors more lists are wanted, so that all are made anew; 900 are grown as they are."""
    numbers = np.arange(N, dtype=np.int64)
    first = VectorIndex.build(numbers[:known], vectors[:known], kind)
    before = VectorIndex.load(tmp_path, first.save(tmp_path))
    grown = VectorIndex.build(numbers, vectors, kind, before)
    found, _ = grown.search(vectors, 1)
    assert np.mean(found[:, 0] == numbers) > 0.99
    assert lists_for(200) < lists_for(900) == lists_for(N)


def test_whoever_wants_all_gets_all_from_lists(vectors: Vectors):
    index = VectorIndex.build(np.arange(N, dtype=np.int64), vectors, "lists")
    index.ef_search = 1
    found, _ = index.search(vectors[:3], N)
    assert [sorted(line) for line in found.tolist()] == [list(range(N))] * 3
    # Few lists hold fewer than a search brings: what is missing is told, not made up.
    found, _ = index.search(vectors[:3], 50)
    assert all(set(line) <= {-1, *range(N)} and line[0] == place for place, line in enumerate(found.tolist()))


def test_codes_for_filters_are_read_from_the_disk(vectors: Vectors, tmp_path: Path):
    many = np.concatenate([vectors + shift for shift in np.linspace(0, 0.001, 200, dtype=np.float32)])
    built = VectorIndex.build(np.arange(len(many), dtype=np.int64), many, "lists", probes=vectors[:20])
    described = built.save(tmp_path)
    size = (tmp_path / CODES_FILE).stat().st_size
    assert size > len(many) * DIM
    before = _private_bytes()
    codes = mapped(tmp_path / CODES_FILE)
    codes.search(vectors[:1], 10)
    assert _private_bytes() - before < size / 4
    index = VectorIndex.load(tmp_path, described)
    allowed = np.arange(len(many)) % 3 == 0
    _, truth = exact_search(many, vectors[:3], 10, allowed)
    assert np.allclose(index.search(vectors[:3], 10, allowed)[1], truth, atol=1e-5)


def test_coded_rows_score_as_faiss_does(vectors: Vectors):
    codes = codes_of(vectors, np.stack([vectors.min(axis=0), vectors.max(axis=0)]))
    scores, rows = codes.search(vectors[:2], N)
    coded = CodedRows(codes)
    for query, line, expected in zip(vectors[:2], rows, scores, strict=True):
        assert np.allclose(coded.scores(query, line), expected, atol=1e-5)
        assert set(coded.best(query, line[::-1], 10)) == set(line[:10])
        with_gaps = np.concatenate([line[:3], np.full(9, -1)])
        assert sorted(coded.best(query, with_gaps, 4)) == sorted([*line[:3], -1])


def _private_bytes() -> int:
    info = psutil.Process().memory_info()
    return int(info.rss - getattr(info, "shared", 0))


def test_the_kind_follows_the_size():
    assert [kind_for(10), kind_for(100_000), kind_for(10**6, compact=True)] == ["exact", "fine", "lists"]


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


@pytest.mark.parametrize("kind", ["fine", "lists"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_a_filter_is_exact_however_much_it_lets_through(kind: Kind, share: float, vectors: Vectors, tmp_path: Path):
    built = VectorIndex.build(np.arange(N, dtype=np.int64), vectors, kind)
    index = VectorIndex.load(tmp_path, built.save(tmp_path))
    allowed = np.random.default_rng(5).random(N) < share
    _, truth = exact_search(vectors, vectors[:40], 50, allowed)
    found, scores = index.search(vectors[:40], 50, allowed)
    assert allowed[found].all()
    assert np.allclose(scores, truth, atol=1e-5)


@pytest.mark.parametrize("kind", ["fine", "lists"])
def test_the_error_of_a_code_bounds_every_score(kind: Kind, vectors: Vectors):
    index = VectorIndex.build(np.arange(N, dtype=np.int64), vectors, kind)
    raw, rows = index._codes.search(vectors[:50], 10)
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
