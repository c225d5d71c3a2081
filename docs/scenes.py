"""What there is to see in the application: walks through it, each with the stops at which a picture is taken.

A walk waits for what it needs to see, never for a time: a busy machine takes longer and shows the same.
"""

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial

from app.wording import Wording
from core.language import Language
from docs.guest import (
    WORK_MS,
    Guest,
    ask,
    click_until,
    fill,
    give_file,
    leave_drawer,
    moods,
    open_page,
    open_source,
    open_start,
    popover,
    sample,
    shut,
)
from interpretability.tour import TOUR, Stop

# A tool of one's own that writes: it waits for a word.
_NOTE_TOOL = '''
from langchain_core.tools import tool


@tool(extras={{"risk": "write"}})
def save_note(title: str, text: str) -> str:
    """{}

    Args:
        title: {}
        text: {}
    """
    return f"saved: {{title}}"
'''
NOTE_TOOL: dict[Language, str] = {
    "en": _NOTE_TOOL.format("Save a note with a title and a text.", "a few words", "what the note says"),
    "zh": _NOTE_TOOL.format("保存一条便签，包括标题和内容。", "便签的标题", "便签的内容"),
}
_ASKED: dict[str, dict[Language, str]] = {
    "refusal": {"en": "Who won the 1998 football world cup?", "zh": "1998 年世界杯的冠军是哪支球队？"},
    "pdf": {"en": "When does the Harbour Festival take place?", "zh": "Harbour Festival 在什么时候举行？"},
    "approval": {
        "en": "Save a note with the title 'printer' and the text 'call the printer on Monday'",
        "zh": "保存一条便签，标题“打印店”，内容“周一打电话给打印店”",
    },
    "first": {"en": "How long does the battery of the Lumen reading lamp last?", "zh": "灯会员的退货期限是多少天？"},
}

Go = Callable[[Guest], Generator[str]]


@dataclass(frozen=True)
class Walk:
    """A way through the application; `go` yields the name of each stop when the page shows it."""

    stops: tuple[str, ...]
    go: Go


WALKS: list[Walk] = []


def walk(*stops: str) -> Callable[[Go], Go]:
    """Enter a walk with its stops into the list."""

    def enter(go: Go) -> Go:
        WALKS.append(Walk(stops, go))
        return go

    return enter


# --- chat


@walk("welcome")
def welcome(guest: Guest) -> Generator[str]:
    """The empty conversation."""
    open_start(guest)
    yield "welcome"


@walk("chat", "receipt", "source", "scope")
def chat(guest: Guest) -> Generator[str]:
    """A question that is routed by itself, its answer, and what stands behind it."""
    page = guest.page
    ask(guest, _ASKED["first"][guest.words.language], "auto")
    yield "chat"
    popover(page, "receipt_")
    yield "receipt"
    shut(page)
    open_source(page)
    yield "source"
    leave_drawer(page)
    page.locator(".st-key-scope_picker button:visible").first.click()
    page.get_by_role("dialog").get_by_role("combobox").first.wait_for()
    yield "scope"


@walk("bill")
def bill(guest: Guest) -> Generator[str]:
    """What an answer took; an English one, because the default model writes no other."""
    ask(guest, _ASKED["first"]["en"], "rag")
    guest.page.locator("[class*=st-key-bill_] button:visible").last.click()
    guest.page.get_by_role("dialog").get_by_test_id("stCaptionContainer").nth(1).wait_for()
    yield "bill"


@walk("prompt")
def prompt(guest: Guest) -> Generator[str]:
    """What the model read; the default model writes no Chinese, so there a tool's answer is opened."""
    if guest.words.language == "en":
        ask(guest, _ASKED["first"]["en"], "rag")
    else:
        ask(guest, sample("zh", "tools"), "tools")
    guest.button("prompt.open").click()
    guest.page.get_by_role("dialog").locator(".ff-prompt").wait_for()
    yield "prompt"


@walk("chat-tools")
def chat_tools(guest: Guest) -> Generator[str]:
    """An answer by a tool."""
    ask(guest, sample(guest.words.language, "tools"), "tools")
    yield "chat-tools"


@walk("chat-prompt")
def chat_prompt(guest: Guest) -> Generator[str]:
    """An answer by the model alone."""
    ask(guest, sample(guest.words.language, "prompt"), "prompt")
    yield "chat-prompt"


@walk("refusal")
def refusal(guest: Guest) -> Generator[str]:
    """A question that the documents do not answer."""
    ask(guest, _ASKED["refusal"][guest.words.language], "rag")
    guest.button("answer.without_documents").wait_for()
    yield "refusal"


@walk("approval")
def approval(guest: Guest) -> Generator[str]:
    """A call that waits for a word."""
    ask(guest, _ASKED["approval"][guest.words.language], "tools")
    guest.button("approval.allow").wait_for()
    yield "approval"


