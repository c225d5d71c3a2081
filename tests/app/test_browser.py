"""The main path in a real headless Chromium, over the real default models and the sample collection."""

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, TimeoutError, expect

from app.wording import Wording

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EN = Wording("en")
LONG_TASK = "Write a long story about a lighthouse, a storm and a small boat."


def opened(context: BrowserContext, address: str) -> Page:
    page = context.new_page()
    page.goto(address)
    page.get_by_role("heading", name=EN("welcome.title")).wait_for()
    page.get_by_text(EN("model.local")).first.wait_for()
    return page


def choose(page: Page, mode: str) -> None:
    page.get_by_role("radio", name=EN(f"mode.{mode}")).click()
    expect(page.get_by_role("radio", name=EN(f"mode.{mode}"))).to_be_checked()


def ask(page: Page, text: str) -> None:
    field = page.get_by_role("textbox", name=EN("chat.placeholder"))
    field.fill(text)
    field.press("Enter")
    expect(page.locator(".ff-question").last).to_have_text(text)


def finished(page: Page) -> None:
    page.get_by_role("button", name=EN("answer.again")).wait_for()


def click_until_open(page: Page, drawer: Locator) -> None:
    """The chips answer to clicks a moment after they are drawn."""
    for _ in range(20):
        page.locator(".ff-cite").first.click()
        try:
            drawer.wait_for(timeout=5_000)
        except TimeoutError:
            continue
        return
    raise AssertionError("no click on a citation opened its source")


def test_ask_open_the_source_refresh(context: BrowserContext, address: str):
    outside: list[str] = []
    page = opened(context, address)
    page.on("request", lambda request: None if "127.0.0.1" in request.url else outside.append(request.url))
    page.locator(".st-key-welcome_questions button").first.click()
    finished(page)
    assert "25" in page.locator(".ff-answer").last.inner_text()
    drawer = page.get_by_role("dialog")
    click_until_open(page, drawer)
    expect(drawer.locator(".ff-passage")).to_contain_text("25")
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    page.reload()
    expect(page.locator(".ff-answer").last).to_contain_text("25")
    expect(page.locator(".st-key-conversations button").first).to_be_visible()
    assert [url for url in outside if not url.startswith(("data:", "blob:"))] == []


def test_tokens_stream_and_stop_keeps_them(context: BrowserContext, address: str):
    page = opened(context, address)
    choose(page, "prompt")
    ask(page, LONG_TASK)
    seen: list[int] = []
    running = page.locator(".ff-answer").last
    running.wait_for()
    for _ in range(600):
        seen.append(len(running.inner_text()))
        if len(set(seen)) == 3:
            break
        page.wait_for_timeout(50)
    assert seen == sorted(seen)
    assert len(set(seen)) == 3, "the answer was there at once: nothing streamed"
    page.get_by_role("button", name=EN("answer.stop")).click()
    finished(page)
    expect(page.get_by_text(EN("answer.stopped")).last).to_be_visible()
    assert len(page.locator(".ff-answer").last.inner_text()) >= seen[-1] - 1


def test_two_tabs_ask_at_once_and_both_are_answered(context: BrowserContext, address: str):
    first, second = opened(context, address), opened(context, address)
    for page in (first, second):
        choose(page, "prompt")
    ask(first, "Name one colour of the sky.")
    ask(second, "Name one animal of the sea.")
    for page in (first, second):
        finished(page)
        assert page.locator(".ff-answer").last.inner_text().strip()
    assert first.locator(".ff-question").inner_text() == "Name one colour of the sky."
    assert second.locator(".ff-question").inner_text() == "Name one animal of the sea."


def test_a_refresh_in_the_middle_of_an_answer_loses_nothing(context: BrowserContext, address: str):
    page = opened(context, address)
    choose(page, "prompt")
    ask(page, LONG_TASK)
    page.locator(".ff-answer").last.wait_for()
    page.reload()
    expect(page.locator(".ff-question")).to_have_text(LONG_TASK)
    finished(page)
    assert len(page.locator(".ff-answer").last.inner_text()) > 100
