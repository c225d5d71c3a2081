"""Takes the pictures in docs/images from the running application, with its real models and its sample collection.

    python -m docs.screenshots [--only chat,documents] [--to FOLDER]

Needs Chromium (CHROMIUM names it where it is not found) and the package playwright.
"""

import argparse
import io
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from app.wording import Wording
from core.config import load_settings
from core.language import Language
from ingest.samples import ensure_sample_collection, suggested_questions
from retrieval.embedder import open_embedder
from retrieval.library import Library
from tests.app.chromium import FLAGS, PATIENCE_MS, chromium, running_application

IMAGES = Path(__file__).resolve().parent / "images"
LOCALES: dict[Language, str] = {"en": "en-US", "zh": "zh-CN"}


@dataclass(frozen=True)
class Look:
    """How a picture is taken; `suffix` goes into the file's name."""

    suffix: str
    width: int
    height: int
    dark: bool = False


LOOKS = {
    "light": Look("", 1400, 900),
    "dark": Look(".dark", 1400, 900, dark=True),
    "phone": Look(".phone", 400, 860),
    "phone-dark": Look(".phone.dark", 400, 860, dark=True),
}
# Colours of a picture in the documentation: fewer than these show, and the file is a quarter of the size.
COLOURS = 128


@dataclass(frozen=True)
class Shot:
    """A picture: its name and how to come to what it shows."""

    name: str
    go: Callable[[Page, Wording], None]


def chat(page: Page, words: Wording) -> None:
    """The first answer, with its receipt and its sources."""
    ask_offered(page, words, "rag")


def ask_offered(page: Page, words: Wording, mode: str) -> None:
    """Click a question of the welcome and wait for the end of its answer."""
    open_start(page, words)
    text = question(words.language, mode)
    page.locator(".st-key-welcome_questions").get_by_role("button", name=text).click()
    expect(page.locator(".ff-question")).to_have_text(text)
    page.get_by_role("button", name=words("answer.again")).wait_for()


def welcome(page: Page, words: Wording) -> None:
    """The empty conversation."""
    open_start(page, words)


def source(page: Page, words: Wording) -> None:
    """The passage behind the first citation."""
    chat(page, words)
    # The page is drawn once more when an answer has ended: a click in that moment is lost.
    page.wait_for_timeout(1500)
    page.locator("[class*=st-key-sources_] button:visible").first.click()
    page.get_by_role("dialog").locator(".ff-passage, img").first.wait_for()


def prompt(page: Page, words: Wording) -> None:
    """What the model read; the default model writes no Chinese, so there a tool's answer is opened."""
    ask_offered(page, words, "rag" if words.language == "en" else "tools")
    page.get_by_role("button", name=words("prompt.open")).click()
    page.get_by_role("dialog").locator(".ff-prompt").wait_for()


def documents(page: Page, words: Wording) -> None:
    """The ledger of the sample collection."""
    open_page(page, "documents")
    page.get_by_role("tab", name=words("documents.tab_files")).wait_for()
    page.locator("[data-testid=stDataFrame]").wait_for()


def search(page: Page, words: Wording) -> None:
    """The search tab."""
    documents(page, words)
    page.get_by_role("tab", name=words("documents.tab_search")).click()
    field = page.get_by_role("textbox", name=words("retrieval.query"))
    field.fill(next(each.text for each in suggested_questions() if each.language == words.language))
    field.press("Enter")
    page.locator("[data-testid=stText]:visible").first.wait_for()


def models(page: Page, words: Wording) -> None:
    """The model and the settings."""
    open_page(page, "models")
    page.get_by_text(words("models.quantisation")).wait_for()


def compare(page: Page, words: Wording) -> None:
    """One question, four ways."""
    open_page(page, "compare")
    page.get_by_role("textbox", name=words("compare.question")).fill(question(words.language, "rag"))
    page.get_by_role("button", name=words("compare.run")).click()
    page.get_by_role("button", name=words("compare.to_chat")).wait_for()


def prompts(page: Page, words: Wording) -> None:
    """Two variants and what the model said to each."""
    open_page(page, "prompts")
    page.get_by_role("button", name=words("lab.run"), exact=True).click()
    page.get_by_role("button", name=words("lab.keep")).first.wait_for()


def exam(page: Page, words: Wording) -> None:
    """Questions that were proposed from the sample documents."""
    open_page(page, "exam")
    if not page.get_by_role("button", name=words("exam.save")).is_visible():
        page.get_by_role("button", name=words("exam.propose")).click()
    page.get_by_role("button", name=words("exam.save")).wait_for()


def jobs(page: Page, words: Wording) -> None:
    """The drawer of the jobs; the exam's questions were one."""
    exam(page, words)
    open_sidebar(page)
    page.get_by_test_id("stSidebar").get_by_role("button", name=words("jobs.title")).click()
    page.get_by_role("dialog").get_by_text(words("jobs.kind_propose")).first.wait_for()


