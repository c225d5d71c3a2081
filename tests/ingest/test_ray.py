"""A real Ray cluster of two nodes here: the same chunks and vectors as without one, also when a node is lost."""

import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.config import Settings
from core.errors import SettingError
from ingest.__main__ import main
from ingest.events import FileDone, Finished
from ingest.pipeline import IngestPipeline
from ingest.samples import sample_folder
from ingest.workers import Workers
from retrieval.embedder import open_embedder
from retrieval.fakes import NeighbourEmbedder
from retrieval.library import Library
from retrieval.protocol import Vectors

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not importlib.util.find_spec("ray"), reason="ray is not installed: pip install -r requirements-servers.txt"
    ),
]
NODE = {"num_cpus": 1, "object_store_memory": 100_000_000, "include_dashboard": False}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    made = importlib.import_module("ray.cluster_utils").Cluster(initialize_head=True, head_node_args=NODE)
    yield made
    made.shutdown()


def at(home: Path) -> Settings:
    """The settings of a data folder of its own, whatever the environment says."""
    return Settings().model_copy(update={"home": home})


def stored(library: Library) -> dict[str, tuple[str, Vectors]]:
    """Text and vector by the chunk's id."""
    with library.reader("default") as store:
        chunks = dict(store.iter_chunks())
        vectors = store.vectors(list(chunks))
        return {chunk.id: (chunk.text, vectors[number]) for number, chunk in chunks.items()}


def ingested(library: Library, folder: Path, workers: Workers | None = None) -> dict[str, tuple[str, Vectors]]:
    *_, finished = IngestPipeline(library, library.settings, workers).run([folder])
    assert isinstance(finished, Finished)
    assert finished.chunks == finished.vectors > 0
    return stored(library)


def test_two_nodes_make_the_chunks_and_vectors_of_one_machine(tmp_path: Path, cluster: Any):
    from ingest.ray_pipeline import RayWorkers

    settings = at(tmp_path / "there")
    here = Library(at(tmp_path / "here"), open_embedder(settings))
    there = Library(settings, open_embedder(settings))
    second = cluster.add_node(**{**NODE, "num_cpus": 1})
    with RayWorkers(settings, cluster.address) as workers:
        made = ingested(there, sample_folder(), workers)
        # Nothing is left to do for a second run.
        again = [e for e in IngestPipeline(there, settings, workers).run([sample_folder()]) if isinstance(e, FileDone)]
    expected = ingested(here, sample_folder())
    cluster.remove_node(second, allow_graceful=True)
    assert again == []
    assert {key: text for key, (text, _) in made.items()} == {key: text for key, (text, _) in expected.items()}
    assert len(list(tmp_path.glob("*/collections/*/collection.db"))) == 2
    cosines = [float(np.dot(made[key][1], vector)) for key, (_, vector) in expected.items()]
    assert min(cosines) > 0.9999


def test_a_node_that_is_lost_midway_loses_nothing(tmp_path: Path, cluster: Any):
    from ingest.ray_pipeline import RayWorkers

    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(60):
        told = (f"Paragraph {place} of file {number} speaks of the tide and the moon." for place in range(40))
        (folder / f"{number:02}.txt").write_text("\n\n".join(told))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing more")
    settings = at(tmp_path / "there")
    there = Library(settings, NeighbourEmbedder())
    second = cluster.add_node(**NODE)
    seen: list[FileDone] = []
    with RayWorkers(settings, cluster.address, NeighbourEmbedder) as workers:
        for event in IngestPipeline(there, settings, workers).run([folder]):
            seen += [event] if isinstance(event, FileDone) else []
            if len(seen) == 15 and second is not None:
                cluster.remove_node(second, allow_graceful=False)
                second = None
    assert isinstance(event, Finished)
    assert (event.ok, len(event.failed)) == (60, 1)
    here = Library(at(tmp_path / "here"), NeighbourEmbedder())
    expected = ingested(here, folder)
    made = stored(there)
    assert len(list(tmp_path.glob("*/collections/*/collection.db"))) == 2
    assert {key: text for key, (text, _) in made.items()} == {key: text for key, (text, _) in expected.items()}
    assert all(np.array_equal(made[key][1], vector) for key, (_, vector) in expected.items())


def test_a_cluster_that_is_not_there_is_named():
    from ingest.ray_pipeline import RayWorkers

    with pytest.raises(SettingError, match=r"127\.0\.0\.1:9"):
        RayWorkers(Settings(), "ray://127.0.0.1:9")


def test_the_command_line_names_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "a.txt").write_text("A sentence.")
    assert main([str(tmp_path / "a.txt"), "--on", "ray://127.0.0.1:9", "--collection", "none", "--json"]) == 2
    assert "SettingError" in capsys.readouterr().out
