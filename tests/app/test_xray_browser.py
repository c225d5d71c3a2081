"""The X-ray page in a real headless Chromium: every tab, saved pictures, an answer of the chat explained."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.widgets.xray_text import WORDS
from core.language import Language
from interpretability.tour import TOUR
from tests.app.chromium import PATIENCE_MS
from tests.app.test_browser import finished, opened

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LOCALES: dict[Language, str] = {"en": "en-US", "zh": "zh-CN"}
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(params=["en", "zh"])
def speaking(request: pytest.FixtureRequest, context: BrowserContext) -> Iterator[tuple[Page, Language]]:
    """A page in each language, and the language."""
    assert context.browser is not None
    expect.set_options(timeout=PATIENCE_MS)
    language: Language = request.param
    own = context.browser.new_context(locale=LOCALES[language], viewport={"width": 1280, "height": 1400})
    own.set_default_timeout(PATIENCE_MS)
    yield own.new_page(), language
    own.close()


def open_tab(page: Page, name: str, language: Language = "en") -> None:
    page.get_by_role("tab", name=WORDS[f"tab_{name}"].in_(language), exact=True).click()


def test_every_tab_opens(speaking: tuple[Page, Language], address: str):
    page, language = speaking
    page.goto(address + "xray")
    for stop in TOUR:
        open_tab(page, stop.key, language)
        expect(page.get_by_text(stop.sentence.in_(language), exact=True)).to_be_visible()
        if stop.key not in ("loop", "passages"):
            expect(page.get_by_test_id("stVegaLiteChart").first).to_be_visible()
        assert page.get_by_test_id("stException").count() == 0


def test_the_tour_leads_on(speaking: tuple[Page, Language], address: str):
    page, language = speaking
    page.goto(address + "xray")
    title = WORDS["tab_embeddings"].in_(language)
    page.get_by_role("button", name=WORDS["onward"].in_(language).format(n=2, total=11, title=title)).click()
    expect(page.get_by_text(TOUR[1].sentence.in_(language), exact=True)).to_be_visible()
    expect(page.get_by_role("tab", name=title, exact=True)).to_have_attribute("aria-selected", "true")


def test_a_picture_is_saved(context: BrowserContext, address: str):
    page = context.new_page()
    page.goto(address + "xray")
    open_tab(page, "attention")
    chart = page.get_by_test_id("stVegaLiteChart").first
    expect(chart).to_be_visible()
    chart.hover()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download as PNG").first.click()
    picture = saved.value.path().read_bytes()
    assert picture.startswith(PNG)
    assert len(picture) > 5_000
    assert saved.value.suggested_filename.endswith(".png")


def test_an_answer_is_explained_by_one_click_and_kept(context: BrowserContext, address: str):
    page = opened(context, address)
    page.locator(".st-key-welcome_questions button").first.click()
    finished(page)
    page.locator("[class*=st-key-xray_] button").first.click()
    expect(page.get_by_role("tab", name=WORDS["tab_passages"].en, exact=True)).to_have_attribute(
        "aria-selected", "true"
    )
    page.get_by_role("button", name=WORDS["find_out"].en).click()
    page.get_by_role("button", name=WORDS["keep"].en).click()
    expect(page.get_by_text(WORDS["kept"].en)).to_be_visible()
    page.reload()
    expect(page.get_by_text(WORDS["reopened"].en)).to_be_visible()
    open_tab(page, "attention")
    expect(page.get_by_text(WORDS["pick_cell"].en)).to_be_visible()
    click_a_cell(page)
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(2)
    assert page.get_by_test_id("stException").count() == 0


def click_a_cell(page: Page) -> None:
    """The first cell of the picture; it answers to clicks a moment after it is drawn."""
    cells = page.get_by_test_id("stVegaLiteChart").first.locator(".mark-rect.role-mark path")
    for _ in range(20):
        if cells.count():
            cells.first.click(force=True)
        page.wait_for_timeout(2_000)
        if page.get_by_test_id("stVegaLiteChart").count() == 2:
            return
    raise AssertionError("no click on a cell showed its tokens")
