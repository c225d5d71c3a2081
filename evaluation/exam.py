"""`python -m evaluation exam build|list|review|run|try|history --collection NAME`: an exam on one's own documents.

`build` proposes questions, `review` keeps, edits or drops them, `run` asks the kept ones by every mode, and `try`
does so under changed settings and names what gets worse, before anything is kept. The same functions serve the page.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.config import Settings, load_settings
from core.errors import SettingError
from core.language import Bilingual
from core.types import Mode
from evaluation.exam_grading import (
    DEFAULT_MODES,
    Change,
    Progress,
    compare,
    figures,
    sit,
    told,
    told_settings,
)
from evaluation.exam_questions import ExamPlan, make_questions
from evaluation.exam_store import ExamItem, ExamStore, Sitting, Status, open_store
from orchestrator.assistant import Assistant
from orchestrator.turn import never_cancelled

ACTIONS = ("build", "list", "review", "run", "try", "history")
MODES: tuple[Mode, ...] = ("rag", "prompt", "tools", "finetuned", "auto")


@dataclass(frozen=True)
class Trial:
    """A change of settings that was tried: the sitting without it, the one with it, and what became of each mode."""

    before: Sitting
    after: Sitting
    changes: tuple[Change, ...]

    @property
    def is_worse(self) -> bool:
        """Whether a mode got worse for certain, or lost questions and won none."""
        return any(one.verdict == "worse" or (one.lost and not one.won) for one in self.changes)

    @property
    def text(self) -> Bilingual:
        """What happened, in a sentence."""
        return told(self.changes)


def run_exam(
    assistant: Assistant,
    settings: Settings,
    collection: str,
    modes: Sequence[Mode] = DEFAULT_MODES,
    name: str = "",
    progress: Progress = lambda _done, _total, _mark: None,
    is_cancelled: Callable[[], bool] = never_cancelled,
) -> Sitting:
    """Ask the kept questions of the collection's exam and keep the marks, unless it was cancelled.

    Raises SettingError where no question is kept.
    """
    store = open_store(settings)
    items = store.items(collection, "kept")
    if not items:
        raise SettingError(
            Bilingual(
                en=f"The exam of “{collection}” has no kept question. Run `python -m evaluation exam build "
                f"--collection {collection}` and keep some with `exam review`.",
                zh=f"文档集“{collection}”的测验中没有保留的题目。请先运行 `python -m evaluation exam build "
                f"--collection {collection}`，再用 `exam review` 保留题目。",
            )
        )
    marks = sit(assistant, items, modes, progress, is_cancelled)
    sitting = Sitting(collection, name, told_settings(settings), marks)
    if not is_cancelled():
        store.add_sitting(sitting)
    return sitting


def last_sitting(store: ExamStore, settings: Settings, collection: str, modes: Sequence[Mode]) -> Sitting | None:
    """The newest sitting under these very settings that asked all kept questions by all `modes`, if there is one."""
    wanted = {(mode, item.question) for mode in modes for item in store.items(collection, "kept")}
    fitting = (
        sitting
        for sitting in store.sittings(collection)
        if dict(sitting.settings) == told_settings(settings)
        and wanted <= {(one.mode, one.question) for one in sitting.marks}
    )
    return next(fitting, None)


def try_settings(
    build: Callable[[Settings], Assistant],
    settings: Settings,
    changed: Settings,
    collection: str,
    modes: Sequence[Mode] = DEFAULT_MODES,
    progress: Progress = lambda _done, _total, _mark: None,
) -> Trial:
    """Sit the exam under `changed` beside `settings` (remembered where it was sat before); nothing is kept of it.

    `build` makes an assistant of settings; it is closed again.
    """
    before = last_sitting(open_store(settings), settings, collection, modes)
    before = before or _sat(build, settings, settings, collection, modes, progress)
    after = _sat(build, settings, changed, collection, modes, progress)
    return Trial(before, after, tuple(compare(before, after)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `python -m evaluation exam`."""
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("--collection", required=True, metavar="NAME")
    parser.add_argument("--answerable", type=int, default=20, help="build: so many questions with an answer")
    parser.add_argument("--unanswerable", type=int, default=10, help="build: so many without one")
    parser.add_argument("--seed", type=int, default=42, help="build: another seed, other questions")
    parser.add_argument("--id", default="", help="review: the question; empty: all that are proposed")
    parser.add_argument("--status", choices=("kept", "dropped", "proposed"), default="kept", help="review")
    parser.add_argument("--question", default="", help="review: its words, changed")
    parser.add_argument("--answer", action="append", help="review: an answer that counts as right; may be repeated")
    parser.add_argument("--mode", action="append", choices=MODES, help="run, try: may be repeated; else rag and prompt")
    parser.add_argument("--name", default="", help="run: what to call this sitting")
    parser.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE", help="try: may be repeated")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Do one of the actions; returns the JSON object that is printed."""
    return _ACTIONS[options.action](options, settings)


