"""The real default model behind the real worker process, started once for all tests of the engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.config import Settings, load_settings
from core.paths import embedded_chat_model
from inference.local_engine import LocalEngine
from inference.runtime import open_engine


@pytest.fixture(scope="session")
def model_path() -> Path:
    path = embedded_chat_model()
    assert path is not None
    return path


@pytest.fixture(scope="session")
def adapter_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("adapters")


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(home=tmp_path_factory.mktemp("engine-home"), n_ctx=2048, queue_size=4)


@pytest.fixture(scope="session")
def engine(settings: Settings, adapter_folder: Path) -> Iterator[LocalEngine]:
    opened = open_engine(settings, adapter_folders=[adapter_folder], extensions=("tests.inference.sample_extension",))
    assert isinstance(opened, LocalEngine)
    yield opened
    opened.close()
