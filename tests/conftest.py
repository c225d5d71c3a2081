"""What every test shares: a data folder of its own, and no network but this machine."""

import os
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
