"""The work of the prompt lab: variants against questions, and the search for the best prompt on labelled examples."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from app.answer_view import AnswerView, fold
from app.jobs import Report
from app.prompt_library import PromptTemplate, template_from_json
from core.errors import TrainingError
from core.language import Bilingual, language_of
from core.types import Question, Usage
from inference.protocol import ChatEngine, GenerationEvent
from orchestrator.bill import Price, cost

if TYPE_CHECKING:
    from app.container import Container
    from training.prompt_search import PromptVariant, SearchReport
    from training.scoring import Score

# The bill of a prompt is told for so many answers like these: one costs too little to compare.
ANSWERS_OF_A_BILL = 1000
MOST_HELD_OUT = 100
_TOO_ALIKE = Bilingual(
    en="There are too few examples that differ: none could be set aside for the score. Give more of them.",
    zh="彼此不同的样例太少，无法预留一部分用于打分。请提供更多样例。",
)


@dataclass(frozen=True)
class Cell:
    """What one variant said to one question. `seconds` are wall-clock; `failure` is set where it said nothing."""

    variant: int
    question: int
    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    failure: Bilingual | None = None


def try_variants(box: "Container", params: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Ask every question by every variant, question by question; what is there so far is kept as it comes.

    `params`: {"variants": templates as JSON, "questions": texts}; returns {"cells": ...}.
    """
    variants = [template_from_json(row) for row in params["variants"]]
    questions: list[str] = params["questions"]
    cells: list[dict[str, Any]] = []
    total = len(variants) * len(questions)
    for place, text in enumerate(questions):
        for number, variant in enumerate(variants):
            report.check()
            report.progress(len(cells) / total, Bilingual(f"{len(cells)}/{total}", f"{len(cells)}/{total}"))
            cells.append(asdict(_cell(box, variant, Question(text, mode="prompt"), (number, place), report)))
            report.keep({"cells": cells})
    report.progress(1.0, Bilingual(f"{total} answers", f"{total} 个回答"))
    return {"cells": cells}


def _cell(
    box: "Container", variant: PromptTemplate, question: Question, place: tuple[int, int], report: Report
) -> Cell:
    view, started = AnswerView(), time.monotonic()
    for event in box.parts().assistant.answer(variant.apply(question), lambda: report.is_cancelled):
        view = fold(view, event)
    usage = view.completed.usage if view.completed is not None else Usage()
    seconds = time.monotonic() - started
    return Cell(*place, view.text, usage.prompt_tokens, usage.completion_tokens, seconds, view.failed)


def cells_of(result: Mapping[str, Any] | None) -> list[Cell]:
    """The cells of a job's result; empty where there is none yet."""
    rows = (result or {}).get("cells", ())
    return [Cell(**{**row, "failure": Bilingual(**row["failure"]) if row["failure"] else None}) for row in rows]


def bill(cells: Sequence[Cell], price: Price) -> float:
    """What `ANSWERS_OF_A_BILL` answers like these would cost, in the currency of the price."""
    spent = sum(cost(Usage(cell.prompt_tokens, cell.completion_tokens), price) for cell in cells)
    return spent / max(1, len(cells)) * ANSWERS_OF_A_BILL


# --- the search


class _CountingEngine:
    """The engine with a call before every answer: it is written, or among labels chosen from one rendered prompt."""

    def __init__(self, engine: ChatEngine, on_answer: Callable[[], None]) -> None:
        self._engine = engine
        self._on_answer = on_answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def generate(self, *asked: Any) -> Iterator[GenerationEvent]:
        self._on_answer()
        return self._engine.generate(*asked)

    def render(self, *asked: Any) -> str:
        self._on_answer()
        return self._engine.render(*asked)


def search_prompt(box: "Container", params: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Search the best prompt on the examples in `params["path"]`. Raises TrainingError where they cannot be used."""
    from training.checks import prepare
    from training.dataset import load_data
    from training.prompt_search import search, variants
    from training.recipe import TrainingRecipe

    recipe, data = TrainingRecipe(), load_data(Path(params["path"]))
    parts = prepare(data, lambda _example: 1, recipe.max_tokens, recipe.held_out_share, recipe.seed)
    held_out = parts.exam[:MOST_HELD_OUT]
    if not parts.held_out or not held_out:
        raise TrainingError(_TOO_ALIKE)
    total = expected_calls(len(variants(parts.train, recipe.seed)), len(parts.held_out), len(held_out))
    calls = 0

    def count() -> None:
        nonlocal calls
        report.check()
        calls += 1
        share = min(1.0, calls / total)
        report.progress(share, Bilingual(f"{calls} of about {total} answers", f"{calls}/约 {total} 个回答"))

    engine = cast(ChatEngine, _CountingEngine(box.parts().engine, count))
    found = search(engine, parts.train, parts.held_out, held_out, recipe.seed)
    report.progress(1.0, Bilingual(f"{calls} answers", f"{calls} 个回答"))
    return _found_json(found, _pattern_of(data.labels, parts.train[0].question))


def expected_calls(variants: int, development: int, held_out: int) -> int:
    """Answers that a search by successive halving asks for: as `training.prompt_search.search` goes."""
    from training.prompt_search import FIRST_ROWS, MOST_ROWS

    calls, rows = 0, FIRST_ROWS
    while True:
        calls += variants * min(rows, development)
        half = max(1, variants // 2)
        if half == variants or rows >= min(MOST_ROWS, development):
            return calls + 2 * held_out
        variants, rows = half, rows * 2


def _pattern_of(labels: Sequence[str], question: str) -> str:
    """What stands around a text in these examples: the labels to choose from, or nothing."""
    from training.dataset import label_prompt

    return label_prompt("{question}", labels, language_of(question)) if labels else "{question}"


def _found_json(found: "SearchReport", pattern: str) -> dict[str, Any]:
    return {
        "plain": _score_json("plain", found.plain),
        "best": _score_json(found.winner.name, found.best),
        "ranking": [_score_json(one.variant.name, one.score) for one in found.ranking],
        "template": asdict(template_of(found.winner, pattern)),
    }


def template_of(variant: "PromptVariant", pattern: str) -> PromptTemplate:
    """A variant of the search as a template: its examples as turns, or in the text before the question."""
    turns = tuple((shot.question, shot.answer) for shot in variant.shots)
    if variant.inline:
        shown = "\n\n".join(f"{asked} {said}".strip() for asked, said in turns)
        # Braces in the examples are text: in a pattern they would be variables.
        pattern, turns = f"{shown.replace('{', '(').replace('}', ')')}\n\n{pattern}", ()
    return PromptTemplate(variant.name, variant.instruction, pattern, turns)


def _score_json(name: str, score: "Score") -> dict[str, Any]:
    return {"name": name, "mean": score.mean, "low": score.low, "high": score.high, "n": score.n}
