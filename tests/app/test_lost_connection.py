"""The connection is lost in the middle of an answer, an ingest, a training: the work goes on, the page comes back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.wording import Wording
from tests.app.chromium import running_application
from tests.app.cut_line import Line, line_to
from tests.app.test_browser import LONG_TASK, ask, choose, finished, opened
from tests.app.test_browser_pages import begin_training, no_exception, page_of

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EN = Wording("en")
# As long as a walk through a tunnel: the browser has noticed and has tried again in vain.
GONE_MS = 4_000


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An application of its own: its jobs and what was cut off stay out of the other tests' way."""
    with running_application(tmp_path_factory.mktemp("home"), {"FOURFOLD_MAX_TOKENS": "900"}) as started:
        yield started


@pytest.fixture
def line(address: str) -> Iterator[Line]:
    with line_to(address) as made:
        yield made


def lose(page: Page, line: Line) -> None:
    line.cut()
    page.wait_for_timeout(GONE_MS)
    line.mend()


def test_in_the_middle_of_an_answer(context: BrowserContext, line: Line):
    page = opened(context, line.address)
    choose(page, "prompt")
    ask(page, LONG_TASK)
    page.locator(".ff-answer").last.wait_for()
    before = page.locator(".ff-answer").last.inner_text()
    lose(page, line)
    finished(page)
    after = page.locator(".ff-answer").last.inner_text()
    assert len(after) > 100
    assert after.startswith(before[:40])
    expect(page.locator(".ff-question")).to_have_text(LONG_TASK)
    no_exception(page)


def test_in_the_middle_of_an_ingest(context: BrowserContext, line: Line, tmp_path: Path):
    for number in range(12):
        text = f"The mill of Valley {number} was built in {1750 + number}.\n"
        (tmp_path / f"mill-{number}.md").write_text(f"# Valley {number}\n\n{text * 30}", encoding="utf-8")
    page = page_of(context, line.address, "documents")
    page.get_by_role("textbox", name=EN("documents.folder")).fill(str(tmp_path))
    page.get_by_role("button", name=EN("documents.add"), exact=True).click()
    page.get_by_test_id("stProgress").or_(page.get_by_test_id("stAlert")).first.wait_for()
    lose(page, line)
    expect(page.get_by_test_id("stAlert").first).to_contain_text("12")
    no_exception(page)


def test_in_the_middle_of_a_training(context: BrowserContext, line: Line, tmp_path: Path):
    words = ["calm", "storm", "sun", "fog", "sea", "bread", "rain", "noise", "dust", "tea", "wind", "snow"]
    page = page_of(context, line.address, "finetune")
    begin_training(page, tmp_path / "tide.csv", "tides", words)
    button = page.get_by_test_id("stSidebar").locator(".st-key-open_jobs button").first
    expect(button).to_contain_text("tides")
    lose(page, line)
    expect(button).to_contain_text("tides")
    button.click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_role("progressbar").first).to_be_visible()
    drawer.get_by_role("button", name=EN("jobs.cancel")).first.click()
    expect(drawer.get_by_text("tides")).to_have_count(0)
    no_exception(page)
