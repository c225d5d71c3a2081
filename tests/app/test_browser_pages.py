"""The main path of each page in a real Chromium on the real default models; a refresh in the middle loses nothing."""

import csv
import re
from itertools import product
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

import ingest.samples
from app.wording import Wording
from tests.app.test_browser import ask, choose, finished, opened

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EN = Wording("en")
PDF = Path(ingest.samples.__file__).parent / "documents" / "events-2026.pdf"


def page_of(context: BrowserContext, address: str, name: str) -> Page:
    page = context.new_page()
    page.goto(address + name)
    page.locator("h1").first.wait_for()
    return page


def no_exception(page: Page) -> None:
    assert page.get_by_test_id("stException").count() == 0


# These two ask the samples, which make way for one's own documents: they stand before the test that adds some.
def test_the_page_of_a_pdf_is_shown_with_its_passage(context: BrowserContext, address: str):
    page = opened(context, address)
    choose(page, "rag")
    ask(page, "When does the Harbour Festival take place?")
    finished(page)
    page.wait_for_timeout(1500)
    page.locator("[class*=st-key-sources_] button").first.click()
    picture = page.get_by_role("dialog").locator("img")
    picture.wait_for()
    assert page.evaluate("(image) => image.naturalWidth", picture.element_handle()) > 600


def test_compare_answers_or_says_why_not(context: BrowserContext, address: str):
    page = page_of(context, address, "compare")
    page.get_by_role("textbox", name=EN("compare.question")).fill("How many days of annual leave do the staff have?")
    page.get_by_role("button", name=EN("compare.run"), exact=True).click()
    expect(page.get_by_text(re.compile(r"^read \d+"))).to_have_count(2)
    # No tool counts leave and no adapter was trained: those two ways say so instead of answering.
    expect(page.get_by_test_id("stAlert")).to_have_count(2)
    no_exception(page)


def test_documents_are_read_through_a_refresh_and_asked(context: BrowserContext, address: str, tmp_path: Path):
    for number in range(12):
        text = f"The lighthouse of Port {number} was built in {1850 + number} and is {20 + number} metres tall.\n"
        (tmp_path / f"port-{number}.md").write_text(f"# Port {number}\n\n{text * 8}", encoding="utf-8")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 not really")
    page = page_of(context, address, "documents")
    page.get_by_role("textbox", name=EN("documents.folder")).fill(str(tmp_path))
    page.get_by_role("button", name=EN("documents.add"), exact=True).click()
    page.get_by_test_id("stProgress").or_(page.get_by_test_id("stAlert")).first.wait_for()
    page.reload()
    expect(page.get_by_test_id("stAlert").first).to_contain_text("12")
    expect(page.get_by_text(EN("documents.failed_files", count=1))).to_be_visible()
    page.get_by_role("tab", name=EN("documents.tab_search")).click()
    field = page.get_by_role("textbox", name=EN("retrieval.query"))
    field.fill("When was the lighthouse of Port 7 built?")
    field.press("Enter")
    expect(page.get_by_test_id("stText").filter(has_text="1857").first).to_be_visible()
    no_exception(page)


def test_a_variant_of_the_lab_becomes_the_template_of_the_chat(context: BrowserContext, address: str):
    page = page_of(context, address, "prompts")
    page.get_by_role("textbox", name=EN("lab.questions")).fill("Name one colour.")
    page.get_by_role("textbox", name=EN("lab.questions")).blur()
    page.get_by_role("button", name=EN("lab.run"), exact=True).click()
    page.get_by_role("button", name=EN("lab.keep")).nth(1).wait_for()
    expect(page.locator(".ff-answer")).to_have_count(2)
    page.get_by_role("button", name=EN("lab.keep")).nth(1).click()
    page.get_by_test_id("stPopoverBody").get_by_role("button", name=EN("lab.keep")).click()
    page.get_by_text(EN("lab.kept"), exact=True).wait_for()
    page.get_by_role("link", name=EN("nav.chat")).click()
    page.get_by_role("heading", name=EN("welcome.title")).wait_for()
    choose(page, "prompt")
    # A button with a hint is drawn twice, once for wide and once for narrow pages.
    expect(page.locator(".st-key-template button").first).to_be_visible()
    page.locator(".st-key-template button").first.click()
    page.get_by_role("tab", name=EN("lab.tab_kept")).click()
    page.get_by_role("button", name=EN("lab.unuse")).click()
    page.get_by_role("button", name=EN("lab.use"), exact=True).wait_for()
    no_exception(page)


