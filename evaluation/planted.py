"""Which passage did the answer use? Thirty invented facts, each among three other passages; the right one is known.

Leaving a passage out and scoring the answer again is compared with two readings of attention: the mean over all
layers and heads, and the strongest head.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from core.config import Settings
from core.grounded_prompt import NumberedPassage, grounded_messages, grounded_parts
from inference.protocol import ChatEngine
from inference.runtime import open_engine
from interpretability.attribution import passage_spans
from interpretability.xray import OPERATIONS, Xray

CASES = Path(__file__).parent / "cases" / "planted.jsonl"
N_PASSAGES = 4


@dataclass(frozen=True)
class PlantedFact:
    """An invented fact: nothing but its passage can tell the answer. `kind` groups facts whose answers are alike."""

    kind: str
    title: str
    text: str
    question: str
    answer: str


@dataclass(frozen=True)
class PlantedCase:
    """A fact and its passages; `planted` is the number of the right one, from 0."""

    fact: PlantedFact
    passages: tuple[PlantedFact, ...]
    planted: int


@dataclass(frozen=True)
class PlantedResult:
    """What each method named for one case, and the weights that leaving out gave, in nats."""

    question: str
    planted: int
    left_out: int | None
    attention_mean: int
    attention_max: int
    weights: tuple[float, ...]
    grounding: float


@dataclass(frozen=True)
class PlantedReport:
    """How often each method named the planted passage, of `cases`."""

    cases: int
    left_out: int
    attention_mean: int
    attention_max: int
    results: tuple[PlantedResult, ...]

    def to_json(self) -> dict[str, object]:
        """The report as plain values."""
        return asdict(self)


def read_facts() -> list[PlantedFact]:
    """The facts that come with the project."""
    return [PlantedFact(**json.loads(line)) for line in CASES.read_text(encoding="utf-8").splitlines()]


def planted_cases(facts: Sequence[PlantedFact], same_kind: bool = False) -> list[PlantedCase]:
    """One case per fact. Distractors are of other kinds, or with `same_kind` of the same: four dates, four prices.

    The place of the planted passage goes round, so that no habit of looking first or last can win.
    """
    cases = []
    for index, fact in enumerate(facts):
        others = [other for other in facts if (other.kind == fact.kind) is same_kind and other is not fact]
        step = max(1, len(others) // (N_PASSAGES - 1))
        distractors = [others[(index + number * step) % len(others)] for number in range(N_PASSAGES - 1)]
        place = index % N_PASSAGES
        cases.append(PlantedCase(fact, (*distractors[:place], fact, *distractors[place:]), place))
    return cases


def run_planted(engine: ChatEngine, xray: Xray, cases: Sequence[PlantedCase]) -> PlantedReport:
    """Ask every method which passage each planted answer came from."""
    results = tuple(_judge(engine, xray, case) for case in cases)

    def right(name: str) -> int:
        return sum(getattr(result, name) == result.planted for result in results)

    return PlantedReport(len(results), right("left_out"), right("attention_mean"), right("attention_max"), results)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Register what may be chosen on the command line."""
    parser.add_argument("--limit", type=int, default=0, help="only the first so many facts; 0: all")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, object]:
    """Run the test on the model that the settings name, with easy and with hard distractors; plain values."""
    facts = read_facts()
    engine = open_engine(settings, extensions=(OPERATIONS,))
    try:
        xray = Xray(engine.call, Path(engine.info.path))
        return {
            name: run_planted(engine, xray, planted_cases(facts, same)[: options.limit or None]).to_json()
            for name, same in (("other_kinds", False), ("same_kind", True))
        }
    finally:
        engine.close()


def _judge(engine: ChatEngine, xray: Xray, case: PlantedCase) -> PlantedResult:
    numbered = [NumberedPassage(n + 1, passage.title, passage.text) for n, passage in enumerate(case.passages)]
    prompt = engine.render(grounded_messages(case.fact.question, numbered, "en"))
    parts = grounded_parts(case.fact.question, numbered, "en")[:N_PASSAGES]
    spans = passage_spans(prompt, [part.text for part in parts])
    attribution = xray.attribute(prompt, spans, case.fact.answer)
    attention = xray.passage_attention(prompt, spans, case.fact.answer)
    return PlantedResult(
        case.fact.question,
        case.planted,
        attribution.used,
        int(np.argmax(attention.mean[0])),
        int(np.argmax(attention.strongest[0])),
        tuple(round(float(weight), 3) for weight in attribution.weights),
        round(attribution.grounding, 3),
    )
