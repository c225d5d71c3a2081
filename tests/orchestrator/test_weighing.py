"""Answers are weighed in the background, and what was found is kept with them."""

import json
import threading
from dataclasses import replace
from pathlib import Path

from core.errors import ModelError
from core.language import Bilingual
from core.types import Timings, Usage
from inference.fakes import FakeEngine
from orchestrator.context import Draft, Piece, assemble, draft
from orchestrator.events import AnswerCompleted, Citation, ContextAssembled
from orchestrator.grounding import Grounding, with_weights
from orchestrator.history import History
from orchestrator.serialise import grounding_from_json, plain
from orchestrator.weighing import Weigher

PATIENCE = 10.0
ANSWER = AnswerCompleted("In 1889 [1].", "model", Usage(), Timings(), (Citation(1, 8, 11, 0, 12, True, 0, 10),))


def context() -> ContextAssembled:
    pieces = (
        Piece("[1] The tower opened in 1889.\n", "source", 1),
        Piece("[2] The bridge is red.\n", "source", 2),
        Piece("Question: When did the tower open?", "question"),
    )
    return assemble(FakeEngine(), [draft("system", "Answer.", "system"), Draft("user", pieces)], 2000)


class Kept:
    """What the weigher told, and a way to wait for it."""

    def __init__(self) -> None:
        self.found: dict[str, Grounding] = {}
        self.told = threading.Event()

    def __call__(self, answer_id: str, found: Grounding) -> None:
        self.found[answer_id] = found
        self.told.set()


def test_an_answer_is_weighed_by_itself() -> None:
    kept = Kept()
    weigher = Weigher(FakeEngine, kept, lambda: False)
    assert weigher.ask("a", context(), ANSWER)
    assert kept.told.wait(PATIENCE)
    weigher.close()
    assert set(kept.found["a"].weights) == {1, 2}
    assert kept.found["a"].complete


def test_it_waits_while_the_model_answers() -> None:
    kept, busy = Kept(), threading.Event()
    busy.set()
    weigher = Weigher(FakeEngine, kept, busy.is_set)
    weigher.ask("a", context(), ANSWER)
    assert not kept.told.wait(0.6)
    busy.clear()
    assert kept.told.wait(PATIENCE)
    weigher.close()


def test_an_engine_without_probabilities_ends_no_later_weighing() -> None:
    kept, asked = Kept(), threading.Event()
    faults: list[Exception] = [
        ModelError(Bilingual(en="A remote model does not offer them.", zh="远程模型不提供。")),
        AttributeError("'Wrapped' object has no attribute 'log_probabilities'"),
    ]

    def score(_prompt: str, _continuation: str) -> float:
        if faults:
            asked.set()
            raise faults.pop()
        return -1.0

    weigher = Weigher(lambda: FakeEngine(score=score), kept, lambda: False)
    for name in ("first", "second"):
        weigher.ask(name, context(), ANSWER)
        assert asked.wait(PATIENCE)
        asked.clear()
    weigher.ask("third", context(), ANSWER)
    assert kept.told.wait(PATIENCE)
    weigher.close()
    assert set(kept.found) == {"third"}


def test_what_cannot_be_weighed_is_not() -> None:
    weigher = Weigher(FakeEngine, Kept(), lambda: False)
    bare = assemble(FakeEngine(), [draft("user", "Hello", "question")], 2000)
    assert not weigher.ask("a", None, ANSWER)
    assert not weigher.ask("a", bare, ANSWER)
    assert not weigher.ask("a", context(), replace(ANSWER, kind="refusal"))
    assert not weigher.ask("a", context(), replace(ANSWER, stopped=True))


def test_the_weights_survive_the_history(tmp_path: Path) -> None:
    history = History(tmp_path / "conversations.sqlite")
    talk = history.create()
    answer = history.begin_answer(history.add_question(talk.id, "When?").id)
    history.finish_answer(answer.id, "In 1889 [1].", "done", {"events": [], "thinking": "hm"})
    found = Grounding(1.25, 0.9, {1: 12.5, 2: -0.25}, (2,), True)
    history.add_to_receipt(answer.id, "grounding", plain(found))
    receipt = json.loads(json.dumps(history.message(answer.id).receipt))
    assert receipt["thinking"] == "hm"
    assert grounding_from_json(receipt["grounding"]) == found


def test_a_citation_takes_the_weight_of_its_source() -> None:
    weighed = with_weights(ANSWER, Grounding(1.0, 0.8, {1: 3.5}, (), True))
    assert [one.weight for one in weighed.citations] == [3.5]
