"""With the setting, the engine is told where the passages stand, and the receipt tells what was not read again."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from core.config import Settings
from core.types import Usage
from inference.fakes import FakeEngine
from inference.protocol import GenerationEvent, GenerationFinished, GenerationRequest
from orchestrator.build import assistant_over
from orchestrator.events import AnswerEvent, ContextAssembled
from orchestrator.prompts.texts import STORED_PASSAGES, fill
from tests.orchestrator.parts import BRIDGE, TOWER, Passages, ask, end, only

STORED = 40


class StoringEngine(FakeEngine):
    """Tells of 40 tokens that were not read wherever it may put passages together."""

    def generate(
        self, request: GenerationRequest, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[GenerationEvent]:
        for event in super().generate(request, is_cancelled):
            if isinstance(event, GenerationFinished) and request.passages:
                yield replace(event, usage=Usage(100, 5, stored_tokens=STORED))
            else:
                yield event


def answered(home: Path, stored_passages: bool) -> tuple[StoringEngine, list[AnswerEvent]]:
    engine = StoringEngine(("It opened in 1889 [1].",))
    settings = Settings(home=home, stored_passages=stored_passages)
    who = assistant_over(settings, engine, Passages([TOWER, BRIDGE]))
    return engine, ask(who, "When did the tower open?")


def test_the_engine_is_told_where_the_passages_stand(tmp_path: Path):
    engine, events = answered(tmp_path, stored_passages=True)
    prompt = only(events, ContextAssembled).prompt
    shown = [prompt[start:stop] for start, stop in engine.requests[0].passages]
    assert shown == [f"[2] Title 1\n{BRIDGE}\n\n", f"[1] Title 0\n{TOWER}\n\n"]
    assert fill(STORED_PASSAGES, tokens=STORED) in end(events).notices


def test_without_the_setting_nothing_is_said_of_it(tmp_path: Path):
    engine, events = answered(tmp_path, stored_passages=False)
    assert engine.requests[0].passages == ()
    assert not any("stored_passages" in notice.en for notice in end(events).notices)
