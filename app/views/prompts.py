"""The prompt lab: variants side by side on some questions, a search over labelled examples, the templates kept."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import streamlit as st

from app import prompt_lab, prompt_library, session
from app.ingest_jobs import safe_name
from app.jobs import Job
from app.prompt_lab import Cell, cells_of
from app.prompt_library import PromptTemplate, template_from_json
from app.widgets import jobs
from app.widgets.answer_text import answer_html, message_label, plain_label
from app.wording import Wording
from core.errors import FourfoldError
from orchestrator.bill import Price, load_prices

POLL_SECONDS = 0.7
MOST_VARIANTS = 4
MOST_QUESTIONS = 20
_VARIANTS = "lab_variants"


def draw() -> None:
    """Draw the page."""
    words = session.words()
    st.title(words("lab.title"), anchor=False)
    st.write(words("lab.text"))
    by_hand, search, kept = st.tabs([words("lab.tab_try"), words("lab.tab_search"), words("lab.tab_kept")])
    with by_hand:
        _by_hand(words)
    with search:
        _search(words)
    with kept:
        _templates(words)


# --- by hand


def _by_hand(words: Wording) -> None:
    job = session.container().work.latest("prompts")
    known: Mapping[str, Any] = job.params if job is not None else {}
    drafts = _drafts(known, words)
    questions = st.text_area(
        words("lab.questions"),
        "\n".join(known.get("questions", ())) or words("lab.first_question"),
        help=words("lab.questions_help"),
        key="lab_questions",
    )
    columns = st.columns(len(drafts))
    pairs = enumerate(zip(columns, drafts, strict=True))
    variants = [_editor(column, number, draft, words) for number, (column, draft) in pairs]
    with st.container(horizontal=True):
        asked = [line.strip() for line in questions.splitlines() if line.strip()][:MOST_QUESTIONS]
        busy = job is not None and job.is_running
        if st.button(words("lab.run"), type="primary", icon=":material/play_arrow:", disabled=busy or not asked):
            _start(variants, asked)
        _count_buttons(drafts, words)
    if job is not None and busy:
        jobs.watch(job.id)
        _watch_answers(job.id)
    elif job is not None:
        _results(job, words)


def _drafts(known: Mapping[str, Any], words: Wording) -> list[PromptTemplate]:
    """The variants as the page opened with them: those of the last run, else two to begin with."""
    if _VARIANTS not in st.session_state:
        rows = known.get("variants", ())
        first = [PromptTemplate("A"), PromptTemplate("B", words("lab.first_instruction"))]
        st.session_state[_VARIANTS] = [template_from_json(row) for row in rows] or first
    drafts: list[PromptTemplate] = st.session_state[_VARIANTS]
    return drafts


def _editor(column: Any, number: int, draft: PromptTemplate, words: Wording) -> PromptTemplate:
    with column, st.container(border=True):
        name = st.text_input(words("lab.name"), draft.name, key=f"lab_name_{number}", max_chars=40)
        instruction = st.text_area(
            words("lab.instruction"),
            draft.instruction,
            placeholder=words("lab.no_instruction"),
            help=words("lab.variables_help"),
            key=f"lab_instruction_{number}",
        )
        pattern = st.text_input(words("lab.pattern"), draft.pattern, key=f"lab_pattern_{number}")
        made = replace(draft, name=name, instruction=instruction, pattern=pattern or "{question}")
        values = {
            variable: st.text_input(
                plain_label(variable), draft.values.get(variable, ""), key=f"lab_{number}_{variable}"
            )
            for variable in made.variables
        }
        if made.turns:
            st.caption(words("lab.turns", count=len(made.turns)))
        return replace(made, values=values)


def _count_buttons(drafts: list[PromptTemplate], words: Wording) -> None:
    if len(drafts) < MOST_VARIANTS and st.button(words("lab.more"), icon=":material/add:", type="tertiary"):
        drafts.append(PromptTemplate("ABCD"[len(drafts)]))
        st.rerun()
    if len(drafts) > 1 and st.button(words("lab.fewer"), icon=":material/remove:", type="tertiary"):
        drafts.pop()
        st.rerun()


def _start(variants: Sequence[PromptTemplate], questions: Sequence[str]) -> None:
    params = {"variants": [asdict(one) for one in variants], "questions": list(questions)}
    session.container().work.start("prompts", ", ".join(one.name for one in variants), params)
    st.session_state[_VARIANTS] = list(variants)
    st.rerun()


@st.fragment(run_every=POLL_SECONDS)
def _watch_answers(job_id: str) -> None:
    """The answers while they come."""
    box = session.container()
    job = box.work.get(job_id)
    if job is not None:
        _results(job, session.words())


def _results(job: Job, words: Wording) -> None:
    cells = {(cell.question, cell.variant): cell for cell in cells_of(session.container().work.result(job.id))}
    variants = [template_from_json(row) for row in job.params["variants"]]
    for place, question in enumerate(job.params["questions"]):
        st.markdown(f"**{plain_label(question, 200)}**")
        for number, column in enumerate(st.columns(len(variants))):
            cell = cells.get((place, number))
            with column, st.container(border=True, gap="small"):
                st.caption(plain_label(variants[number].name, 40))
                _cell(cell, words) if cell is not None else st.caption("…" if job.is_running else "–")
    if cells and not job.is_running:
        _bills(list(cells.values()), variants, words)


def _cell(cell: Cell, words: Wording) -> None:
    if cell.failure is not None:
        st.error(message_label(cell.failure.in_(words.language), 300))
        return
    st.html(answer_html(cell.text))
    counts = words("lab.took", read=cell.prompt_tokens, written=cell.completion_tokens, seconds=f"{cell.seconds:.1f}")
    st.caption(counts)


def _bills(cells: Sequence[Cell], variants: Sequence[PromptTemplate], words: Wording) -> None:
    """Under each variant: what it took in all, what it would cost elsewhere, and the way to keep it."""
    price = _price()
    for number, (column, variant) in enumerate(zip(st.columns(len(variants)), variants, strict=True)):
        mine = [cell for cell in cells if cell.variant == number]
        with column:
            tokens = sum(cell.prompt_tokens + cell.completion_tokens for cell in mine)
            st.caption(words("lab.total", tokens=f"{tokens:,}", seconds=f"{sum(cell.seconds for cell in mine):.1f}"))
            if price is not None and mine:
                spent = f"{prompt_lab.bill(mine, price):.2f} {price.currency}"
                name = plain_label(price.name_in(words.language))
                st.caption(words("lab.cost", spent=plain_label(spent), name=name))
            _keep_button(variant, f"keep_variant_{number}", words)


def _price() -> Price | None:
    try:
        return next(iter(load_prices(session.container().settings.paths.home)), None)
    except FourfoldError:
        # A damaged file of prices takes the costs away, not the lab.
        return None


def _keep_button(template: PromptTemplate, key: str, words: Wording) -> None:
    with st.popover(words("lab.keep"), icon=":material/bookmark_add:", key=f"open_{key}"):
        name = st.text_input(words("lab.keep_name"), template.name, key=f"name_{key}", max_chars=60)
        use = st.checkbox(words("lab.keep_use"), True, key=f"use_{key}")
        if st.button(words("lab.keep"), type="primary", key=key, disabled=not name.strip()):
            home = session.container().settings.paths.home
            prompt_library.keep(home, replace(template, name=name), use)
            st.toast(words("lab.kept"))


# --- the search


def _search(words: Wording) -> None:
    board = session.container().work
    job = board.latest("search")
    st.write(words("lab.search_text"))
    busy = job is not None and job.is_running
    with st.form("lab_search", border=False):
        file = st.file_uploader(words("finetune.data"), type=["jsonl", "json", "csv", "tsv"])
        if st.form_submit_button(words("lab.search"), icon=":material/science:", disabled=busy) and file is not None:
            # Jobs keep their own copy: a restart goes on with the same examples.
            path = session.container().ingest.keep_upload("prompt-search", file.name, file.getvalue())
            board.start("search", safe_name(file.name), {"path": str(path)})
            st.rerun()
    if job is not None:
        jobs.watch(job.id) if busy else _found(job, words)


def _found(job: Job, words: Wording) -> None:
    result = session.container().work.result(job.id)
    if result is None:
        if job.detail.en:
            st.error(message_label(job.detail.in_(words.language), 600), icon=":material/error:")
        return
    plain, best = result["plain"], result["best"]
    with st.container(border=True):
        st.markdown(f"**{plain_label(job.title)}** · {plain_label(best['name'])}")
        st.write(words("lab.held_out", plain=_percent(plain), best=_percent(best), n=best["n"]))
        if best["low"] <= plain["mean"]:
            st.caption(":material/info: " + words("lab.not_clear"))
        _keep_button(template_from_json(result["template"]), "keep_found", words)
    with st.expander(words("lab.ranking")):
        st.table([_ranked(row, words) for row in result["ranking"]])


def _ranked(row: Mapping[str, Any], words: Wording) -> dict[str, str]:
    return {
        words("lab.name"): row["name"],
        words("finetune.score"): f"{row['mean']:.0%}",
        words("finetune.interval"): f"{row['low']:.0%} – {row['high']:.0%}",
        words("finetune.count"): str(row["n"]),
    }


def _percent(row: Mapping[str, Any]) -> str:
    return f"{row['mean']:.0%} ({row['low']:.0%}–{row['high']:.0%})"


# --- the templates


def _templates(words: Wording) -> None:
    home = session.container().settings.paths.home
    try:
        shelf = prompt_library.load(home)
    except FourfoldError as error:
        st.error(message_label(error.message.in_(words.language), 400))
        return
    st.write(words("lab.kept_text"))
    if not shelf.templates:
        st.caption(words("lab.none"))
    for number, template in enumerate(shelf.templates):
        with st.container(border=True, gap="small"):
            _template(template, template.name == shelf.in_use, number, words)


def _template(template: PromptTemplate, in_use: bool, number: int, words: Wording) -> None:
    home = session.container().settings.paths.home
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{plain_label(template.name)}**", width="content")
        if in_use:
            st.badge(words("lab.in_use"), color="green")
    st.text(template.instruction or words("lab.no_instruction"))
    if template.pattern != "{question}":
        st.text(template.pattern[:400])
    if template.turns:
        st.caption(words("lab.turns", count=len(template.turns)))
    with st.container(horizontal=True):
        label, name = ("lab.unuse", "") if in_use else ("lab.use", template.name)
        if st.button(words(label), key=f"use_{number}"):
            prompt_library.use(home, name)
            st.rerun()
        if st.button(words("documents.delete"), key=f"remove_{number}", icon=":material/delete:", type="tertiary"):
            prompt_library.remove(home, template.name)
            st.rerun()