def tools(page: Page, words: Wording) -> None:
    """What the model may call."""
    open_page(page, "tools")
    page.locator("[data-testid=stExpander]").first.wait_for()


def finetune(page: Page, words: Wording) -> None:
    """The adapters."""
    open_page(page, "finetune")
    page.locator("[data-testid=stTable]").first.wait_for()


def xray(page: Page, words: Wording) -> None:
    """The first step of the tour."""
    open_page(page, "xray")
    page.get_by_test_id("stVegaLiteChart").first.wait_for()


_WAYS = (
    welcome, chat, source, prompt, documents, search, compare, prompts, tools, finetune, exam, jobs, xray, models,
)  # fmt: skip
SHOTS = tuple(Shot(go.__name__, go) for go in _WAYS)


def question(language: Language, mode: str) -> str:
    """The sample question that the welcome offers for a mode."""
    return next(each.text for each in suggested_questions() if (each.language, each.mode) == (language, mode))


def open_page(page: Page, path: str) -> None:
    """Go to a page of the application and wait for its title."""
    page.goto(f"http://127.0.0.1:{port_of(page)}/{path}")
    page.locator("h1").wait_for()


def open_start(page: Page, words: Wording) -> None:
    """The welcome, once the model is there: a picture that says "loading" would be true for a moment only."""
    page.goto(f"http://127.0.0.1:{port_of(page)}/")
    page.get_by_role("heading", name=words("welcome.title")).wait_for()
    page.get_by_text(words("model.local")).first.wait_for(state="attached")


def open_sidebar(page: Page) -> None:
    """On a narrow screen the sidebar is folded away."""
    unfold = page.get_by_test_id("stExpandSidebarButton")
    if unfold.is_visible():
        unfold.click()


def port_of(page: Page) -> str:
    """The port of the application that this page was opened on."""
    return page.url.split("/")[2].rsplit(":", 1)[1]


def take(
    browser: Browser, address: str, shot: Shot, language: Language, looks: Sequence[Look]
) -> Iterator[tuple[Look, bytes]]:
    """The pictures of one width, in a fresh browser context: one way, and light and dark as two views of its end."""
    context = browser.new_context(
        viewport={"width": looks[0].width, "height": looks[0].height},
        locale=LOCALES[language],
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    try:
        shot.go(page, Wording(language))
    except Error as error:
        # The picture of what is there instead says more than the error.
        yield replace(looks[0], suffix=looks[0].suffix + ".failed"), page.screenshot()
        sys.stderr.write(f"{shot.name}: {error.message.splitlines()[0]}\n")
        context.close()
        return
    for look in looks:
        page.emulate_media(color_scheme="dark" if look.dark else "light")
        # Streamlit fades elements in.
        page.wait_for_timeout(1200)
        yield look, page.screenshot()
    context.close()


def read_samples(home: Path) -> None:
    """Give the samples their vectors before the application starts: a picture of the first minute would mislead."""
    os.environ["FOURFOLD_HOME"] = str(home)
    settings = load_settings()
    ensure_sample_collection(Library(settings, open_embedder(settings)), settings)


def small(picture: bytes) -> bytes:
    """The same picture with fewer colours."""
    with Image.open(io.BytesIO(picture)) as opened:
        out = io.BytesIO()
        opened.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def main() -> None:
    """Take the pictures that are asked for."""
    options = _options()
    wanted = [shot for shot in SHOTS if not options.only or shot.name in options.only.split(",")]
    looks = [LOOKS[name] for name in options.looks.split(",")]
    languages: list[Language] = [each for each in LOCALES if each in options.languages.split(",")]
    options.to.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=PATIENCE_MS)
    with tempfile.TemporaryDirectory() as home:
        read_samples(Path(home))
        with running_application(Path(home)) as address, sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
            for language, shot, (_, group) in itertools.product(languages, wanted, _by_width(looks)):
                for look, picture in take(browser, address, shot, language, group):
                    name = shot.name + (".zh" if language == "zh" else "") + look.suffix + ".png"
                    (options.to / name).write_bytes(small(picture))
                    sys.stdout.write(f"{name}\n")
                    sys.stdout.flush()


def _by_width(looks: Sequence[Look]) -> list[tuple[int, list[Look]]]:
    ordered = sorted(looks, key=lambda look: -look.width)
    return [(width, list(group)) for width, group in itertools.groupby(ordered, key=lambda look: look.width)]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names of pictures, separated by commas")
    parser.add_argument("--languages", default=",".join(LOCALES), help="en, zh, or both")
    parser.add_argument("--looks", default="light", help=f"of {', '.join(LOOKS)}; separated by commas")
    parser.add_argument("--to", type=Path, default=IMAGES, help="folder of the pictures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
