"""Fine-tuning: adapters and their exams, a new one from labelled examples, the running jobs."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from app import session
from app.ingest_jobs import safe_name
from app.widgets import adapter_trial
from app.widgets.answer_text import plain_label
from app.widgets.jobs import time_left
from app.widgets.sidebar import model_name
from app.wording import Wording
from core.config import Settings
from core.errors import FourfoldError
from training.adapters import Adapter, AdapterLibrary, checked_name
from training.checks import DataReport, PreparedData, prepare
from training.dataset import load_data
from training.estimate import Estimate, default_threads, estimate, refuse_too_large, within_memory
from training.examples import write_examples
from training.feedback import read_feedback
from training.gguf_model import base_path, check_trainable, read_model
from training.jobs import ENDED, Job, JobBoard, JobSpec, JobStatus
from training.labels import from_feedback
from training.packing import make_packs
from training.recipe import TrainingRecipe
from training.runner import describe_status

POLL_SECONDS = 2.0
SHOWN_EXAMPLES = 3
LONGEST_SHOWN = 1500
MOST_LABELS = 12
_CHECKED = "checked_data"
_ASKED = "asked_check"


@dataclass(frozen=True)
class CheckedData:
    """Examples that were checked, and what training on them will take.

    `examples` are a few as the model reads them, cut into (text, whether the model is taught to write it).
    """

    name: str
    spec: JobSpec
    data: PreparedData
    needed: Estimate
    examples: tuple[tuple[tuple[str, bool], ...], ...]


def draw() -> None:
    """Draw the page."""
    words, settings = session.words(), session.container().settings
    st.title(words("finetune.title"), anchor=False)
    st.write(words("finetune.text"))
    made, new = st.tabs([words("finetune.adapters"), words("finetune.new")])
    with made:
        _jobs(settings, words)
        _adapters(settings, words)
    with new:
        _new(settings, words)


def _adapters(settings: Settings, words: Wording) -> None:
    library = AdapterLibrary(settings)
    adapters, model = library.list(), session.container().model
    if not adapters:
        st.caption(words("finetune.none"))
    for adapter in adapters:
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
                st.markdown(f"**{plain_label(adapter.name)}**", width="content")
                if adapter.bundled:
                    st.badge(words("finetune.bundled"), color="gray")
                elif st.button(":material/delete:", key=f"delete_{adapter.name}", type="tertiary"):
                    library.delete(adapter.name)
                    st.rerun()
            _card(adapter, words)
            if model is not None and adapter.fits(model.sha256):
                adapter_trial.draw(adapter, words)


def _card(adapter: Adapter, words: Wording) -> None:
    model = session.container().model
    fits = model is not None and adapter.fits(model.sha256)
    # The name inside a GGUF is often a leftover of its training: a model that is there is called by its file.
    base = model_name(model) if model is not None and fits else adapter.base_name
    st.caption(words("finetune.made_for", base=plain_label(base, 60), examples=f"{adapter.card.examples:,}"))
    if model is not None and not fits:
        st.caption(":material/warning: " + words("finetune.other_base"))
    rows = [_exam_row(row, words) for row in adapter.card.exam.get("results", ())]
    if rows:
        st.table(rows)
    general = [adapter.card.exam.get(key) for key in ("general_before", "general_after")]
    if all(general):
        before, after = (f"{score['mean']:.0%}" for score in general if score)
        st.caption(words("finetune.general", before=before, after=after))
    worse = adapter.card.exam.get("worse", ())
    if worse:
        with st.expander(words("finetune.worse", count=len(worse))):
            for row in worse:
                st.text(f"{row['question'][-200:]}\n→ {row['base']}\n→ {row['adapter']}\n✓ {row['wanted']}")


def _exam_row(row: dict[str, Any], words: Wording) -> dict[str, str]:
    score = row["score"]
    return {
        words("finetune.way"): str(row["title"].get(words.language, row["name"])),
        words("finetune.score"): f"{score['mean']:.3f}",
        words("finetune.interval"): f"{score['low']:.3f} – {score['high']:.3f}",
        words("finetune.count"): str(score["n"]),
    }


def _jobs(settings: Settings, words: Wording) -> None:
    if any(job.status().state not in ENDED for job in JobBoard(settings).list()):
        _watch(settings, words)
    else:
        _job_list(settings, words)


@st.fragment(run_every=POLL_SECONDS)
def _watch(settings: Settings, words: Wording) -> None:
    """The running jobs; they live in processes of their own, so a refresh or a restart of the page ends none."""
    _job_list(settings, words)
    if all(job.status().state in ENDED for job in JobBoard(settings).list()):
        st.rerun()


def _job_list(settings: Settings, words: Wording) -> None:
    board = JobBoard(settings)
    for job in board.list():
        status = job.status()
        if status.state == "finished":
            # The adapter's card has taken over what the job knew.
            job.remove()
            continue
        with st.container(border=True):
            _job(board, job, status, words)


def _job(board: JobBoard, job: Job, status: JobStatus, words: Wording) -> None:
    st.markdown(f"**{plain_label(job.spec().name)}**")
    total = float(status.progress.get("total_steps", 0) or 0)
    share = float(status.progress.get("step", 0)) / total if total else 0.0
    line = plain_label(describe_status(status)(words.language), 300)
    if status.state in ENDED:
        st.caption(line)
    else:
        st.progress(min(1.0, share), text=line)
    _curves(job, words)
    with st.container(horizontal=True):
        if status.state == "failed" and st.button(words("finetune.resume"), key=f"resume_{job.id}"):
            board.start(job)
            st.rerun()
        if st.button(words("finetune.cancel"), key=f"cancel_{job.id}", icon=":material/delete:"):
            job.cancel()
            st.rerun()


def _curves(job: Job, words: Wording) -> None:
    """The loss of each step, and what the held-out rows said now and then."""
    learned, held_out = words("finetune.loss"), words("finetune.held_out_loss")
    rows = [
        {"step": row["step"], learned: row["loss"], held_out: row.get("held_out_loss")}
        for row in job.metrics()
        if "loss" in row
    ]
    if len(rows) > 1:
        st.line_chart(rows, x="step", y=[learned, held_out], x_label=words("finetune.step"), height=180)


def _new(settings: Settings, words: Wording) -> None:
    st.caption(words("finetune.what_for"))
    with st.form("training", border=False):
        name = st.text_input(words("finetune.name"), max_chars=60)
        sources = [words("finetune.from_file"), words("finetune.from_chat")]
        source = st.radio(words("finetune.source"), sources, horizontal=True, help=words("finetune.from_chat_help"))
        file = st.file_uploader(words("finetune.data"), type=["jsonl", "json", "csv", "tsv"])
        epochs = st.number_input(words("finetune.epochs"), 1, 20, 2)
        asked = st.form_submit_button(words("finetune.check"), type="primary")
    if asked and not name.strip():
        st.warning(words("finetune.no_name"))
    elif asked and source == sources[0] and file is None:
        st.warning(words("finetune.no_file"))
    elif asked:
        st.session_state[_ASKED] = (name.strip(), int(epochs), file if source == sources[0] else None)
    if st.session_state.get(_ASKED):
        _check(settings, *st.session_state[_ASKED])
    checked: CheckedData | None = st.session_state.get(_CHECKED)
    if checked is not None:
        _ready(settings, checked, words)


def _uploaded(name: str, content: bytes, folder: Path) -> Path:
    path = folder / safe_name(name)
    path.write_bytes(content)
    return path


def _chat_rows(settings: Settings, folder: Path) -> Path:
    """The answers that were corrected or liked in the chat, as a file of rows."""
    path = folder / "chat.jsonl"
    write_examples(path, from_feedback(read_feedback(settings)))
    return path


def _check(settings: Settings, name: str, epochs: int, file: UploadedFile | None) -> None:
    """Check the rows of `file`, or where there is none those of the chat."""
    words = session.words()
    st.session_state[_CHECKED] = None
    try:
        with st.spinner(words("finetune.checking")), tempfile.TemporaryDirectory() as temporary:
            # Drawing is where a run can be broken off by the next: what was asked for is done by that one then.
            st.session_state[_ASKED] = None
            folder = Path(temporary)
            rows = _chat_rows(settings, folder) if file is None else _uploaded(file.name, file.getvalue(), folder)
            st.session_state[_CHECKED] = checked_data(settings, name, rows, epochs)
    except FourfoldError as error:
        st.error(plain_label(error.message.in_(words.language), 600))


def checked_data(settings: Settings, name: str, path: Path, epochs: int) -> CheckedData:
    """Check the examples in a file and estimate the training. Raises TrainingError with what to mend."""
    from training.lora import load_tokenizer
    from training.rendering import ChatFormat

    base = read_model(base_path(settings))
    check_trainable(base)
    checked_name(name)
    recipe = within_memory(base, replace(TrainingRecipe(), epochs=epochs, threads=default_threads()))
    chat = ChatFormat(load_tokenizer(base.path))
    data = load_data(path)
    prepared = prepare(data, lambda one: len(chat.row(one).ids), recipe.max_tokens, recipe.held_out_share, recipe.seed)
    rows = [chat.row(example) for example in prepared.train]
    needed = estimate(
        base, recipe, make_packs(rows, recipe.pack_tokens, recipe.seed), sum(len(row.ids) for row in rows)
    )
    refuse_too_large(needed)
    shown = (chat.pieces(example) for example in prepared.train[:SHOWN_EXAMPLES])
    spec = JobSpec(name, str(base.path.absolute()), recipe, "", kind=data.format)
    marked = tuple(tuple((piece.text, piece.trained) for piece in pieces) for pieces in shown)
    return CheckedData(name, spec, prepared, needed, marked)


def _ready(settings: Settings, checked: CheckedData, words: Wording) -> None:
    data, report = checked.data, checked.data.report
    with st.container(border=True):
        st.markdown(f"**{plain_label(checked.name)}**")
        st.write(words("finetune.split", train=len(data.train), held_out=len(data.held_out), exam=len(data.exam)))
        time, gigabytes = time_left(checked.needed.seconds, words), f"{checked.needed.bytes / 1e9:.1f}"
        st.write(words("finetune.needs", time=time.strip(), gigabytes=gigabytes))
        _report(report, words)
        with st.expander(words("finetune.examples")):
            st.caption(words("finetune.marked"))
            for pieces in checked.examples:
                shown = "".join(f"⟦{text}⟧" if trained else text for text, trained in pieces)
                st.code(shown[-LONGEST_SHOWN:].strip(), language=None, wrap_lines=True)
        if st.button(words("finetune.train"), type="primary", icon=":material/model_training:"):
            board = JobBoard(settings)
            board.start(board.create(checked.spec, data))
            st.session_state[_CHECKED] = None
            st.rerun()


def _report(report: DataReport, words: Wording) -> None:
    """What the checks found: counts, labels, and a sentence for everything odd."""
    st.caption(
        words("finetune.counts", rows=report.rows, repeated=report.duplicates, long=report.too_long)
        + " "
        + words("finetune.lengths", median=report.median_tokens, longest=report.longest_tokens)
    )
    if report.labels:
        counts = ", ".join(f"{label} {count}" for label, count in list(report.labels.items())[:MOST_LABELS])
        st.caption(words("finetune.labels", labels=plain_label(counts, 300)))
    for notice in report.notices:
        st.caption(":material/info: " + plain_label(notice.in_(words.language), 300))
