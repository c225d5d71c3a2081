"""What is said to be needed, against what real indexes take; and a disk that is too small, told before it is full."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from core.errors import CollectionError
from retrieval.__main__ import main
from retrieval.estimate import check_room, described, needs_of
from retrieval.library import COMPACT_ABOVE, compact_for
from retrieval.vector_index import Kind, VectorIndex

# As many as have a graph, and as many as are enough to see what each takes.
MANY, ENOUGH, DIM = 25_000, {"fine": 3_000, "lists": 25_000}, 32


@pytest.mark.parametrize("kind", ["fine", "lists"])
def test_the_bytes_are_those_of_a_real_index(kind: Kind, tmp_path: Path):
    n = ENOUGH[kind]
    rows = np.random.default_rng(2).normal(size=(n, DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    VectorIndex.build(np.arange(n, dtype=np.int64), rows, kind, probes=rows[:5]).save(tmp_path)
    files = {path.name: path.stat().st_size * MANY / n for path in tmp_path.iterdir()}
    needs = needs_of(MANY, DIM, compact=kind == "lists")
    assert needs.kind == kind
    # The view, the words and the rows of the collection are not part of this folder.
    assert sum(files.values()) == pytest.approx(needs.index_disk - 200 * MANY, rel=0.1)
    walked = files["graph.faiss" if kind == "fine" else "lists.faiss"]
    assert walked == pytest.approx(needs.memory - 30 * MANY, rel=0.15)
    assert needs.building == pytest.approx(sum(files.values()) - files["vectors.npy"] - files["numbers.npy"], rel=0.1)


def test_more_passages_take_more_of_everything():
    sizes = [needs_of(10**power, compact=power > 6) for power in range(5, 9)]
    for less, more in pairwise(sizes):
        assert less.disk < more.disk
        assert less.index_seconds < more.index_seconds
        assert less.encoding_seconds < more.encoding_seconds
    # Lists take a ninth of a graph's memory, but for the view.
    assert needs_of(10**7, compact=True).memory < needs_of(10**7).memory / 5


def test_an_index_without_room_is_refused_before_it_is_begun(tmp_path: Path):
    check_room(tmp_path, "notes", 100_000, 384, compact=False)
    for vectors, compact in ((10**11, True), (10**11, False)):
        with pytest.raises(CollectionError, match="would take") as caught:
            check_room(tmp_path, "notes", vectors, 384, compact=compact)
        assert "notes" in caught.value.message.zh
    # What is compared one by one needs no index, so that there is nothing to refuse.
    check_room(tmp_path, "notes", 10, 10**15, compact=False)


def test_lists_where_a_graph_would_be_too_large():
    assert [compact_for("auto", size, 384) for size in (1000, COMPACT_ABOVE + 1)] == [False, True]
    assert compact_for("auto", COMPACT_ABOVE, 10**9)
    assert compact_for("compact", 1000, 384)
    assert not compact_for("full", 10**12, 384)


def test_the_command_tells_both_languages(capsys: pytest.CaptureFixture[str]):
    assert main(["estimate", "10000000"]) == 0
    english, chinese = capsys.readouterr().out.splitlines()
    told = described(10_000_000, needs_of(10_000_000, compact=True))
    assert (english, chinese) == (told.en, told.zh)
    assert english.startswith("10,000,000 passages (lists)")
