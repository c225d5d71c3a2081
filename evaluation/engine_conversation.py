"""Five turns over the sample documents in retrieval mode: the time to the first token with and without reuse."""

import statistics
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.config import Settings
from core.errors import ModelError
from core.types import Message, Question
from inference.engine_options import LoadOptions
from inference.extensions import ExtensibleEngine
from orchestrator.assistant import Assistant
from orchestrator.events import AnswerCompleted, AnswerFailed, TextDelta
from retrieval.library import Library

QUESTIONS = (
    "How many days of paid annual leave do the staff have?",
    "Until when must unused days of annual leave be taken?",
    "How early must leave of more than three days be asked for?",
    "From which day of an illness is a doctor's note needed?",
    "For how long is sick pay the full wage?",
)


@dataclass(frozen=True)
class TurnTimes:
    """Seconds of one turn: until the model's first token, and from the question to the first text."""

    first_token: float
    first_text: float
    prompt_tokens: int
    cached_tokens: int


def measure_conversation(settings: Settings, loaded: LoadOptions) -> dict[str, Any]:
    """Median seconds to the first token of the same five turns, the model loaded anew for each way."""
    from inference.runtime import open_engine
    from ingest.samples import ensure_sample_collection
    from retrieval.embedder import open_embedder

    with tempfile.TemporaryDirectory() as home:
        own = settings.model_copy(update={"home": Path(home)})
        library = Library(own, open_embedder(own))
        ensure_sample_collection(library, own)
        ways: dict[str, list[TurnTimes]] = {}
        for name, reuse in (("without", False), ("with", True)):
            with closing(open_engine(own, options=replace(loaded, reuse=reuse))) as engine:
                ways[name] = _turns(own, engine, library)
    return _told(ways["with"], ways["without"])


def _turns(settings: Settings, engine: ExtensibleEngine, library: Library) -> list[TurnTimes]:
    from orchestrator.build import build_assistant

    assistant = build_assistant(settings, engine=engine, library=library)
    # Loading belongs to no turn: encoder, model and adapter are asked for something else first.
    _turn(assistant, Question("How long does the battery of the Lumen reading lamp last?", mode="rag"))
    history: tuple[Message, ...] = ()
    times = []
    for text in QUESTIONS:
        question = Question(text, history=history, mode="rag", conversation_id="benchmark")
        measured, answer = _turn(assistant, question)
        times.append(measured)
        history = (*history, Message("user", text), Message("assistant", answer))
    return times


def _turn(assistant: Assistant, question: Question) -> tuple[TurnTimes, str]:
    started, first_text = time.perf_counter(), 0.0
    for event in assistant.answer(question):
        if isinstance(event, TextDelta) and event.text:
            first_text = first_text or time.perf_counter() - started
        elif isinstance(event, AnswerFailed):
            raise ModelError(event.message)
        elif isinstance(event, AnswerCompleted):
            usage = event.usage
            return (
                TurnTimes(event.timings.first_token, first_text, usage.prompt_tokens, usage.cached_tokens),
                event.text,
            )
    raise AssertionError("an answer ends with AnswerCompleted or AnswerFailed")


def _told(reused: list[TurnTimes], anew: list[TurnTimes]) -> dict[str, Any]:
    # A turn that the model was not asked in has no first token.
    pairs = [
        (ours, theirs) for ours, theirs in zip(reused, anew, strict=True) if ours.first_token and theirs.first_token
    ]
    medians = {
        name: [statistics.median(getattr(pair[side], name) for pair in pairs) for side in (0, 1)]
        for name in ("first_token", "first_text")
    }
    return {
        "turns": len(pairs),
        "prompt_tokens": [pair[0].prompt_tokens for pair in pairs],
        "cached_tokens": [pair[0].cached_tokens for pair in pairs],
        "first_token_seconds": [[round(turn.first_token, 3) for turn in pair] for pair in pairs],
        "median_first_token_seconds": [round(value, 4) for value in medians["first_token"]],
        "first_token_ratio": round(medians["first_token"][0] / medians["first_token"][1], 3),
        "first_text_ratio": round(medians["first_text"][0] / medians["first_text"][1], 3),
    }
