"""What a comparison of modes came to, as a table to keep and to take along."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict

import streamlit as st

from app import session
from app.answer_view import events_of_message
from core.language import Bilingual
from core.types import ConcreteMode
from orchestrator.compare import Comparison, Outcome, Way, as_csv, outcome_of, save
from orchestrator.events import AnswerCompleted

_CSV = Bilingual("Table (CSV)", "表格（CSV）")
_JSON = Bilingual("All of it (JSON)", "完整数据（JSON）")
_KEEP = Bilingual("Keep the comparison", "保存对比")
_KEPT = Bilingual("Kept in the data folder.", "已保存到数据文件夹。")


def draw_export(question: str, compared: Mapping[ConcreteMode, str]) -> None:
    """Buttons that keep the comparison and that download it; nothing while an answer is missing."""
    language = session.words().language
    outcomes = outcomes_of(compared)
    if not outcomes:
        return
    made = Comparison("", question, time.time(), outcomes)
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            _CSV.in_(language), as_csv(made).encode("utf-8-sig"), "comparison.csv", "text/csv", on_click="ignore"
        )
        whole = json.dumps(asdict(made), ensure_ascii=False, indent=1)
        st.download_button(_JSON.in_(language), whole, "comparison.json", "application/json", on_click="ignore")
        if st.button(_KEEP.in_(language), icon=":material/save:", type="tertiary"):
            save(session.container().settings.paths.home, question, outcomes)
            st.toast(_KEPT.in_(language))


def outcomes_of(compared: Mapping[ConcreteMode, str]) -> tuple[Outcome, ...]:
    """What each way came to, from the stored answers; none while one is missing."""
    found = []
    for mode, answer_id in compared.items():
        try:
            events = events_of_message(session.container().history.message(answer_id))
        except KeyError:
            return ()
        end = events[-1] if events else None
        seconds = end.timings.total if isinstance(end, AnswerCompleted) else 0.0
        adapter = end.adapter if isinstance(end, AnswerCompleted) else ""
        found.append(outcome_of(Way(mode, adapter), events, seconds))
    return tuple(found)
