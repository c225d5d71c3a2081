"""Takes pictures of the running application, with its real models and its sample collection.

    python -m docs.screenshots                      those that the documentation shows, into docs/images
    python -m docs.screenshots --only chat,search   these alone
    python -m docs.screenshots --all --looks light,dark,phone,phone-dark --to FOLDER

Needs Chromium (CHROMIUM names it where it is not found) and the package playwright.
"""

import argparse
import contextlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from app.wording import Wording
from core.config import load_settings
from core.language import Language
from docs.guest import Guest, at_rest
from docs.scenes import NOTE_TOOL, WALKS, Walk
from ingest.samples import ensure_sample_collection
from retrieval.embedder import open_embedder
from retrieval.library import Library
from tests.app.chromium import FLAGS, PATIENCE_MS, chromium, running_application

DOCS = Path(__file__).resolve().parent
IMAGES = DOCS / "images"
LOCALES: dict[Language, str] = {"en": "en-US", "zh": "zh-CN"}


@dataclass(frozen=True)
class Look:
    """How a picture is taken; `suffix` goes into the file's name. It grows to `tallest` where the page is longer."""

    suffix: str
    width: int
    height: int
    tallest: int
    dark: bool = False


LOOKS = {
    "light": Look("", 1400, 800, 1500),
    "dark": Look(".dark", 1400, 800, 1500, dark=True),
    "phone": Look(".phone", 400, 860, 2600),
    "phone-dark": Look(".phone.dark", 400, 860, 2600, dark=True),
}
# Colours of a picture in the documentation: fewer than these show, and the file is a quarter of the size.
COLOURS = 128
# Times that a page is looked at again until it stands still; a moving sign of work never does.
LOOKED_AT = 8
_LENGTH = "Math.max(...[...document.querySelectorAll('[data-testid=stMain]')].map((one) => one.scrollHeight))"


@dataclass(frozen=True)
class Album:
    """Where the pictures of one language go, and which are wanted, in which looks."""

    language: Language
    folder: Path
    wanted: frozenset[str]
    looks: tuple[Look, ...]

    def keep(self, stop: str, suffix: str, picture: bytes) -> None:
        """Write a picture and say so."""
        name = stop + (".zh" if self.language == "zh" else "") + suffix + ".png"
        (self.folder / name).write_bytes(small(picture))
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()


def shown_in_the_documentation() -> set[str]:
    """Names of the pictures that some page of the documentation shows, without language and look."""
    pages = [DOCS.parent / "README.md", DOCS.parent / "README.zh-CN.md", *DOCS.rglob("*.md")]
    found = (re.findall(r"images/([\w-]+)[\w.-]*\.png", page.read_text(encoding="utf-8")) for page in pages)
    return {name for names in found for name in names}


def take(browser: Browser, address: str, walk: Walk, album: Album, home: Path) -> list[str]:
    """Go one way in a fresh browser context and take its pictures; the stops where none was, if the way ended early."""
    first = album.looks[0]
    context = browser.new_context(
        viewport={"width": first.width, "height": first.height},
        locale=LOCALES[album.language],
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    left = [stop for stop in walk.stops if stop in album.wanted]
    try:
        with closing(walk.go(Guest(page, Wording(album.language), address, home))) as way:
            for stop in way:
                if stop in left:
                    _pictures(page, stop, album)
                    left.remove(stop)
                if not left:
                    break
    except (Error, AssertionError) as error:
        sys.stderr.write(f"{', '.join(left)}: {str(error).splitlines()[0]}\n")
        # The picture of what is there instead says more than the error.
        with contextlib.suppress(Error):
            album.keep(left[0] if left else walk.stops[-1], ".failed", page.screenshot())
    context.close()
    return [f"{stop} ({album.language})" for stop in left]


def _pictures(page: Page, stop: str, album: Album) -> None:
    """One stop in every look; the page is left as the walk had it."""
    # Away from what would tell its name.
    page.mouse.move(album.looks[0].width - 2, 2)
    for look in album.looks:
        page.emulate_media(color_scheme="dark" if look.dark else "light")
        page.set_viewport_size({"width": look.width, "height": look.height})
        at_rest(page)
        standing(page)
        length = int(page.evaluate(_LENGTH))
        if length > look.height:
            page.set_viewport_size({"width": look.width, "height": min(length, look.tallest)})
        album.keep(stop, look.suffix, standing(page))
    first = album.looks[0]
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": first.width, "height": first.height})


def standing(page: Page) -> bytes:
    """The picture of a page that stands still: Streamlit fades elements in, and charts are drawn late."""
    before = page.screenshot()
    for _ in range(LOOKED_AT):
        page.wait_for_timeout(250)
        now = page.screenshot()
        if now == before:
            return now
        before = now
    return before


def read_samples(home: Path, language: Language) -> None:
    """Give the samples their vectors before the application starts: a picture of the first minute would mislead."""
    os.environ["FOURFOLD_HOME"] = str(home)
    settings = load_settings()
    ensure_sample_collection(Library(settings, open_embedder(settings)), settings)
    settings.paths.user_tools.mkdir(parents=True, exist_ok=True)
    (settings.paths.user_tools / "notes.py").write_text(NOTE_TOOL[language], encoding="utf-8")


def small(picture: bytes) -> bytes:
    """The same picture with fewer colours."""
    with Image.open(io.BytesIO(picture)) as opened:
        out = io.BytesIO()
        opened.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def take_all(browser: Browser, albums: Sequence[Album]) -> list[str]:
    """Every language in an application of its own: what one leaves there would stand on the pages of the other.

    Returns the stops that were not reached; one that fails keeps no other way from being gone.
    """
    missing: list[str] = []
    for album in albums:
        walks = [walk for walk in WALKS if album.wanted & set(walk.stops)]
        with tempfile.TemporaryDirectory() as home:
            # Paths on the pictures begin with ~, as they do for everybody.
            data = Path(home) / "fourfold"
            read_samples(data, album.language)
            with running_application(data, {"HOME": home}) as address:
                for walk in walks:
                    missing += take(browser, address, walk, album, Path(home))
    return missing


def main() -> int:
    """Take the pictures that are asked for; 1 where one is missing, with the names of all that are."""
    options = _options()
    known = {stop for walk in WALKS for stop in walk.stops}
    wanted = set(options.only.split(",")) if options.only else known if options.all else shown_in_the_documentation()
    if wanted - known:
        sys.stderr.write(f"no way leads to: {', '.join(sorted(wanted - known))}\n")
        return 1
    looks = tuple(LOOKS[name] for name in options.looks.split(","))
    languages: list[Language] = [each for each in LOCALES if each in options.languages.split(",")]
    options.to.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        missing = take_all(browser, [Album(each, options.to, frozenset(wanted), looks) for each in languages])
        browser.close()
    if missing:
        sys.stderr.write(f"missing: {', '.join(missing)}\n")
    return 1 if missing else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names of pictures, separated by commas")
    parser.add_argument("--all", action="store_true", help="also those that no page of the documentation shows")
    parser.add_argument("--languages", default=",".join(LOCALES), help="en, zh, or both")
    parser.add_argument("--looks", default="light", help=f"of {', '.join(LOOKS)}; separated by commas")
    parser.add_argument("--to", type=Path, default=IMAGES, help="folder of the pictures")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
