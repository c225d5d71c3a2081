"""Passages multiplied for the benchmark: unit vectors among real neighbours, the same at every call, resumable."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from core.config import Settings
from core.types import Chunk
from evaluation.retrieval_benchmark import add_arguments, measure
from evaluation.retrieval_corpus import RealPassages, fill, multiplied_documents, multiplied_vectors, nearest
from evaluation.retrieval_speed import best_times, speed
from retrieval.fakes import HashEmbedder
from retrieval.library import Library
from retrieval.store import CollectionStore

N, DIM = 60, 16


@pytest.fixture(scope="module")
def real() -> RealPassages:
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(N, DIM)) + 3 * np.eye(4, DIM)[np.arange(N) % 4]
    vectors = np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
    texts = [f"passage {number} begins here, its middle is {number**2} and so {number} ends" for number in range(N)]
    chunks = tuple(Chunk("", "", text, 0, 0, 1) for text in texts)
    return RealPassages(chunks, vectors, nearest(vectors))


def test_neighbours_are_the_nearest_others(real: RealPassages):
    likeness = real.vectors @ real.vectors.T - 2 * np.eye(N)
    assert real.neighbours.shape == (N, 16)
    for row, found in enumerate(real.neighbours):
        assert np.allclose(np.sort(likeness[row])[::-1][:16], likeness[row][found], atol=1e-6)


def test_the_first_are_real_and_the_rest_lie_among_them(real: RealPassages):
    vectors = multiplied_vectors(real, np.arange(5 * N))
    assert np.allclose(vectors[:N], real.vectors, atol=1e-6)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert len(np.unique(vectors.round(5), axis=0)) == 5 * N
    assert np.array_equal(vectors[70:80], multiplied_vectors(real, np.arange(70, 80)))
    own = (vectors[N:] * real.vectors[np.arange(N, 5 * N) % N]).sum(axis=1)
    assert float(np.median(own)) > 0.4


def test_texts_are_a_passage_and_the_end_of_a_neighbour(real: RealPassages):
    ((document, chunks),) = multiplied_documents(real, N, N + 5)
    assert [chunk.text.split()[0] for chunk in chunks] == ["passage"] * 5
    assert all(chunk.text.endswith("ends") for chunk in chunks)
    assert document.pages[0].text[chunks[2].start : chunks[2].end] == chunks[2].text


def test_filling_goes_on_where_it_stopped(real: RealPassages, tmp_path: Path):
    with CollectionStore(tmp_path, writable=True, name="b") as store:
        fill(store, real, 100, batch=40)
        fill(store, real, 130, batch=40)
        assert store.counts() == {"documents": 7, "chunks": 130, "vectors": 130, "failures": 0}
        batches = [(keys[:, 1], rows) for keys, rows in store.iter_vectors()]
    numbers = np.concatenate([part[0] for part in batches])
    assert np.array_equal(np.concatenate([part[1] for part in batches]), multiplied_vectors(real, numbers - 1))


def test_speed_is_told_by_quantiles():
    told = speed([0.001] * 98 + [0.1, 0.2])
    assert (told["p50_ms"], told["per_second_median"]) == (1.0, 1000)
    assert told["p95_ms"] == 1.0 < told["p99_ms"] <= 200.0
    assert told["per_second"] == round(100 / (0.098 + 0.3))
    calls: list[int] = []
    assert len(best_times(calls.append, 4, rounds=2)) == 4
    assert calls == [0, 1, 2, 3] * 2


def test_a_small_run_from_end_to_end(tmp_path: Path):
    settings = Settings(home=tmp_path / "home")
    if not (settings.eval_data / "qa").is_dir():
        pytest.skip(f"no evaluation data at {settings.eval_data}; set FOURFOLD_EVAL_DATA")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    asked = ["--chunks", "200", "--sets", "xquad_en", "--queries", "8", "--threads", "1", "--keep", str(tmp_path / "b")]
    options = parser.parse_args(asked)
    source = Library(settings, HashEmbedder())
    first = measure(source, options, settings)
    assert (first["built"]["rows"]["real_passages"], first["dense"]["kind"], first["dense"]["rows"]) == (
        120,
        "exact",
        200,
    )
    assert first["dense"]["recall_at_10_asked"] == {"questions": 1.0, "sentences": 1.0}
    assert first["hybrid"]["p50_ms"] > 0
    assert measure(source, options, settings)["built"] == first["built"]
    # Vectors alone: the same passages, without their texts, in the kind that is asked for.
    alone = parser.parse_args([*asked[:-1], str(tmp_path / "alone"), "--alone", "--compact"])
    alone.chunks = 21_000
    told = measure(source, alone, settings)
    assert (told["dense"]["kind"], told["dense"]["rows"]) == ("lists", 21_000)
    # Hashed vectors of short questions lie far from everything: the sentences are what an index is tuned by.
    assert told["dense"]["recall_at_10_asked"]["sentences"] > 0.9
    assert 0 < told["dense"]["bytes_per_chunk_graph"] < 500
    assert measure(source, alone, settings)["built"] == told["built"]