@walk("source-pdf")
def source_pdf(guest: Guest) -> Generator[str]:
    """The page of a PDF with its passage."""
    ask(guest, _ASKED["pdf"][guest.words.language], "rag")
    open_source(guest.page)
    yield "source-pdf"


# --- documents


@walk("documents", "document", "search")
def documents(guest: Guest) -> Generator[str]:
    """The ledger of the samples, one document of it, and the search."""
    page = guest.page
    open_page(guest, "documents")
    ledger = page.get_by_test_id("stDataFrame").first
    ledger.wait_for()
    yield "documents"
    # The boxes of the rows are painted on a canvas: the third row, in the column of the boxes.
    click_until(ledger, page.get_by_test_id("stExpander").first, {"x": 16, "y": 122})
    page.get_by_test_id("stExpander").first.locator("summary").click()
    page.get_by_test_id("stExpander").first.locator("[data-testid=stHtml], img").first.wait_for()
    yield "document"
    guest.tab(guest.say("documents.tab_search"))
    fill(page.get_by_role("textbox", name=guest.say("retrieval.query")), _ASKED["first"][guest.words.language])
    page.locator("[data-testid=stText]:visible").first.wait_for()
    yield "search"


@walk("documents-new", "documents-read")
def documents_read(guest: Guest) -> Generator[str]:
    """A new collection, and what came of a folder with a file that cannot be read."""
    page, folder = guest.page, guest.home / "harbour"
    folder.mkdir(exist_ok=True)
    for number in range(4):
        text = f"The lighthouse of Port {number} was built in {1850 + number} and is {20 + number} metres tall.\n"
        (folder / f"port-{number}.md").write_text(f"# Port {number}\n\n{text * 8}", encoding="utf-8")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 not really")
    open_page(guest, "documents")
    page.get_by_test_id("stDataFrame").first.wait_for()
    page.get_by_test_id("stPopoverButton").filter(has_text=guest.say("documents.new")).first.click()
    page.get_by_role("textbox", name=guest.say("documents.new_name")).wait_for()
    yield "documents-new"
    fill(page.get_by_role("textbox", name=guest.say("documents.new_name")), "harbour")
    guest.button("documents.create").click()
    page.get_by_text(guest.say("documents.empty")).first.wait_for()
    shut(page)
    fill(page.get_by_role("textbox", name=guest.say("documents.folder")), f"~/{folder.name}")
    guest.button("documents.add").click()
    page.get_by_text(guest.say("documents.failed_files", count=1)).click()
    yield "documents-read"


# --- the pages that work on answers


@walk("compare")
def compare(guest: Guest) -> Generator[str]:
    """One question, four ways."""
    page = guest.page
    open_page(guest, "compare")
    page.get_by_role("textbox", name=guest.say("compare.question")).fill(_ASKED["first"][guest.words.language])
    guest.button("compare.run").click()
    guest.button("compare.to_chat").wait_for(timeout=WORK_MS)
    yield "compare"


@walk("prompts", "prompts-kept")
def prompts(guest: Guest) -> Generator[str]:
    """Two variants, what the model said to each, and one that is kept; the default model writes English alone."""
    page = guest.page
    open_page(guest, "prompts")
    page.get_by_role("textbox", name=guest.say("lab.questions")).fill(Wording("en")("lab.first_question"))
    guest.button("lab.run").click()
    page.get_by_role("button", name=guest.say("lab.keep")).nth(1).wait_for(timeout=WORK_MS)
    yield "prompts"
    page.get_by_role("button", name=guest.say("lab.keep")).nth(1).click()
    page.get_by_test_id("stPopoverBody").get_by_role("button", name=guest.say("lab.keep")).click()
    page.get_by_text(guest.say("lab.kept"), exact=True).first.wait_for()
    guest.tab(guest.say("lab.tab_kept"))
    guest.button("lab.unuse").wait_for()
    yield "prompts-kept"


@walk("prompts-search")
def prompts_search(guest: Guest) -> Generator[str]:
    """The search over labelled examples: what it found."""
    page = guest.page
    open_page(guest, "prompts")
    guest.tab(guest.say("lab.tab_search"))
    give_file(guest, moods(guest))
    guest.button("lab.search").click()
    page.get_by_text(guest.say("lab.ranking")).wait_for(timeout=WORK_MS)
    yield "prompts-search"


