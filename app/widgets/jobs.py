"""The jobs: one line in the sidebar while something runs, and a drawer with all of them."""

import threading
import time

import streamlit as st

from app import session, works
from app.jobs import Job
from app.widgets.answer_text import message_label, plain_label
from app.wording import Wording
from core.config import Settings

POLL_SECONDS = 2.0
DRAWER_PIXELS = 460
_ICONS = {
    "ingest": ":material/library_add:",
    "download": ":material/download:",
    "exam": ":material/checklist:",
    "search": ":material/science:",
    "prompts": ":material/science:",
    "propose": ":material/quiz:",
    "trial": ":material/rule_settings:",
    "train": ":material/model_training:",
}
_COLOURS = {"running": "blue", "finished": "green", "failed": "red", "cancelled": "gray", "interrupted": "orange"}


def draw_line() -> None:
    """The way to the drawer; absent while there is no job at all."""
    jobs = works.all_jobs(session.container().settings)
    if any(job.is_running for job in jobs):
        _watch_line()
    elif jobs:
        _button(jobs)


@st.fragment(run_every=POLL_SECONDS)
def _watch_line() -> None:
    """The line while something runs. The whole page is drawn anew at the end: what was made may stand on it."""
    jobs = works.all_jobs(session.container().settings)
    if any(job.is_running for job in jobs):
        _button(jobs)
    else:
        st.rerun()


def _button(jobs: list[Job]) -> None:
    words = session.words()
    running = [job for job in jobs if job.is_running]
    label = words("jobs.title")
    if running:
        share = f" {running[0].share:.0%}" if running[0].share is not None else ""
        more = f" +{len(running) - 1}" if len(running) > 1 else ""
        label = f"{plain_label(running[0].title, 22)}{share}{more}"
    icon = "spinner" if running else ":material/checklist_rtl:"
    if st.button(label, icon=icon, type="tertiary", key="open_jobs", help=words("jobs.open")):
        session.open_panel("jobs")
        st.rerun()


@st.fragment(run_every=1.0)
def watch(job_id: str) -> None:
    """One job on the page that began it: how far it is, and the way to stop it. At the end the page is drawn anew."""
    board, words = session.container().work, session.words()
    job = board.get(job_id)
    if job is None or not job.is_running:
        st.rerun()
        return

    def stop() -> None:
        board.cancel(job_id)

    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(min(1.0, job.share or 0.0), text=_progress_line(job, words), width="stretch")
        st.button(words("jobs.cancel"), icon=":material/stop_circle:", on_click=stop, key=f"stop_{job_id}")


def _progress_line(job: Job, words: Wording) -> str:
    said = plain_label(job.detail.in_(words.language), 120) or words("jobs.running")
    if job.seconds_left is None:
        return said
    return f"{said} · {words('jobs.left', time=time_left(job.seconds_left, words))}"


def is_busy(kind: str) -> bool:
    """Whether a job of that kind is running."""
    job = session.container().work.latest(kind)
    return job is not None and job.is_running


@st.fragment(run_every=1.0)
def wait_for_parts(said: str) -> None:
    """While models and collections open: a line; the page is drawn anew when they are there."""
    st.caption(f":material/hourglass_top: {said}")
    if session.container().is_built:
        st.rerun()


def draw_drawer() -> None:
    """Open the drawer where the session says that it is open."""
    panel = session.panel()
    if panel is not None and panel.kind == "jobs":
        title = session.words()("jobs.title")
        st.dialog(title, width=DRAWER_PIXELS, position="right", on_dismiss=session.close_panel)(_drawer)()


def _drawer() -> None:
    if any(job.is_running for job in works.all_jobs(session.container().settings)):
        _watch_list()
    else:
        _list()


@st.fragment(run_every=1.0)
def _watch_list() -> None:
    _list()


def _list() -> None:
    words = session.words()
    jobs = works.all_jobs(session.container().settings)
    if not jobs:
        st.caption(words("jobs.none"))
    for job in jobs:
        with st.container(border=True, gap="small", key=f"job_{job.id}"):
            _job(job, words)


def _job(job: Job, words: Wording) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        kind = words(f"jobs.kind_{job.kind}")
        st.markdown(f"{_ICONS[job.kind]} **{kind}** · {plain_label(job.title, 60)}", width="content")
        if not job.is_running:
            st.badge(words(f"jobs.{job.state}"), color=_COLOURS[job.state])  # type: ignore[arg-type]
    said = message_label(job.detail.in_(words.language), 300)
    if job.is_running:
        st.progress(min(1.0, job.share or 0.0), text=said or words("jobs.running"))
        if job.seconds_left is not None:
            st.caption(words("jobs.left", time=time_left(job.seconds_left, words)))
    elif said:
        st.caption(said)
    _actions(job, words)


def _actions(job: Job, words: Wording) -> None:
    box = session.container()
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if job.state in ("failed", "interrupted"):
            st.button(
                words("jobs.resume"),
                icon=":material/play_arrow:",
                key=f"resume_job_{job.id}",
                on_click=works.resume,
                args=(box, job.id),
            )
        label, icon = ("jobs.cancel", "stop_circle") if job.is_running else ("jobs.forget", "close")
        st.button(
            words(label),
            icon=f":material/{icon}:",
            type="tertiary",
            key=f"end_job_{job.id}",
            on_click=_end,
            args=(box.settings, job.id),
        )
        st.caption(time.strftime("%H:%M", time.localtime(job.began)), width="content")


def _end(settings: Settings, job_id: str) -> None:
    # A training may take seconds to notice: the page does not wait for it.
    threading.Thread(target=works.cancel, args=(settings, job_id), daemon=True).start()


def time_left(seconds: float, words: Wording) -> str:
    """A time to wait in words: seconds, minutes or hours, never more exact than an estimate is."""
    if seconds < 90:
        return words("jobs.seconds", count=max(1, round(seconds)))
    if seconds < 90 * 60:
        return words("jobs.minutes", count=round(seconds / 60))
    return words("jobs.hours", count=f"{seconds / 3600:.1f}")