def test_an_exam_is_proposed_sat_and_found_again(context: BrowserContext, address: str):
    page = page_of(context, address, "exam")
    page.get_by_role("spinbutton", name=EN("exam.how_many")).fill("3")
    page.get_by_role("button", name=EN("exam.propose")).click()
    page.get_by_role("button", name=EN("exam.keep_all")).click()
    page.get_by_role("button", name=EN("exam.keep_all")).wait_for(state="detached")
    page.get_by_role("tab", name=EN("exam.tab_sit")).click()
    page.get_by_role("button", name=EN("mode.prompt")).click()
    page.get_by_role("button", name=re.compile("^Ask all")).click()
    page.get_by_test_id("stProgress").or_(page.get_by_test_id("stTable")).first.wait_for()
    page.reload()
    page.get_by_role("tab", name=EN("exam.tab_sit")).click()
    expect(page.get_by_test_id("stTable").first).to_contain_text(EN("mode.rag"))
    page.get_by_test_id("stSidebar").get_by_role("button", name=EN("jobs.title")).click()
    expect(page.get_by_role("dialog").get_by_text(EN("jobs.kind_exam")).first).to_be_visible()
    no_exception(page)


def begin_training(page: Page, data: Path, name: str, words: list[str]) -> None:
    """On the page Fine-tune: threes of `words` under two labels, written to `data`, checked and trained under `name`.

    Twenty times over a thousand of them: it lasts for minutes on any machine, so that a test finds it at work.
    """
    with data.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for first, second, third in product(words, repeat=3):
            writer.writerow([f"{first}, {second} and {third} in the morning", "good" if first < second else "bad"])
    page.get_by_role("tab", name=EN("finetune.new")).click()
    page.get_by_role("textbox", name=EN("finetune.name")).fill(name)
    page.get_by_role("spinbutton", name=EN("finetune.epochs")).fill("20")
    page.locator("input[type=file]").first.set_input_files(str(data))
    page.get_by_text(data.name).first.wait_for()
    page.get_by_role("button", name=EN("finetune.check"), exact=True).click()
    page.get_by_role("button", name=EN("finetune.train"), exact=True).click()


def test_a_training_goes_on_through_a_refresh_and_is_stopped(context: BrowserContext, address: str, tmp_path: Path):
    words = ["sun", "sea", "bread", "rain", "noise", "dust", "tea", "wind", "snow", "light"]
    page = page_of(context, address, "finetune")
    begin_training(page, tmp_path / "mood.csv", "moods", words)
    line = page.get_by_test_id("stSidebar").locator(".st-key-open_jobs button").first
    expect(line).to_contain_text("moods")
    page.reload()
    expect(line).to_contain_text("moods")
    line.click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_role("button", name=EN("jobs.cancel")).click()
    expect(drawer.get_by_text("moods")).to_have_count(0)
    no_exception(page)


def test_a_tool_runs_by_hand(context: BrowserContext, address: str):
    page = page_of(context, address, "tools")
    page.get_by_test_id("stExpander").filter(has_text="calculator").locator("summary").first.click()
    page.get_by_role("textbox", name="expression").fill("6 * 7")
    page.get_by_role("button", name=EN("tools.run"), exact=True).first.click()
    page.get_by_text("42", exact=True).first.wait_for()
    no_exception(page)


def test_the_models_page_lists_what_can_be_had_and_what_is_missing(context: BrowserContext, address: str):
    page = page_of(context, address, "models")
    page.get_by_text(EN("models.others"), exact=True).click()
    expect(page.get_by_text("qwen3-0.6b").first).to_be_visible()
    page.get_by_role("button", name=EN("doctor.run")).click()
    expect(page.get_by_text("llama-cpp-python").first).to_be_visible()
    no_exception(page)