@walk("exam", "exam-results", "exam-change", "jobs")
def exam(guest: Guest) -> Generator[str]:
    """Questions from the samples, an exam with them, a change that is tried, and the jobs that all this was."""
    page = guest.page
    open_page(guest, "exam")
    page.get_by_role("spinbutton", name=guest.say("exam.how_many")).fill("6")
    guest.button("exam.propose").click()
    guest.button("exam.keep_all").wait_for(timeout=WORK_MS)
    yield "exam"
    guest.button("exam.keep_all").click()
    guest.button("exam.keep_all").wait_for(state="detached")
    guest.tab(guest.say("exam.tab_sit"))
    page.get_by_role("button", name=re.compile(f"^{re.escape(guest.say('exam.sit', count=0)[:2])}")).last.click()
    page.get_by_test_id("stTable").first.wait_for(timeout=WORK_MS)
    yield "exam-results"
    guest.tab(guest.say("exam.tab_try"))
    page.get_by_role("spinbutton", name=guest.say("settings.top_k")).fill("1")
    guest.button("exam.try").click()
    page.locator(".st-key-use_settings button").wait_for(timeout=WORK_MS)
    yield "exam-change"
    page.locator(".st-key-open_jobs button:visible").first.click()
    page.get_by_role("dialog").get_by_text(guest.say("jobs.kind_exam")).first.wait_for()
    yield "jobs"


@walk("tools", "tool")
def tools(guest: Guest) -> Generator[str]:
    """What the model may call, and one of them called by hand."""
    page = guest.page
    open_page(guest, "tools")
    card = page.get_by_test_id("stExpander").filter(has_text="calculator").first
    card.wait_for()
    yield "tools"
    card.locator("summary").click()
    page.get_by_role("textbox", name="expression").fill("15% of 240")
    card.get_by_role("button", name=guest.say("tools.run")).click()
    card.get_by_test_id("stCode").wait_for()
    yield "tool"


@walk("finetune", "finetune-new", "finetune-checked", "finetune-running")
def finetune(guest: Guest) -> Generator[str]:
    """The adapters, and a new one from its examples to its training."""
    page = guest.page
    open_page(guest, "finetune")
    page.get_by_test_id("stTable").first.wait_for()
    yield "finetune"
    guest.tab(guest.say("finetune.new"))
    yield "finetune-new"
    page.get_by_role("textbox", name=guest.say("finetune.name")).fill("moods")
    give_file(guest, moods(guest))
    guest.button("finetune.check").click()
    guest.button("finetune.train").wait_for()
    page.get_by_text(guest.say("finetune.examples"), exact=True).click()
    yield "finetune-checked"
    guest.button("finetune.train").click()
    guest.tab(guest.say("finetune.adapters"))
    page.get_by_test_id("stVegaLiteChart").first.wait_for(timeout=WORK_MS)
    try:
        yield "finetune-running"
    finally:
        # It would go on without the application.
        guest.button("finetune.cancel").click()
        guest.button("finetune.cancel").wait_for(state="detached")


# --- the model


def xray(guest: Guest, stop: Stop) -> Generator[str]:
    """One stop of the tour."""
    page = guest.page
    open_page(guest, "xray")
    click_until(
        page.get_by_role("tab", name=guest.xray(f"tab_{stop.key}"), exact=True),
        page.get_by_text(stop.sentence.in_(guest.words.language), exact=True),
    )
    if stop.key == "loop":
        page.get_by_role("button", name=guest.xray("play"), exact=True).click()
        page.get_by_text(guest.xray("written")).first.wait_for()
    elif stop.key != "passages":
        page.get_by_test_id("stVegaLiteChart").first.wait_for()
    yield name_of(stop)


def name_of(stop: Stop) -> str:
    """The picture of a stop of the tour."""
    return "xray" if stop is TOUR[0] else f"xray-{stop.key}"


WALKS.extend(Walk((name_of(stop),), partial(xray, stop=stop)) for stop in TOUR)


@walk("xray-answer")
def xray_answer(guest: Guest) -> Generator[str]:
    """Which passage an answer used; in Chinese the default model writes none, so an English one is asked."""
    ask(guest, _ASKED["first"]["en"], "rag")
    guest.page.locator("[class*=st-key-xray_] button:visible").first.click()
    guest.page.get_by_role("button", name=guest.xray("find_out"), exact=True).click()
    guest.page.get_by_test_id("stVegaLiteChart").first.wait_for()
    yield "xray-answer"


@walk("models", "models-others", "models-examined")
def models(guest: Guest) -> Generator[str]:
    """The model, what else can be had, and what is missing."""
    page = guest.page
    open_page(guest, "models")
    page.get_by_text(guest.say("models.quantisation"), exact=True).wait_for()
    yield "models"
    page.get_by_text(guest.say("models.others"), exact=True).click()
    page.get_by_text("qwen3-0.6b").first.wait_for()
    yield "models-others"
    page.get_by_text(guest.say("models.others"), exact=True).click()
    guest.button("doctor.run").click()
    page.get_by_text("llama-cpp-python").first.wait_for()
    yield "models-examined"
