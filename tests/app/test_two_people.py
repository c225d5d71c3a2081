"""Two people in two browsers, in two languages, with mixed work at the same time: no cross-talk, no crash.

Three rounds, or as many as the minutes in FOURFOLD_PEOPLE_MINUTES hold.
"""

import os
import sys
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.wording import Wording
from tests.app.chromium import PATIENCE_MS
from tests.app.test_browser import LONG_TASK, ask, choose, finished, opened
from tests.app.test_browser_pages import no_exception

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EN, ZH = Wording("en"), Wording("zh")
# Read before the tests' own environment takes its place.
MINUTES = float(os.environ.get("FOURFOLD_PEOPLE_MINUTES", "0"))


@pytest.fixture
def there(context: BrowserContext, address: str) -> Iterator[Page]:
    """The other person's page, in a browser of its own."""
    assert context.browser is not None
    other = context.browser.new_context(locale="zh-CN", viewport={"width": 1280, "height": 900})
    other.set_default_timeout(PATIENCE_MS)
    page = other.new_page()
    page.goto(address)
    page.get_by_role("heading", name=ZH("welcome.title")).wait_for()
    yield page
    other.close()


def go(page: Page, words: Wording, name: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=words(f"nav.{name}"), exact=True).click()


def ask_in_chinese(page: Page, text: str) -> None:
    page.get_by_role("radio", name=ZH("mode.rag")).click()
    field = page.get_by_role("textbox", name=ZH("chat.placeholder"))
    field.fill(text)
    field.press("Enter")


def look_around(page: Page, number: int) -> None:
    """What the second person does between two questions: the documents, a tool by hand, the X-ray, in turn."""
    if number % 3 == 0:
        go(page, ZH, "documents")
        page.get_by_role("tab", name=ZH("documents.tab_search")).click()
        field = page.get_by_role("textbox", name=ZH("retrieval.query"))
        field.fill("年假")
        field.press("Enter")
        page.get_by_test_id("stText").first.wait_for()
    elif number % 3 == 1:
        go(page, ZH, "tools")
        page.get_by_test_id("stExpander").filter(has_text="calculator").locator("summary").first.click()
        page.get_by_role("textbox", name="expression").fill(f"{number} * 7")
        page.get_by_role("button", name=ZH("tools.run"), exact=True).first.click()
        page.get_by_test_id("stCode").first.wait_for()
    else:
        go(page, ZH, "xray")
        page.get_by_test_id("stVegaLiteChart").first.wait_for()
    go(page, ZH, "chat")
    page.get_by_role("button", name=ZH("answer.again")).wait_for()


def go_on(page: Page, number: int) -> None:
    """What the first person does with an answer: another version of it, a long one that is stopped, a comparison."""
    if number % 3 == 0:
        page.get_by_role("button", name=EN("answer.again")).click()
        expect(page.get_by_text("2/2").last).to_be_visible()
    elif number % 3 == 1:
        ask(page, LONG_TASK)
        page.locator(".ff-answer").last.wait_for()
        page.get_by_role("button", name=EN("answer.stop")).click()
    else:
        go(page, EN, "compare")
        page.get_by_role("textbox", name=EN("compare.question")).fill(f"Which colour has the number {number}?")
        page.get_by_role("button", name=EN("compare.run"), exact=True).click()
        page.get_by_role("button", name=EN("compare.to_chat")).wait_for()
        go(page, EN, "chat")
    finished(page)


def test_two_people_do_not_cross(context: BrowserContext, address: str, there: Page):
    here, broken = opened(context, address), []
    for page in (here, there):
        page.on("pageerror", lambda error: broken.append(str(error)))
    until = time.monotonic() + 60 * MINUTES
    mine: list[str] = []
    theirs: list[str] = []
    while len(theirs) < 3 or time.monotonic() < until:
        number = len(theirs)
        choose(here, "prompt")
        mine.append(f"Name {number + 2} colours.")
        theirs.append(f"员工每年有几天年假？第{number + 1}次")
        ask(here, mine[-1])
        ask_in_chinese(there, theirs[-1])
        expect(there.locator(".ff-question")).to_have_count(len(theirs))
        there.get_by_role("button", name=ZH("answer.again")).wait_for()
        finished(here)
        go_on(here, number)
        if number % 3 == 1:
            mine.append(LONG_TASK)
        look_around(there, number)
        assert here.locator(".ff-question").all_inner_texts() == mine
        assert there.locator(".ff-question").all_inner_texts() == theirs
        no_exception(here)
        no_exception(there)
    assert all(text.strip() for page in (here, there) for text in page.locator(".ff-answer").all_inner_texts())
    assert broken == []
    lasted = (time.monotonic() - until) / 60 + MINUTES
    said = f"{len(theirs)} rounds in {lasted:.1f} minutes, {len(mine) + len(theirs)} questions in the two conversations"
    sys.stdout.write(f"{said}\n")
