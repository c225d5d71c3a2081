"""The long work of the exam page: proposing questions, sitting the exam, trying a change of settings on it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, cast

from app.identity import CLOSED
from app.jobs import Report
from core.config import Settings, changed
from core.errors import SettingError
from core.language import Bilingual
from core.types import Mode

if TYPE_CHECKING:
    from app.container import Container
    from evaluation.exam_store import ExamItem, ExamStore, Mark, Status
    from inference.protocol import ChatEngine
    from orchestrator.assistant import Assistant

# Settings that another model, encoder or index stands behind: to try them, the parts are opened anew.
OTHER_PARTS = (
    "model",
    "encoder",
    "n_ctx",
    "n_gpu_layers",
    "stored_passages",
    "remote_url",
    "remote_model",
    "chunk_tokens",
    "chunk_overlap",
)


def propose(box: "Container", params: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Propose questions on a collection; returns how many are new."""
    from evaluation.exam_questions import ExamPlan, make_questions
    from evaluation.exam_store import open_store

    parts = box.parts()
    plan = ExamPlan(params["answerable"], params["unanswerable"], params["seed"])

    def told(done: int, total: int) -> None:
        report.check()
        counts = f"{done}/{total}"
        report.progress(done / max(1, total), Bilingual(f"Passage {counts}", f"段落 {counts}"))

    items = make_questions(parts.library, params["collection"], plan, parts.engine, told)
    new = open_store(box.settings).add(items)
    report.progress(1.0, Bilingual(f"{new} new questions", f"新增 {new} 道题"))
    return {"new": new}


def sit_exam(box: "Container", params: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Ask the kept questions by every mode in `params`; the sitting is kept in the exam's own store."""
    from evaluation.exam import run_exam

    modes: Sequence[Mode] = params["modes"]
    sitting = run_exam(
        box.parts().assistant,
        box.settings,
        params["collection"],
        modes,
        progress=lambda done, total, mark: _told(report, done, total, mark),
        is_cancelled=lambda: report.is_cancelled,
    )
    count = len(sitting.marks)
    report.progress(1.0, Bilingual(f"{count} answers", f"{count} 个回答"))
    return {"sitting": sitting.id}


def try_change(box: "Container", params: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Sit the exam under changed settings beside the present ones; nothing is kept but the comparison."""
    from evaluation.exam import try_settings

    if box.settings.owner and any(name in OTHER_PARTS for name in params["settings"]):
        raise SettingError(CLOSED)
    trial = try_settings(
        lambda settings: _assistant(box, settings),
        box.settings,
        changed(box.settings, **params["settings"]),
        params["collection"],
        params["modes"],
        lambda done, total, mark: _told(report, done, total, mark),
    )
    changes = [asdict(change) | {"verdict": change.verdict} for change in trial.changes]
    count = sum(change.questions for change in trial.changes)
    report.progress(1.0, Bilingual(f"{count} answers compared", f"对比了 {count} 个回答"))
    return {"is_worse": trial.is_worse, "changes": changes}


def _told(report: Report, done: int, total: int, mark: "Mark") -> None:
    report.check()
    question = mark.question if len(mark.question) < 50 else mark.question[:49] + "…"
    report.progress(done / total, Bilingual(f"{done}/{total} · {question}", f"{done}/{total} · {question}"))


def _assistant(box: "Container", settings: Settings) -> "Assistant":
    from orchestrator.build import build_assistant

    if any(getattr(settings, name) != getattr(box.settings, name) for name in OTHER_PARTS):
        return build_assistant(settings)
    parts = box.parts()
    return build_assistant(settings, engine=cast("ChatEngine", _Lent(parts.engine)), library=parts.library)


class _Lent:
    """The chat's own engine, which whoever borrows it must not close."""

    def __init__(self, engine: "ChatEngine") -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def close(self) -> None:
        """It goes on answering the chat."""


def apply_review(store: "ExamStore", items: Sequence["ExamItem"], rows: Sequence[Mapping[str, Any]]) -> int:
    """Write back a table of reviewed questions, one row an item in order; returns how many changed.

    A row has `status`, `question` and `answer`, where `|` stands between answers that all count as right.
    """
    changed = 0
    for item, row in zip(items, rows, strict=True):
        answers = tuple(part.strip() for part in str(row["answer"] or "").split("|") if part.strip())
        question = " ".join(str(row["question"] or "").split()) or item.question
        status: Status = row["status"]
        edited = replace(item, question=question, answers=answers, status=status)
        if edited != item:
            store.review(item.id, status, question=question, answers=answers)
            changed += 1
    return changed
