"""How long until a page can be used, and until another one stands: measured in Chromium on the running application.

    python -m docs.page_speed [--rounds 3] [--pictures FOLDER]

Prints one JSON object: seconds from the start of the process to a usable page (a fresh data folder, then a known one)
and to a loaded model; milliseconds of every switch of a page until its title stands, first and later visits apart, and
(`drawn_ms`) until nothing is drawn any more. `work_ms` and `work_s` are of the processor, which a busy machine hardly
changes: the application and the browser together.
"""

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from app.widgets.xray_text import WORDS
from app.wording import Wording
from tests.app.chromium import FLAGS, PATIENCE_MS, chromium, running_application

EN = Wording("en")
# name of a page -> its title, in the order in which they are visited
PAGES = {
    "documents": EN("nav.documents"),
    "compare": EN("compare.title"),
    "prompts": EN("lab.title"),
    "tools": EN("nav.tools"),
    "finetune": EN("finetune.title"),
    "exam": EN("exam.title"),
    "xray": WORDS["title"].en,
    "models": EN("models.title"),
    "chat": EN("welcome.title"),
}
STANDS = "document.querySelector('[data-test-script-state]')?.dataset.testScriptState === 'notRunning'"


def cold_start(browser: Browser, home: Path) -> dict[str, float]:
    """Seconds from the start of the process until a question can be typed, and until the model is there."""
    started, before = time.monotonic(), work()
    with running_application(home) as address:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        page.get_by_role("heading", name=EN("welcome.title")).wait_for()
        page.get_by_role("textbox", name=EN("chat.placeholder")).click()
        usable, worked = time.monotonic() - started, work() - before
        page.get_by_text(EN("model.local")).first.wait_for()
        found = {"usable_s": round(usable, 2), "model_s": round(time.monotonic() - started, 2)}
        found["work_s"] = round(worked / 1000, 2)
        page.close()
    return found


def work() -> float:
    """Processor milliseconds so far of everything that this program started: the application, the browser."""
    taken = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            taken += times.user + times.system
    return taken * 1000


def switch(page: Page, name: str) -> tuple[float, float, float]:
    """Milliseconds from the click on a page's name until its title stands, and until nothing is drawn any more.

    The third are those of the processor until the title stands: what a still machine would take at most, with one core.
    """
    link = page.get_by_test_id("stSidebarNav").get_by_role("link", name=EN(f"nav.{name}"), exact=True)
    # The title of the page before stands until the new one is drawn.
    title = page.get_by_role("heading", name=PAGES[name], exact=True, level=1)
    started, before = time.monotonic(), work()
    link.click()
    title.wait_for()
    shown, worked = (time.monotonic() - started) * 1000, work() - before
    page.wait_for_function(STANDS, polling=10)
    return shown, (time.monotonic() - started) * 1000, worked


def switches(browser: Browser, address: str, rounds: int, pictures: Path | None) -> dict[str, dict[str, float]]:
    """Every page in turn, so many times."""
    page = browser.new_page(viewport={"width": 1400, "height": 900}, reduced_motion="reduce")
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    page.get_by_text(EN("model.local")).first.wait_for()
    # What is imported in the background after the model: a person is not that quick.
    page.wait_for_timeout(6000)
    taken: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for number in range(rounds):
        for name in PAGES:
            taken[name].append(switch(page, name))
            page.wait_for_timeout(300)
            if number == 0 and pictures is not None:
                page.screenshot(path=pictures / f"{name}.png")
    page.close()
    return {name: _figures(times) for name, times in taken.items()}


def _figures(times: list[tuple[float, float, float]]) -> dict[str, float]:
    """The first visit, and of the later ones the median and the least, which a busy machine disturbs least."""
    later = times[1:] or times
    return {
        "first_ms": round(times[0][0]),
        "later_ms": round(statistics.median(shown for shown, _, _ in later)),
        "least_ms": round(min(shown for shown, _, _ in later)),
        "drawn_ms": round(statistics.median(drawn for _, drawn, _ in later)),
        "work_ms": round(statistics.median(worked for _, _, worked in later)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=Path, help="keep a picture of every page here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        found: dict[str, object] = {"first_start": cold_start(browser, Path(home))}
        found["cold_start"] = cold_start(browser, Path(home))
        with running_application(Path(home)) as address:
            found["switches"] = switches(browser, address, options.rounds, options.pictures)
        browser.close()
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
