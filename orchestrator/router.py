"""Chooses one of the four architectures and says why: the user's choice > rules > a probe of what is there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.language import Bilingual
from core.types import ConcreteMode, Evidence, Question
from orchestrator.events import Route, Signal


@dataclass(frozen=True)
class Probe:
    """What is there to answer with: the evidence of the collection, the active tools, the domains of the adapters."""

    evidence: Evidence | None = None
    tools: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()


def chosen_route(mode: ConcreteMode) -> Route:
    """The receipt of a mode that the user chose."""
    text = Bilingual(en="you chose this mode", zh="您选择了此模式")
    return Route(mode, (Signal("choice", 1.0, text),), 1.0, None, "user")


_GREETING = re.compile(r"^\W*(?:hi|hello|hey|thanks?|thank you|good (?:morning|evening)|bye)\b[\w\s,'!.]{0,30}$", re.I)
_GREETING_ZH = re.compile(r"^\W*(?:你好|您好|谢谢|多谢|早上好|晚上好|再见)\W*$")
_EVIDENCE_WEIGHT = {"strong": 2.0, "weak": 0.5, "none": -1.0}


class Router:
    """Scores the four modes by signals; the highest answers, the next is the runner-up."""

    def route(self, question: Question, probe: Probe) -> Route:
        """Return the route of `question` with its receipt."""
        if question.mode != "auto":
            return chosen_route(question.mode)
        scores: dict[ConcreteMode, list[Signal]] = {"prompt": [_base()], "rag": [], "tools": [], "finetuned": []}
        if _GREETING.search(question.text) or _GREETING_ZH.search(question.text):
            text = Bilingual(en="small talk needs no documents", zh="寒暄不需要文档")
            scores["prompt"].append(Signal("small_talk", 3.0, text))
        if probe.evidence is not None:
            scores["rag"].append(_evidence_signal(probe.evidence))
        return _best(scores)


def _base() -> Signal:
    return Signal("base", 0.2, Bilingual(en="any question can go to the model", zh="任何问题都可直接交给模型"))


def _evidence_signal(evidence: Evidence) -> Signal:
    level = {"strong": "强", "weak": "弱", "none": "无"}[evidence.level]
    text = Bilingual(en=f"evidence in your documents: {evidence.level}", zh=f"文档中的证据：{level}")
    return Signal("evidence", _EVIDENCE_WEIGHT[evidence.level], text)


def _best(scores: dict[ConcreteMode, list[Signal]]) -> Route:
    totals = {mode: sum(signal.weight for signal in signals) for mode, signals in scores.items()}
    ranked: Sequence[ConcreteMode] = sorted(totals, key=lambda mode: -totals[mode])
    lead = totals[ranked[0]] - totals[ranked[1]]
    return Route(ranked[0], tuple(scores[ranked[0]]), min(1.0, 0.5 + lead / 4), ranked[1], "probe")
