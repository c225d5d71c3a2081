"""One question through several modes and adapters, side by side: answer, evidence, tokens, seconds, support."""

import csv
import io
import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from core.types import ConcreteMode, Question
from orchestrator.assistant import Assistant
from orchestrator.events import AnswerCompleted, AnswerEvent, AnswerFailed, SourcesFound
from orchestrator.turn import never_cancelled

FOLDER = "comparisons"


@dataclass(frozen=True)
class Way:
    """A column: a mode, and an adapter or none."""

    mode: ConcreteMode
    adapter: str = ""

    @property
    def name(self) -> str:
        """The heading of the column."""
        return f"{self.mode} · {self.adapter}" if self.adapter else self.mode


@dataclass(frozen=True)
class Outcome:
    """What one way came to. `supported` counts the citations that hold, of `citations`; `failure` is English."""

    way: str
    text: str
    kind: str
    evidence: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    citations: int
    supported: int
    unsupported_sentences: int
    failure: str = ""


@dataclass(frozen=True)
class Comparison:
    """A finished comparison."""

    id: str
    question: str
    created: float
    outcomes: tuple[Outcome, ...]


def compare(
    assistant: Assistant,
    question: Question,
    ways: Sequence[Way],
    is_cancelled: Callable[[], bool] = never_cancelled,
) -> Iterator[tuple[Way, AnswerEvent | Outcome]]:
    """Answer `question` by each way in turn; yield its events as they come, then its Outcome."""
    for way in ways:
        events: list[AnswerEvent] = []
        started = time.monotonic()
        for event in assistant.answer(replace(question, mode=way.mode, adapter=way.adapter), is_cancelled):
            events.append(event)
            yield way, event
        yield way, outcome_of(way, events, time.monotonic() - started)
        if is_cancelled():
            return


def outcome_of(way: Way, events: Sequence[AnswerEvent], seconds: float) -> Outcome:
    """Sum up the events of one answer."""
    found = next((event.evidence.level for event in events if isinstance(event, SourcesFound)), "")
    last = events[-1] if events else None
    if not isinstance(last, AnswerCompleted):
        failure = last.message.en if isinstance(last, AnswerFailed) else "no answer"
        return Outcome(way.name, "", "failed", found, 0, 0, seconds, 0, 0, 0, failure)
    return Outcome(
        way=way.name,
        text=last.text,
        kind=last.kind,
        evidence=found,
        prompt_tokens=last.usage.prompt_tokens,
        completion_tokens=last.usage.completion_tokens,
        seconds=round(seconds, 3),
        citations=len(last.citations),
        supported=sum(citation.supported for citation in last.citations),
        unsupported_sentences=len(last.unsupported),
    )


def save(home: Path, question: str, outcomes: Sequence[Outcome]) -> Comparison:
    """Keep a comparison in the data folder."""
    kept = Comparison(uuid.uuid4().hex, question, time.time(), tuple(outcomes))
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{kept.id}"
    beside.write_text(json.dumps(asdict(kept), ensure_ascii=False, indent=1), encoding="utf-8")
    beside.rename(folder / f"{kept.id}.json")
    return kept


def saved(home: Path) -> list[Comparison]:
    """The comparisons kept, newest first; a file that is none is passed over."""
    found = []
    for path in (home / FOLDER).glob("*.json"):
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            found.append(Comparison(**{**row, "outcomes": tuple(Outcome(**item) for item in row["outcomes"])}))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda item: -item.created)


def as_csv(comparison: Comparison) -> str:
    """The comparison as a table for a spreadsheet, one row a way."""
    table = io.StringIO()
    names = list(Outcome.__dataclass_fields__)
    writer = csv.DictWriter(table, ["question", *names])
    writer.writeheader()
    writer.writerows({"question": comparison.question, **_inert(asdict(item))} for item in comparison.outcomes)
    return table.getvalue()


def _inert(row: dict[str, object]) -> dict[str, object]:
    """A spreadsheet must not take a model's words for a formula."""
    return {name: f"'{value}" if str(value)[:1] in tuple("=+-@\t\r") else value for name, value in row.items()}
