"""A container with a scripted assistant, and the page over it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright
from streamlit.testing.v1 import AppTest

from app import container
from app.container import Container
from core.config import load_settings
from tests.app.chromium import FLAGS, PATIENCE_MS, chromium, running_application
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


@pytest.fixture(autouse=True)
def _own_main() -> Iterator[None]:
    """AppTest puts its script in the place of `__main__`, where a process that is spawned later would look for it."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture
def page(box: Container) -> AppTest:
    return AppTest.from_file(MAIN, default_timeout=20)


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The application in a process of its own, one for all browser tests: opening the models takes longest."""
    with running_application(tmp_path_factory.mktemp("home"), {"FOURFOLD_MAX_TOKENS": "900"}) as started:
        yield started


# For a module alone: Playwright keeps an event loop running in its thread, in which no test of async code can run.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = chromium()
    if executable is None:
        pytest.skip("no Chromium on this machine; CHROMIUM may name one")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as play:
        launched = play.chromium.launch(executable_path=executable, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 900})
    made.set_default_timeout(PATIENCE_MS)
    yield made
    made.close()
