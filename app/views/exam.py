"""The exam on one's own documents: questions proposed and reviewed, sat by every mode, changes tried first."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import streamlit as st

from app import container, exams, session
from app.jobs import Job
from app.widgets import answer, changes, jobs
from app.widgets.answer_text import message_label, plain_label
from app.widgets.scope import collection_name
from app.wording import Wording
from core.types import CONCRETE_MODES
from evaluation.exam import last_sitting
from evaluation.exam_grading import DEFAULT_MODES, compare, figures
from evaluation.exam_store import ExamItem, ExamStore, Sitting, open_store

STATUSES = ("kept", "proposed", "dropped")
# The settings that are tried most; others by `python -m evaluation exam try --set`.
TRIED = {"top_k": (1, 100), "max_tokens": (16, 131_072)}
MOST_SHOWN = 12


def draw() -> None:
    """Draw the page."""
    words, box = session.words(), session.container()
    st.title(words("exam.title"), anchor=False)
    st.write(words("exam.text"))
    if box.problem is not None:
        st.error(plain_label(box.problem.in_(words.language), 600), icon=":material/error:")
        return
    if not box.is_built:
        jobs.wait_for_parts(words("documents.opening"))
        return
    store, name = open_store(box.settings), _collection(words)
    questions, sitting, change = st.tabs([words("exam.tab_questions"), words("exam.tab_sit"), words("exam.tab_try")])
    items = store.items(name)
    with questions:
        _questions(store, name, items, words)
    with sitting:
        _sit(store, name, items, words)
    with change:
        _try(store, name, items, words)


def _collection(words: Wording) -> str:
    names = sorted({*session.container().parts().library.names(), session.collection()})
    chosen = st.selectbox(
        words("documents.collection"),
        names,
        index=names.index(session.collection()),
        format_func=lambda name: collection_name(name, words),
    )
    session.choose_collection(chosen)
    return chosen


# --- questions


def _questions(store: ExamStore, name: str, items: Sequence[ExamItem], words: Wording) -> None:
    _running_or_failed("propose", words)
    shown = [item for item in items if item.status != "dropped"]
    if shown:
        _review(store, shown, words)
    else:
        st.caption(words("exam.empty"))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = st.number_input(words("exam.how_many"), 2, 200, 20, step=5, width=180)
        if st.button(words("exam.propose"), icon=":material/auto_awesome:", type="secondary" if shown else "primary"):
            # A third without an answer: whoever never refuses must not look good. Another seed finds other questions.
            params = {"collection": name, "answerable": count - count // 3, "unanswerable": count // 3}
            params["seed"] = 42 + len(items)
            session.container().work.start("propose", collection_name(name, words), params)
            st.rerun()
        _add(store, name, words)


def _review(store: ExamStore, items: Sequence[ExamItem], words: Wording) -> None:
    kept = sum(item.status == "kept" for item in items)
    st.caption(words("exam.kept_of", kept=kept, count=len(items)))
    names = {status: words(f"exam.{status}") for status in STATUSES}
    edited = st.data_editor(
        [_row(item, names, words) for item in items],
        hide_index=True,
        key=f"review_{items[0].collection}_{len(items)}_{kept}",
        disabled=["kind"],
        column_config={
            "status": st.column_config.SelectboxColumn(
                words("exam.status"), options=list(names.values()), width="small"
            ),
            "question": st.column_config.TextColumn(words("exam.question"), width="large"),
            "answer": st.column_config.TextColumn(words("exam.answer"), help=words("exam.answer_help")),
            "kind": st.column_config.TextColumn(words("exam.kind"), width="small"),
        },
    )
    statuses = {name: status for status, name in names.items()}
    rows = [{**row, "status": statuses[row["status"]]} for row in edited]
    with st.container(horizontal=True):
        if st.button(words("exam.save"), type="primary", icon=":material/check:"):
            exams.apply_review(store, items, rows)
            st.rerun()
        if kept < len(items) and st.button(words("exam.keep_all"), icon=":material/done_all:"):
            exams.apply_review(store, items, [{**row, "status": "kept"} for row in rows])
            st.rerun()


def _row(item: ExamItem, names: Mapping[str, str], words: Wording) -> dict[str, str]:
    return {
        "status": names[item.status],
        "question": item.question,
        "answer": " | ".join(item.answers),
        "kind": words("exam.answerable" if item.answerable else "exam.unanswerable"),
    }


def _add(store: ExamStore, name: str, words: Wording) -> None:
    with (
        st.popover(words("exam.own"), icon=":material/add:"),
        st.form("own_question", border=False, clear_on_submit=True),
    ):
        question = st.text_input(words("exam.question"))
        answer_text = st.text_input(words("exam.answer"), help=words("exam.own_help"))
        if st.form_submit_button(words("exam.add"), type="primary") and question.strip():
            answers = tuple(part.strip() for part in answer_text.split("|") if part.strip())
            store.add([ExamItem(name, question.strip(), answers, bool(answers), status="kept")])
            st.rerun()


# --- sitting it


def _sit(store: ExamStore, name: str, items: Sequence[ExamItem], words: Wording) -> None:
    kept = [item for item in items if item.status == "kept"]
    if not kept:
        st.caption(words("exam.none_kept"))
        return
    modes = st.pills(
        words("exam.ways"),
        CONCRETE_MODES,
        selection_mode="multi",
        default=[mode for mode in DEFAULT_MODES if mode != "auto"],
        format_func=lambda mode: f"{answer.MODE_ICONS[mode]} {words(f'mode.{mode}')}",
    )
    busy = jobs.is_busy("exam")
    if st.button(
        words("exam.sit", count=len(kept)), type="primary", icon=":material/checklist:", disabled=busy or not modes
    ):
        session.container().work.start("exam", collection_name(name, words), {"collection": name, "modes": list(modes)})
        st.rerun()
    _running_or_failed("exam", words)
    sittings = store.sittings(name)
    for place, sitting in enumerate(sittings[:MOST_SHOWN]):
        earlier = sittings[place + 1] if place + 1 < len(sittings) else None
        with st.expander(_when(sitting), expanded=place == 0, icon=":material/checklist:"):
            _sitting(sitting, earlier, items, words)


def _when(sitting: Sitting) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(sitting.created))


def _sitting(sitting: Sitting, earlier: Sitting | None, items: Sequence[ExamItem], words: Wording) -> None:
    st.table([_mode_row(mode, row, words) for mode, row in figures(sitting.marks, items).items()])
    if earlier is not None:
        changes = compare(earlier, sitting)
        said = told([asdict(change) | {"verdict": change.verdict} for change in changes], words)
        if any(change.verdict == "worse" for change in changes):
            st.warning(words("exam.since_last", said=said), icon=":material/trending_down:")
        else:
            st.caption(words("exam.since_last", said=said))
    wrong = [mark for mark in sitting.marks if not mark.correct]
    if wrong:
        st.markdown(f"**{words('exam.wrong', count=len(wrong))}**")
    for mark in wrong[:MOST_SHOWN]:
        said = plain_label(mark.text, 200) or "–"
        st.caption(f"{answer.MODE_ICONS[mark.mode]} {plain_label(mark.question, 160)}  \n→ {said}")


def _mode_row(mode: str, row: Mapping[str, Any], words: Wording) -> dict[str, str]:
    return {
        words("exam.way"): words(f"mode.{mode}"),
        words("exam.right"): _share(row["right"]),
        words("exam.right_answerable"): _share(row["right_of_answerable"]),
        words("exam.right_unanswerable"): _share(row["right_of_unanswerable"]),
        words("exam.cited"): _share(row["cited_right"]),
        words("exam.seconds"): f"{row['seconds']['mean']:.1f}",
    }


def _share(figure: Mapping[str, float]) -> str:
    if not figure["n"]:
        return "–"
    return f"{figure['mean']:.0%} ({figure['low'] * 100:.0f}–{figure['high'] * 100:.0f})"


def told(changes: Sequence[Mapping[str, Any]], words: Wording) -> str:
    """What became of each mode from one sitting to another, in a line; what got worse is named first."""
    parts, comma = [], "、" if words.language == "zh" else ", "
    for verdict in ("worse", "better", "unsure", "same"):
        named = [_told_change_of(change, words) for change in changes if change["verdict"] == verdict]
        if named:
            parts.append(words(f"exam.{verdict}", modes=comma.join(named)))
    return " · ".join(parts) or words("exam.nothing_shared")


def _told_change_of(change: Mapping[str, Any], words: Wording) -> str:
    name = words(f"mode.{change['mode']}")
    if change["verdict"] == "same":
        return name
    return f"{name} {change['difference']:+.0%} ({change['low']:+.0%} … {change['high']:+.0%})"


# --- a change


def _try(store: ExamStore, name: str, items: Sequence[ExamItem], words: Wording) -> None:
    settings = session.container().settings
    if not any(item.status == "kept" for item in items):
        st.caption(words("exam.none_kept"))
        return
    st.write(words("exam.try_text"))
    with st.form("try_settings", border=False):
        wanted: dict[str, Any] = {
            key: st.number_input(words(f"settings.{key}"), low, high, getattr(settings, key), key=f"try_{key}")
            for key, (low, high) in TRIED.items()
        }
        wanted["temperature"] = st.number_input(words("settings.temperature"), 0.0, 5.0, settings.temperature)
        if not session.is_shared():
            wanted["model"] = st.text_input(words("settings.model"), settings.model, help=words("settings.model_help"))
        if st.form_submit_button(words("exam.try"), type="primary", disabled=jobs.is_busy("trial")):
            changed = {key: value for key, value in wanted.items() if value != getattr(settings, key)}
            if changed:
                modes = [mode for mode in DEFAULT_MODES if last_sitting(store, settings, name, (mode,))]
                params = {"collection": name, "modes": modes or ["rag"], "settings": changed}
                session.container().work.start("trial", _told_change(changed, words), params)
                st.rerun()
    job = _running_or_failed("trial", words)
    if job is not None and job.state == "finished":
        _verdict(job, words)


def _told_change(changed: Mapping[str, Any], words: Wording) -> str:
    return ", ".join(f"{words(f'settings.{key}')}: {value}" for key, value in changed.items())


def _verdict(job: Job, words: Wording) -> None:
    result = session.container().work.result(job.id)
    if result is None:
        return
    st.markdown(f"**{plain_label(job.title, 200)}**")
    said = told(result["changes"], words)
    if result["is_worse"]:
        st.warning(words("exam.gets_worse", said=said), icon=":material/trending_down:")
        lost = [question for change in result["changes"] for question in change["lost"]]
        for question in lost[:MOST_SHOWN]:
            st.caption(f"– {plain_label(question, 160)}")
    else:
        st.success(said, icon=":material/check:")
    label = words("exam.use_anyway" if result["is_worse"] else "exam.use")
    if not session.is_shared() and st.button(label, key="use_settings"):
        changes.make(lambda: container.adopt(job.params["settings"]), words)


def _running_or_failed(kind: str, words: Wording) -> Job | None:
    """The latest job of a kind: its progress while it runs, its complaint where it failed."""
    job = session.container().work.latest(kind)
    if job is None:
        return None
    if job.is_running:
        jobs.watch(job.id)
    elif job.state == "failed":
        st.error(message_label(job.detail.in_(words.language), 600), icon=":material/error:")
    return job
