"""Sitting an exam on one's own documents: every kept question by every mode, marked, and two sittings compared.

An answerable question is right where an expected answer stands in the reply (or half of their tokens meet); where no
words are expected, where the right document is cited. An unanswerable one is right where the reply refuses.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.config import Settings
from core.language import Bilingual
from core.types import Mode, Question, Scope
from evaluation.answer_events import read_answer
from evaluation.exam_store import ExamItem, Mark, Sitting
from evaluation.figures import mean_with_interval, share_with_interval
from evaluation.metrics import bootstrap_interval, contained, token_f1
from orchestrator.assistant import Assistant
from orchestrator.events import AnswerEvent
from orchestrator.turn import never_cancelled

Progress = Callable[[int, int, Mark], None]
Verdict = Literal["better", "worse", "same", "unsure"]

DEFAULT_MODES: tuple[Mode, ...] = ("rag", "prompt")
HALF_RIGHT = 0.5
# What an answer depends on; the language of the pages and the ports do not matter to it.
TOLD_SETTINGS = (
    "model",
    "encoder",
    "n_ctx",
    "stored_passages",
    "max_tokens",
    "temperature",
    "repeat_penalty",
    "seed",
    "remote_model",
    "top_k",
    "candidates",
    "chunk_tokens",
    "chunk_overlap",
)
_CITATION = re.compile(r"\s*\[\d{1,3}\]")
_UNKNOWN = re.compile(
    r"\b(?:I (?:do not|don't) know|not (?:mentioned|stated|specified|known)|cannot (?:answer|find)|no information)\b|"
    r"不知道|没有(?:提到|提及|说明|相关|回答)|无法(?:回答|确定)",
    re.I,
)


@dataclass(frozen=True)
class Change:
    """What became of the marks of one mode from one sitting to another, over the questions that both asked.

    `difference` is of the share that is right, with its 95 % interval (paired bootstrap); `lost` are the questions
    that were right before and are wrong now, `won` the other way round.
    """

    mode: str
    questions: int
    difference: float
    low: float
    high: float
    lost: tuple[str, ...]
    won: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """Worse or better where the interval leaves nought out; unsure where questions changed, yet not enough."""
        if self.low > 0:
            return "better"
        if self.high < 0:
            return "worse"
        return "unsure" if self.lost or self.won else "same"


def sit(
    assistant: Assistant,
    items: Sequence[ExamItem],
    modes: Sequence[Mode] = DEFAULT_MODES,
    progress: Progress = lambda _done, _total, _mark: None,
    is_cancelled: Callable[[], bool] = never_cancelled,
) -> tuple[Mark, ...]:
    """Ask every kept item by every mode; `progress` is told (done, total, the mark) after each.

    Cancelled, it returns the marks so far; the answer under way does not count.
    """
    asked = [(mode, item) for item in items if item.status == "kept" for mode in modes]
    marks: list[Mark] = []
    for mode, item in asked:
        question = Question(item.question, mode=mode, scope=Scope(item.collection))
        events = list(assistant.answer(question, is_cancelled))
        if is_cancelled():
            break
        marks.append(mark(mode, item, events))
        progress(len(marks), len(asked), marks[-1])
    return tuple(marks)


def mark(mode: str, item: ExamItem, events: Iterable[AnswerEvent]) -> Mark:
    """Judge one answer."""
    record = read_answer(events)
    end, tokens = record.end, record.prompt_tokens
    if end is None:
        return Mark(mode, item.question, "", "failed", 0.0, None, 0.0, tokens)
    cited = {record.uris.get(citation.number, "") for citation in end.citations}
    found = float(item.uri in cited) if cited and item.uri else None
    right = is_right(item, end.text, end.kind == "refusal", bool(found))
    tokens += end.usage.completion_tokens
    return Mark(mode, item.question, end.text, end.kind, float(right), found, end.timings.total, tokens)


def is_right(item: ExamItem, text: str, refused: bool, cites_the_source: bool = False) -> bool:
    """Whether a reply counts as right."""
    if not item.answerable:
        return refused or bool(_UNKNOWN.search(text))
    if refused:
        return False
    if not item.answers:
        return cites_the_source
    said = _CITATION.sub("", text)
    return contained(said, item.answers) == 1.0 or token_f1(said, item.answers) >= HALF_RIGHT


def figures(marks: Sequence[Mark], items: Sequence[ExamItem]) -> dict[str, Any]:
    """By mode: the share that is right (all, answerable, unanswerable) and cited, with intervals; seconds, tokens."""
    answerable = {item.question: item.answerable for item in items}
    return {mode: _figures([one for one in marks if one.mode == mode], answerable) for mode in _modes(marks)}


def told_settings(settings: Settings) -> dict[str, Any]:
    """The settings that a sitting depends on."""
    return {name: getattr(settings, name) for name in TOLD_SETTINGS}


def compare(before: Sitting, after: Sitting) -> list[Change]:
    """What changed from one sitting to another, mode by mode; a mode or question that one lacks is passed over."""
    return [change for mode in _modes(before.marks) if (change := _change(mode, before, after)) is not None]


def told(changes: Sequence[Change]) -> Bilingual:
    """The comparison in a sentence: what got worse is named first."""
    named: dict[Verdict, list[str]] = {"worse": [], "better": [], "unsure": [], "same": []}
    for change in changes:
        named[change.verdict].append(f"{change.mode} {change.difference:+.0%} [{change.low:+.0%}, {change.high:+.0%}]")
    en = {"worse": "worse", "better": "better", "unsure": "too few questions to tell", "same": "unchanged"}
    zh = {"worse": "变差", "better": "变好", "unsure": "题目太少，无法判断", "same": "没有变化"}
    parts = [(en[name], zh[name], ", ".join(modes)) for name, modes in named.items() if modes]
    if not parts:
        return Bilingual("The two sittings share no question.", "两次测验没有相同的题目。")
    return Bilingual(
        en="; ".join(f"{word}: {modes}" for word, _, modes in parts) + ".",
        zh="；".join(f"{word}：{modes}" for _, word, modes in parts) + "。",
    )


def _modes(marks: Sequence[Mark]) -> list[str]:
    return list(dict.fromkeys(one.mode for one in marks))


def _figures(marks: Sequence[Mark], answerable: Mapping[str, bool]) -> dict[str, Any]:
    shares = {
        "right": [one.correct for one in marks],
        "right_of_answerable": [one.correct for one in marks if answerable.get(one.question, True)],
        "right_of_unanswerable": [one.correct for one in marks if not answerable.get(one.question, True)],
        "cited_right": [one.cited for one in marks if one.cited is not None],
    }
    means = {"seconds": [one.seconds for one in marks], "tokens": [float(one.tokens) for one in marks]}
    return {name: share_with_interval(found) for name, found in shares.items()} | {
        name: mean_with_interval(found) for name, found in means.items()
    }


def _change(mode: str, before: Sitting, after: Sitting) -> Change | None:
    old = {one.question: one.correct for one in before.marks if one.mode == mode}
    new = {one.question: one.correct for one in after.marks if one.mode == mode}
    both = [question for question in old if question in new]
    if not both:
        return None
    steps = [new[question] - old[question] for question in both]
    low, high = bootstrap_interval(steps)
    lost = tuple(question for question, step in zip(both, steps, strict=True) if step < 0)
    won = tuple(question for question, step in zip(both, steps, strict=True) if step > 0)
    return Change(mode, len(both), sum(steps) / len(both), low, high, lost, won)
