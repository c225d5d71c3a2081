"""`python -m evaluation grounding`: reading alone. The right passage is given, by itself or among distractors.

No search stands between: the figures are those of the model (with or without an adapter) on the grounded prompt.
Distractors are the passages of the same set that look most like the right one, in places drawn by a fixed seed. With
`--withhold` the right passage is left out and the refusal is what counts.
"""

import argparse
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.config import Settings
from core.grounded_prompt import REFUSAL, NumberedPassage, grounded_messages
from core.language import language_of
from core.types import SamplingSettings
from evaluation.datasets import ExamQuestion, Passage, read_contexts, read_questions
from evaluation.figures import mean_with_interval
from evaluation.metrics import contained, exact_match, token_f1
from inference.protocol import ChatEngine, GeneratedText, GenerationRequest

LONGEST_ANSWER = 48
SEED = 42
_CITATION = re.compile(r"\s*\[(\d{1,3})\]")


@dataclass(frozen=True)
class Read:
    """One question with the passages shown, and what the model answered; `gold` is the right number, 0 for none."""

    question: ExamQuestion
    text: str
    gold: int

    @property
    def refused(self) -> bool:
        """Whether the answer is the refusal of either language."""
        return any(self.text.strip().startswith(refusal.rstrip(".。")) for refusal in (REFUSAL.en, REFUSAL.zh))

    @property
    def cited(self) -> set[int]:
        """The numbers that the answer cites."""
        return {int(digits) for digits in _CITATION.findall(self.text)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `python -m evaluation grounding`."""
    parser.add_argument("--contexts", type=Path, required=True, metavar="C.jsonl")
    parser.add_argument("--questions", type=Path, required=True, metavar="Q.jsonl")
    parser.add_argument("--distractors", type=int, default=0, help="passages shown beside the right one")
    parser.add_argument("--withhold", action="store_true", help="leave the right passage out")
    parser.add_argument("--adapter", default="", help="empty: the bare model")
    parser.add_argument("--reporting", action="store_true", help="only the articles the bundled adapter never saw")
    parser.add_argument("--limit", type=int, default=0, help="a fixed sample of so many questions; 0: all")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Ask and measure; returns the JSON object that is printed."""
    from inference.runtime import open_engine

    contexts = {passage.id: passage for passage in read_contexts(options.contexts)}
    questions = _chosen(read_questions(options.questions), contexts, options)
    engine = open_engine(settings)
    try:
        answers = list(_read_all(engine, questions, contexts, options))
    finally:
        engine.close()
    return {
        "questions_file": options.questions.name,
        "adapter": options.adapter,
        "distractors": options.distractors,
        "withheld": options.withhold,
    } | figures(answers)


def figures(answers: Sequence[Read]) -> dict[str, Any]:
    """F1, exact match, containment where an answer was shown; refusals on either side; citations of the right one."""
    shown = [one for one in answers if one.gold and one.question.answerable]
    hidden = [one for one in answers if not (one.gold and one.question.answerable)]
    said = [(("" if one.refused else _CITATION.sub("", one.text)), one.question.answers) for one in shown]
    values: dict[str, list[float]] = {
        "f1": [token_f1(text, wanted) for text, wanted in said],
        "exact_match": [exact_match(text, wanted) for text, wanted in said],
        "contained": [contained(text, wanted) for text, wanted in said],
        "cites": [float(bool(one.cited)) for one in shown if not one.refused],
        "cites_the_right_one": [float(one.cited == {one.gold}) for one in shown if not one.refused],
        "refused_though_shown": [float(one.refused) for one in shown],
        "refused_as_it_should": [float(one.refused) for one in hidden],
    }
    return {"questions": len(answers)} | {name: mean_with_interval(marks) for name, marks in values.items()}


def _chosen(
    questions: Sequence[ExamQuestion], contexts: dict[str, Passage], options: argparse.Namespace
) -> list[ExamQuestion]:
    from training.grounded import is_held_out

    kept = [question for question in questions if question.context_ids and question.context_ids[0] in contexts]
    if options.reporting:
        names = {key: passage.title or passage.id for key, passage in contexts.items()}
        kept = [question for question in kept if is_held_out(names[question.context_ids[0]])]
    if options.limit and options.limit < len(kept):
        kept = [kept[place * len(kept) // options.limit] for place in range(options.limit)]
    # Questions about one passage behind each other: its part of the prompt is computed once.
    return sorted(kept, key=lambda question: question.context_ids[0])


def _read_all(
    engine: ChatEngine, questions: Sequence[ExamQuestion], contexts: dict[str, Passage], options: argparse.Namespace
) -> Iterator[Read]:
    for question in questions:
        shown = _shown(contexts[question.context_ids[0]], contexts, options.distractors, options.withhold)
        gold = next((number for number, one in enumerate(shown, 1) if one.id == question.context_ids[0]), 0)
        numbered = [NumberedPassage(number, one.title, one.text) for number, one in enumerate(shown, 1)]
        request = GenerationRequest(
            messages=grounded_messages(question.text, numbered, language_of(question.text)),
            sampling=SamplingSettings(max_tokens=LONGEST_ANSWER),
            adapter=options.adapter,
        )
        text = "".join(event.text for event in engine.generate(request) if isinstance(event, GeneratedText))
        yield Read(question, text, gold)


def _shown(gold: Passage, contexts: dict[str, Passage], distractors: int, withhold: bool) -> list[Passage]:
    """The same passages in the same order for every question about `gold`."""
    words = set(gold.text.lower().split())

    def likeness(other: Passage) -> float:
        theirs = set(other.text.lower().split())
        return len(words & theirs) / max(1, len(words | theirs))

    others = sorted((one for one in contexts.values() if one.id != gold.id), key=lambda one: (-likeness(one), one.id))
    # Withheld, one passage more stands in its place: there is always something to read.
    count = max(1, distractors + 1) if withhold else distractors
    chosen = [*([] if withhold else [gold]), *others[:count]]
    random.Random(f"{SEED}{gold.id}").shuffle(chosen)  # noqa: S311 - a reproducible order, no secret
    return chosen
