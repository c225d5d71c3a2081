"""The keys that the guide names, pressed in a real Chromium."""

import pytest
from playwright.sync_api import BrowserContext, expect

from app.wording import Wording
from tests.app.test_browser import LONG_TASK, ask, choose, finished, opened

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EN = Wording("en")


def test_a_question_is_written_sent_stopped_and_left_by_keys(context: BrowserContext, address: str):
    page = opened(context, address)
    choose(page, "prompt")
    field = page.get_by_role("textbox", name=EN("chat.placeholder"))
    field.click()
    page.keyboard.type("Name one colour.")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("Only its name.")
    page.keyboard.press("Enter")
    expect(page.locator(".ff-question")).to_have_text("Name one colour.\nOnly its name.")
    finished(page)
    ask(page, LONG_TASK)
    page.locator(".ff-answer").nth(1).wait_for()
    # Not the answer itself: it is drawn anew many times a second, and never stands still to be clicked.
    page.locator(".ff-question").last.click()
    page.keyboard.press("Escape")
    finished(page)
    expect(page.get_by_text(EN("answer.stopped")).last).to_be_visible()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("textbox", name=EN("sidebar.search"))).to_be_focused()
    page.keyboard.press("Control+Shift+O")
    page.get_by_role("heading", name=EN("welcome.title")).wait_for()