def _build(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    from retrieval.embedder import open_embedder
    from retrieval.library import Library

    plan = ExamPlan(options.answerable, options.unanswerable, options.seed)
    items = make_questions(Library(settings, open_embedder(settings)), options.collection, plan)
    new = open_store(settings).add(items)
    return {"collection": options.collection, "proposed": len(items), "new": new} | {"questions": _shown(items)}


def _list(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    items = open_store(settings).items(options.collection)
    return {"collection": options.collection, "questions": _shown(items)}


def _review(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    store = open_store(settings)
    status: Status = options.status
    changes: dict[str, Any] = {"question": options.question} if options.question else {}
    changes |= {"answers": tuple(options.answer), "answerable": True} if options.answer else {}
    ids = [options.id] if options.id else [item.id for item in store.items(options.collection, "proposed")]
    try:
        return {
            "questions": _shown([store.review(item_id, status, **(changes if options.id else {})) for item_id in ids])
        }
    except KeyError as error:
        raise SettingError(
            Bilingual(
                en=f"No exam question has the id {options.id}; `exam list` names them.",
                zh=f"没有编号为 {options.id} 的题目；可用 `exam list` 查看。",
            )
        ) from error


def _run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    from orchestrator.build import build_assistant

    assistant = build_assistant(settings)
    try:
        sitting = run_exam(assistant, settings, options.collection, options.mode or DEFAULT_MODES, options.name)
    finally:
        assistant.close()
    items = open_store(settings).items(options.collection)
    wrong = [asdict(one) for one in sitting.marks if not one.correct]
    return {"sitting": sitting.id, "modes": figures(sitting.marks, items), "wrong": wrong}


def _try(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    from orchestrator.build import build_assistant

    changed = load_settings(**_assigned(options.set))
    trial = try_settings(build_assistant, settings, changed, options.collection, options.mode or DEFAULT_MODES)
    changes = [asdict(one) | {"verdict": one.verdict} for one in trial.changes]
    return {"is_worse": trial.is_worse, "text": asdict(trial.text), "changes": changes}


def _history(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    store = open_store(settings)
    items = store.items(options.collection)
    rows = [
        {"id": one.id, "name": one.name, "created": one.created, "settings": one.settings}
        | {"modes": figures(one.marks, items)}
        for one in store.sittings(options.collection)
    ]
    return {"collection": options.collection, "sittings": rows}


_ACTIONS: Mapping[str, Callable[[argparse.Namespace, Settings], dict[str, Any]]] = {
    "build": _build,
    "list": _list,
    "review": _review,
    "run": _run,
    "try": _try,
    "history": _history,
}


def _shown(items: Sequence[ExamItem]) -> list[dict[str, Any]]:
    return [asdict(item) for item in items]


def _assigned(pairs: Sequence[str]) -> dict[str, Any]:
    """Raises SettingError for what is no assignment."""
    wrong = next((pair for pair in pairs if "=" not in pair), None if pairs else "")
    if wrong is not None:
        raise SettingError(
            Bilingual(en=f"--set wants SETTING=VALUE, not “{wrong}”.", zh=f"--set 需要“设置=值”，而不是“{wrong}”。")
        )
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def _sat(
    build: Callable[[Settings], Assistant],
    settings: Settings,
    under: Settings,
    collection: str,
    modes: Sequence[Mode],
    progress: Progress,
) -> Sitting:
    """Sit under some settings; the exam is that of `settings`, whose data folder it lies in."""
    assistant = build(under)
    try:
        marks = sit(assistant, open_store(settings).items(collection, "kept"), modes, progress)
    finally:
        assistant.close()
    return Sitting(collection, "", told_settings(under), marks)
