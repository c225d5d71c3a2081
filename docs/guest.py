"""A guest of the application: its browser's page, and the steps that walks through it are made of."""

import contextlib
import csv
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Error, Locator, Page, Position, TimeoutError, expect

from app.widgets.xray_text import WORDS
from app.wording import Wording
from core.language import Language
from ingest.samples import suggested_questions

# Milliseconds after which a click is held to be lost.
CLICK_MS = 5_000
# For work of many answers, or a training, on a machine busy with other things.
WORK_MS = 1_200_000
# For the pages that learn from examples: two labels, and things of which each pair makes a sentence.
_LABELS: dict[Language, tuple[str, str]] = {"en": ("good", "bad"), "zh": ("好", "坏")}
_THINGS: dict[Language, str] = {
    "en": "sun sea bread rain noise dust tea wind",
    "zh": "太阳 大海 面包 下雨 噪音 灰尘 热茶 大风",
}
_SENTENCE: dict[Language, str] = {"en": "{} and {} in the morning", "zh": "早上有{}和{}"}


@dataclass(frozen=True)
class Guest:
    """A browser's page over the application, the words of its language, and the home folder of the application."""

    page: Page
    words: Wording
    address: str
    home: Path

    def say(self, key: str, **values: object) -> str:
        """A string of the page."""
        return self.words(key, **values)

    def xray(self, key: str) -> str:
        """A string of the X-ray."""
        return WORDS[key].in_(self.words.language)

    def button(self, key: str, **values: object) -> Locator:
        """A button by its words; one with a hint is drawn twice, for wide and for narrow pages."""
        return self.page.get_by_role("button", name=self.say(key, **values), exact=True).locator("visible=true").first

    def tab(self, name: str) -> None:
        """Open a tab by its title."""
        self.page.get_by_role("tab", name=name, exact=True).click()


def sample(language: Language, mode: str) -> str:
    """The sample question that the welcome offers for a mode."""
    return next(each.text for each in suggested_questions() if (each.language, each.mode) == (language, mode))


def ask(guest: Guest, text: str, mode: str) -> None:
    """Ask in an empty conversation and wait for the end of the answer."""
    page = guest.page
    open_start(guest)
    way = page.get_by_role("radio", name=guest.say(f"mode.{mode}"))
    click_until(way, page.get_by_role("radio", name=guest.say(f"mode.{mode}"), checked=True))
    fill(page.get_by_role("textbox", name=guest.say("chat.placeholder")), text)
    expect(page.locator(".ff-question")).to_have_text(text)
    guest.button("answer.again").wait_for()
    at_rest(page)


def open_page(guest: Guest, path: str) -> None:
    """Go to a page of the application and wait for its title."""
    guest.page.goto(guest.address + path)
    guest.page.locator("h1").first.wait_for()
    at_rest(guest.page)


def open_start(guest: Guest) -> None:
    """The welcome, once the model is there: a picture that says "loading" would be true for a moment only."""
    guest.page.goto(guest.address)
    guest.page.get_by_role("heading", name=guest.say("welcome.title")).wait_for()
    guest.page.get_by_text(guest.say("model.local")).first.wait_for(state="attached")
    at_rest(guest.page)


def at_rest(page: Page) -> None:
    """Wait until the program draws nothing: what is clicked while it draws is lost."""
    page.locator("[data-test-script-state=notRunning]").first.wait_for(state="attached")


def fill(field: Locator, text: str) -> None:
    """Type into a field and say that it is all."""
    field.fill(text)
    field.press("Enter")


def give_file(guest: Guest, path: Path) -> None:
    """Give a file to the upload field that is seen."""
    guest.page.locator("[data-testid=stFileUploader]:visible input[type=file]").first.set_input_files(str(path))
    guest.page.get_by_text(path.name).locator("visible=true").first.wait_for()


def popover(page: Page, key: str) -> None:
    """Open the popover whose key begins so."""
    button = page.locator(f"[class*=st-key-{key}] button:visible").last
    click_until(button, page.get_by_test_id("stPopoverBody"))


def shut(page: Page) -> None:
    """Close the popover that is open."""
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("stPopoverBody")).to_have_count(0)


def open_source(page: Page) -> None:
    """The passage behind the first chip."""
    chip = page.locator("[class*=st-key-sources_] button:visible").first
    click_until(chip, page.get_by_role("dialog").locator(".ff-passage, img").first)


def leave_drawer(page: Page) -> None:
    """Close the drawer that is open."""
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    at_rest(page)


def click_until(target: Locator, seen: Locator, place: Position | None = None) -> None:
    """Click until it shows: what is clicked in the moment in which the page is drawn anew is lost."""
    for _ in range(20):
        # A second click finds the way barred where the first one was only slow to show.
        with contextlib.suppress(TimeoutError):
            target.click(position=place, timeout=CLICK_MS)
        try:
            seen.wait_for(timeout=2 * CLICK_MS)
        except TimeoutError:
            continue
        return
    raise Error("nothing came of a click")


def moods(guest: Guest) -> Path:
    """A file of labelled examples in the language of the page."""
    path, language = guest.home / "moods.csv", guest.words.language
    things = _THINGS[language].split()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for place, first in enumerate(things):
            for other, second in enumerate(things):
                writer.writerow([_SENTENCE[language].format(first, second), _LABELS[language][place > other]])
    return path
