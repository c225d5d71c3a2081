"""The X-ray page in a real headless Chromium: every tab opens, draws its charts, and says its sentence."""

import pytest
from playwright.sync_api import BrowserContext, expect

from app.widgets.xray_text import WORDS
from core.language import Language
from interpretability.tour import TOUR
from tests.app.chromium import PATIENCE_MS
from tests.app.test_browser import address, browser, context  # noqa: F401 - fixtures

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LOCALES: dict[Language, str] = {"en": "en-US", "zh": "zh-CN"}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_tab_opens(context: BrowserContext, address: str, language: Language):  # noqa: F811
    speaking = context.browser
    assert speaking is not None
    page = speaking.new_context(locale=LOCALES[language], viewport={"width": 1280, "height": 1400}).new_page()
    page.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    page.goto(address + "xray")
    for stop in TOUR:
        page.get_by_role("tab", name=WORDS[f"tab_{stop.key}"].in_(language), exact=True).click()
        expect(page.get_by_text(stop.sentence.in_(language), exact=True)).to_be_visible()
        if stop.key not in ("loop", "passages"):
            expect(page.get_by_test_id("stVegaLiteChart").first).to_be_visible()
        assert page.get_by_test_id("stException").count() == 0
    page.context.close()
