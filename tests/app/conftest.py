"""A container with a scripted assistant, and the page over it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import container
from app.container import Container
from core.config import load_settings
from tests.app.fake_parts import ScriptedAssistant, container_over

MAIN = Path(__file__).resolve().parents[2] / "app" / "main.py"


@pytest.fixture
def assistant() -> ScriptedAssistant:
    return ScriptedAssistant()


@pytest.fixture
def box(assistant: ScriptedAssistant) -> Iterator[Container]:
    made = container_over(load_settings(), assistant).start()
    made.parts()
    container.share(made)
    yield made
    made.close()


@pytest.fixture
def page(box: Container) -> AppTest:
    return AppTest.from_file(MAIN, default_timeout=20)
