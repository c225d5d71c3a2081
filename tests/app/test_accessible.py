"""Every page under axe-core in a real Chromium: no serious violation, in light and dark, wide and narrow."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

PAGES = ("", "documents", "compare", "prompts", "tools", "finetune", "exam", "xray", "models")
pytestmark = [pytest.mark.browser, pytest.mark.slow]

_SPEC = find_spec("axe_playwright_python")
assert _SPEC is not None
assert _SPEC.origin is not None
AXE = Path(_SPEC.origin).parent / "axe.min.js"
# Elements that Streamlit itself draws and no page of ours can change; each with what axe says of it.
NOT_OURS = ("stDataFrameGlideDataEditor",)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
SERIOUS = ("serious", "critical")


def violations(page: Page) -> list[str]:
    """What axe finds serious, as `rule: element`, elements that are not ours left out."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("(tags) => axe.run(document, {runOnly: tags})", RULES)
    return [
        f"{rule['id']}: {node['html'][:160]}"
        for rule in found["violations"]
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
        if not any(name in node["html"] for name in NOT_OURS)
    ]


def look_at(page: Page, address: str, name: str) -> None:
    page.goto(address + name)
    page.locator("h1").first.wait_for()
    # Streamlit fades elements in: half-faded text has half its contrast.
    page.wait_for_timeout(1500)


@pytest.mark.parametrize("name", PAGES, ids=lambda name: name or "chat")
def test_a_page_has_no_serious_violation(context: BrowserContext, address: str, name: str):
    page = context.new_page()
    page.emulate_media(reduced_motion="reduce", color_scheme="light")
    look_at(page, address, name)
    found = set(violations(page))
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(500)
    found |= set(violations(page))
    assert found == set()


def test_a_narrow_page_does_not_scroll_sideways(context: BrowserContext, address: str):
    page = context.new_page()
    page.set_viewport_size({"width": 400, "height": 860})
    wide = []
    for name in PAGES:
        look_at(page, address, name)
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1"):
            wide.append(name)
    assert wide == []
