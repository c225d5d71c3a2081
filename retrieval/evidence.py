"""Does the collection hold an answer? Strong, weak or none, against what questions about other things reach in it.

No fixed threshold holds in two collections. Each is probed once with questions that have nothing to do with it
(`foreign_questions.json`); a question then stands out from those by so many of their standard deviations.
"""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

from core.types import DISTANCE, Evidence, EvidenceLevel

# Standard deviations above the foreign questions; chosen by measurement (evaluation/DECISIONS.md).
STRONG_ABOVE = 2.5
NONE_BELOW = -0.2


@dataclass(frozen=True)
class Signals:
    """What a question reached in the two legs, and the trust in the dense one that weighs them.

    `contrast` (dense) is (top - background) / (1 - background); `match` (lexical) the best keyword score over the
    highest that the question's words could give.
    """

    contrast: float
    match: float
    trust: float


@dataclass(frozen=True)
class Background:
    """Mean and deviation of the two signals over foreign questions of one language."""

    contrast: tuple[float, float] = (0.25, 0.09)
    match: tuple[float, float] = (0.15, 0.08)


@dataclass(frozen=True)
class Calibration:
    """What a collection was found to be like: trust in the dense leg and backgrounds, by language of the question."""

    vectors: int = 0
    trust: Mapping[str, float] = field(default_factory=dict)
    backgrounds: Mapping[str, Background] = field(default_factory=dict)

    def background(self, language: str) -> Background:
        """The background of a language, or a general one."""
        return self.backgrounds.get(language, Background())

    def as_json(self) -> str:
        """As text, for the collection to keep."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Calibration":
        """The inverse of `as_json`."""
        data = json.loads(text)
        backgrounds = {
            language: Background(tuple(values["contrast"]), tuple(values["match"]))
            for language, values in data["backgrounds"].items()
        }
        return cls(data["vectors"], data["trust"], backgrounds)


def judge(signals: Signals, background: Background) -> Evidence:
    """How sure the collection is that it holds the answer.

    `value` is the share of foreign questions that reach less.
    """
    dense = _standardised(signals.contrast, background.contrast)
    lexical = _standardised(signals.match, background.match)
    # Each leg alone is noisy; a mean of two has a smaller deviation, hence the factor.
    weight = signals.trust / (1.0 + signals.trust)
    distance = (weight * dense + (1.0 - weight) * lexical) / math.sqrt(weight**2 + (1.0 - weight) ** 2)
    level: EvidenceLevel = "strong" if distance >= STRONG_ABOVE else "none" if distance < NONE_BELOW else "weak"
    value = 0.5 * (1.0 + math.erf(distance / math.sqrt(2.0)))
    named = {"contrast": signals.contrast, "match": signals.match, "trust": signals.trust, DISTANCE: distance}
    return Evidence(level, value, {name: round(number, 4) for name, number in named.items()})


def measure_background(signals: Sequence[Signals]) -> Background:
    """Median and robust deviation, so that a few foreign questions that are at home here do no harm."""
    return Background(
        _robust([signal.contrast for signal in signals], 0.03), _robust([signal.match for signal in signals], 0.02)
    )


@lru_cache(maxsize=1)
def foreign_questions() -> Mapping[str, tuple[str, ...]]:
    """Questions about everyday and encyclopaedic things, by language."""
    text = (Path(__file__).parent / "foreign_questions.json").read_text(encoding="utf-8")
    return {language: tuple(questions) for language, questions in json.loads(text).items()}


def _standardised(value: float, background: tuple[float, float]) -> float:
    return (value - background[0]) / background[1]


def _robust(values: Sequence[float], least: float) -> tuple[float, float]:
    middle = statistics.median(values)
    # 1.4826 makes the median deviation that of a normal distribution.
    return middle, max(least, 1.4826 * statistics.median(abs(value - middle) for value in values))
