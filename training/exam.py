"""The exam: the rows set aside, answered by every contestant in llama.cpp; what was forgotten; what got worse."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.language import Bilingual
from core.types import Message
from inference.protocol import ChatEngine
from training.contestants import Contestant, ask
from training.examples import Example
from training.scoring import Score, accuracy, label_mark, mean_score, token_f1

GENERAL_FILE = Path(__file__).parent / "general_knowledge.json"
GENERAL_TOKENS = 24
MOST_WORSE = 10


@dataclass(frozen=True)
class Result:
    """How one contestant did."""

    name: str
    title: Bilingual
    score: Score


@dataclass(frozen=True)
class WorseAnswer:
    """A row that the base answered better than the adapter."""

    question: str
    wanted: str
    base: str
    adapter: str


@dataclass(frozen=True)
class ExamReport:
    """The tables of an exam. `metric` is `accuracy` for labels, `token F1` otherwise; general knowledge in accuracy."""

    metric: str
    results: tuple[Result, ...]
    general_before: Score | None = None
    general_after: Score | None = None
    worse: tuple[WorseAnswer, ...] = ()

    def of(self, name: str) -> Score | None:
        """The score of a contestant by name."""
        return next((result.score for result in self.results if result.name == name), None)

    @property
    def advice(self) -> Bilingual:
        """What the table says about the adapter, in a sentence."""
        ours = self.of("adapter")
        others = [result for result in self.results if result.name != "adapter"]
        if ours is None or not others:
            return Bilingual("There is no adapter in this exam.", "本次考试没有适配器参加。")
        best = max(others, key=lambda result: result.score.mean)
        if ours.low > best.score.mean:
            return Bilingual(
                f"The adapter is clearly better than the best alternative ({best.title.en}).",
                f"适配器明显优于最好的替代方案（{best.title.zh}）。",
            )
        if ours.mean >= best.score.mean:
            return Bilingual(
                f"The adapter is not clearly better than: {best.title.en}. That is cheaper.",
                f"适配器并未明显优于“{best.title.zh}”，后者成本更低。",
            )
        return Bilingual(
            f"Do without the adapter: {best.title.en} does better on these rows.",
            f"不必使用适配器：在这些题目上“{best.title.zh}”更好。",
        )

    def to_json(self) -> dict[str, Any]:
        """Everything, for a card."""
        return asdict(self)

    def summary(self) -> str:
        """Mean scores by contestant as a short JSON text, for the adapter's own header."""
        return json.dumps({result.name: round(result.score.mean, 4) for result in self.results})


def hold_exam(
    contestants: Sequence[Contestant],
    rows: Sequence[Example],
    labels: Sequence[str],
    on_answer: Callable[[int, int], None] = lambda _done, _total: None,
) -> ExamReport:
    """Ask every contestant every row; `on_answer(done, total)` is called after each answer."""
    answers: dict[str, list[str]] = {}
    total = len(contestants) * len(rows)
    done = 0
    for contestant in contestants:
        answers[contestant.name] = []
        for row in rows:
            answers[contestant.name].append(contestant.answer(row))
            done += 1
            on_answer(done, total)
    marks = {
        name: [_mark(row, text, labels) for row, text in zip(rows, given, strict=True)]
        for name, given in answers.items()
    }
    score = accuracy if labels else mean_score
    results = tuple(Result(one.name, one.title, score(marks[one.name])) for one in contestants)
    return ExamReport("accuracy" if labels else "token F1", results, worse=_worse(rows, answers, marks))


def general_knowledge(engine: ChatEngine, adapter: str = "") -> Score:
    """The share of a few dozen plain questions whose answer holds the right word: what a task must not drive out."""
    marks = []
    for question, wanted in json.loads(GENERAL_FILE.read_text(encoding="utf-8")):
        answer = ask(engine, (Message("user", question),), GENERAL_TOKENS, adapter)
        marks.append(float(wanted.lower() in answer.lower()))
    return accuracy(marks)


def longest_answer(rows: Sequence[Example], count_tokens: Callable[[str], int]) -> int:
    """How many tokens the longest wanted answer takes, with some room."""
    return max((count_tokens(row.answer) for row in rows), default=16) + 8


def _mark(row: Example, answer: str, labels: Sequence[str]) -> float:
    return label_mark(answer, row.answer, labels) if labels else token_f1(answer, row.answer)


def _worse(
    rows: Sequence[Example], answers: dict[str, list[str]], marks: dict[str, list[float]]
) -> tuple[WorseAnswer, ...]:
    if not {"base", "adapter"} <= marks.keys():
        return ()
    loss = [
        (before - after, place)
        for place, (before, after) in enumerate(zip(marks["base"], marks["adapter"], strict=True))
    ]
    chosen = [place for lost, place in sorted(loss, reverse=True)[:MOST_WORSE] if lost > 0]
    return tuple(
        WorseAnswer(rows[place].question, rows[place].answer, answers["base"][place], answers["adapter"][place])
        for place in chosen
    )
