"""What the tests of the orchestrator are made of: passages in place of a collection, and an assistant over fakes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from core.config import Settings
from core.types import Chunk, Evidence, EvidenceLevel, Question, Retrieval, Scope, ScoredChunk
from inference.fakes import FAKE_INFO, FakeEngine
from orchestrator.assistant import Assistant
from orchestrator.build import assistant_over
from orchestrator.events import AnswerCompleted, AnswerEvent, Source

TOWER = "The tower opened in 1889. It stands in Paris and is 330 metres tall. Gustave Eiffel built it."
BRIDGE = "The bridge opened in 1932. It was designed by John Bradfield and stands in Sydney."
RIVER = "长江全长6300公里。它发源于青藏高原。武汉长江大桥于1957年建成通车。"

Kind = TypeVar("Kind")


class Passages:
    """A searcher that always brings the same passages, in the order given."""

    def __init__(self, texts: Sequence[str], level: EvidenceLevel = "strong") -> None:
        self.texts = texts
        self.level = level
        self.queries: list[str] = []
        self.scores: Sequence[float] = ()
        self.signals: Mapping[str, float] = {}

    def retrieve(self, query: str, scope: Scope, top_k: int) -> Retrieval:
        self.queries.append(query)
        chunks = tuple(scored(number, text) for number, text in enumerate(self.texts))
        if self.scores:
            chunks = tuple(replace(one, score=score) for one, score in zip(chunks, self.scores, strict=True))
        return Retrieval(query, chunks[:top_k], Evidence(self.level, 0.9, self.signals), len(self.texts))


def scored(number: int, text: str, start: int = 0, document: str = "") -> ScoredChunk:
    place = document or f"d{number}"
    chunk = Chunk(
        f"c{number}", place, text, number, start, start + len(text), title=f"Title {number}", uri=f"u{number}"
    )
    return ScoredChunk(chunk, 1.0 / (number + 1))


def source(number: int, text: str, used: bool = True) -> Source:
    return Source(number, scored(number, text), used)


def assistant(
    home: Path,
    texts: Sequence[str],
    *answers: str,
    level: EvidenceLevel = "strong",
    languages: tuple[str, ...] = ("en",),
) -> tuple[Assistant, FakeEngine, Passages]:
    engine = FakeEngine(answers or ("Fake answer.",), replace(FAKE_INFO, languages=languages))
    searcher = Passages(texts, level)
    return assistant_over(Settings(home=home), engine, searcher), engine, searcher


def ask(who: Assistant, text: str, mode: str = "rag") -> list[AnswerEvent]:
    return list(who.answer(Question(text, mode=mode)))  # type: ignore[arg-type]


def only(events: Sequence[AnswerEvent], kind: type[Kind]) -> Kind:
    [found] = [event for event in events if isinstance(event, kind)]
    return found


def end(events: Sequence[AnswerEvent]) -> AnswerCompleted:
    assert isinstance(events[-1], AnswerCompleted), events[-1]
    return events[-1]
