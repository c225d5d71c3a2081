"""`python -m retrieval search`: passages in order, each leg by itself, filters, JSON."""

import json
from pathlib import Path

import pytest

from core.config import Settings
from retrieval.__main__ import main
from retrieval.embedder import open_embedder
from retrieval.library import Library
from tests.retrieval.conftest import put


@pytest.fixture
def collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOURFOLD_HOME", str(tmp_path))
    library = Library(Settings(home=tmp_path), open_embedder(Settings(home=tmp_path)))
    with library.writer("default") as store:
        put(
            store, library.embedder, "/a/light.md", "The lighthouse of Port Ellis is 41 metres tall.", modified_at=100.0
        )
        put(store, library.embedder, "/b/bread.md", "Bread is baked from flour and water.", modified_at=4e9)


@pytest.mark.usefixtures("collection")
def test_a_search_tells_order_evidence_and_legs(capsys: pytest.CaptureFixture[str]):
    assert main(["search", "How tall is the lighthouse?", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["chunks"][0]["chunk"]["uri"] == "/a/light.md"
    assert [hit["uri"] for hit in told["legs"]["lexical"]] == ["/a/light.md"]
    assert [hit["uri"] for hit in told["legs"]["dense"]] == ["/a/light.md", "/b/bread.md"]
    assert main(["search", "How tall is the lighthouse?", "--folder", "/b", "--after", "2001-01-01"]) == 0
    plain = capsys.readouterr().out
    assert "together" in plain
    assert "Bread is baked" in plain
    assert "lighthouse of Port Ellis" not in plain


@pytest.mark.usefixtures("collection")
def test_a_missing_collection_is_named(capsys: pytest.CaptureFixture[str]):
    assert main(["search", "anything", "--collection", "nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err
