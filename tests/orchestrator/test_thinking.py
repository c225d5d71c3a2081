"""Models that think aloud: the thoughts are told apart, counted, paid for, and never cited."""

from pathlib import Path

import pytest

from core.types import AnswerOptions, Question, SamplingSettings
from inference.fakes import FakeEngine
from orchestrator.bill import Price, bill_of
from orchestrator.events import AnswerCompleted, AnswerEvent, ContextAssembled, SourcesFound, TextDelta, ThinkingDelta
from orchestrator.history import History
from orchestrator.prompts import texts
from orchestrator.recording import record
from orchestrator.thinking import ThinkingSplitter
from tests.orchestrator.parts import TOWER, ask, assistant, end, only

THOUGHT = "The passage [1] says 1889. So that is it."


def thoughts(events: list[AnswerEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, ThinkingDelta))


def shown(events: list[AnswerEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize("mode", ["rag", "prompt"])
def test_thoughts_are_no_part_of_the_answer_in_any_mode(tmp_path: Path, mode: str):
    who, _, _ = assistant(tmp_path, [TOWER], f"<think>{THOUGHT}</think>\nThe tower opened in 1889 [1].")
    events = ask(who, "When did the tower open?", mode)
    assert thoughts(events) == THOUGHT
    assert shown(events) == end(events).text == "The tower opened in 1889 [1]."
    assert len(end(events).citations) == (1 if mode == "rag" else 0)


def test_thoughts_are_counted_and_paid_for(tmp_path: Path):
    who, engine, _ = assistant(tmp_path, [TOWER], f"<think>{THOUGHT}</think>\n1889 [1].")
    events = ask(who, "When did the tower open?")
    bill = bill_of(events, engine, [Price("p", 0.0, 2.0)])
    assert bill.thinking_tokens == engine.count_tokens(THOUGHT)
    assert 0 < bill.thinking_tokens < bill.completion_tokens
    assert bill.thinking_costs == {"p": pytest.approx(2e-6 * bill.thinking_tokens)}
    assert bill.thinking_seconds == pytest.approx(
        bill.thinking_tokens / bill.tokens_per_second if bill.tokens_per_second else 0.0, abs=0.01
    )


def test_an_answer_without_thoughts_costs_none():
    assert bill_of([], FakeEngine()).thinking_costs == dict.fromkeys(bill_of([], FakeEngine()).costs, 0.0)


@pytest.mark.parametrize(("text", "language"), [("When did the tower open?", "en"), ("塔是哪一年建成的？", "zh")])
@pytest.mark.parametrize("mode", ["rag", "prompt"])
def test_step_by_step_is_a_switch(tmp_path: Path, mode: str, text: str, language: str):
    who, _, _ = assistant(tmp_path, [TOWER], "1889 [1].", languages=("en", "zh"))
    for on in (True, False):
        question = Question(text, mode=mode, options=AnswerOptions(step_by_step=on))  # type: ignore[arg-type]
        prompt = only(list(who.answer(question)), ContextAssembled).prompt
        assert (texts.STEP_BY_STEP.in_(language) in prompt) is on


def test_thoughts_that_never_end_leave_the_documents_to_answer(tmp_path: Path):
    who, _, _ = assistant(tmp_path, [TOWER], "<think>Well, let me see, it might be that")
    question = Question(
        "When did the tower open?", mode="rag", options=AnswerOptions(sampling=SamplingSettings(max_tokens=5))
    )
    answer = end(list(who.answer(question)))
    assert answer.kind == "extractive"
    assert answer.text.startswith("The tower opened in 1889. [1]")
    assert texts.EXTRACTIVE_FALLBACK in answer.notices


def test_the_history_keeps_the_thoughts_apart(tmp_path: Path):
    who, _, _ = assistant(tmp_path, [], "<think>Hm.</think>Paris.")
    history = History(tmp_path / "c.db")
    asked = history.add_question(history.create().id, "What is the capital of France?")
    answer = history.begin_answer(asked.id)
    for _ in record(history, answer.id, who.answer(Question(asked.text, mode="prompt"))):
        pass
    kept = history.message(answer.id)
    assert (kept.text, kept.receipt["thinking"]) == ("Paris.", "Hm.")


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_however_the_stream_is_cut_the_thoughts_are_the_same(size: int):
    text = "<think>a < b\n</think>\n\nc </thin d"
    splitter, deltas = ThinkingSplitter(), []
    for at in range(0, len(text), size):
        deltas += splitter.feed(text[at : at + size])
    deltas += splitter.finish()
    assert "".join(delta.text for delta in deltas if isinstance(delta, ThinkingDelta)) == "a < b\n"
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == "c </thin d"


def test_a_template_that_opens_the_thoughts_is_known():
    splitter = ThinkingSplitter(inside=True)
    deltas = [*splitter.feed("so</think>yes"), *splitter.finish()]
    assert deltas == [ThinkingDelta("so"), TextDelta("yes")]


@pytest.mark.parametrize(
    ("answer", "claims"),
    [
        ("According to the documents it was 1889.", True),
        ("根据文档，铁塔建于1889年。", True),
        ("It was 1889.", False),
        ("According to Newton, force is mass times acceleration.", False),
    ],
)
def test_a_claim_of_support_without_documents_is_told(tmp_path: Path, answer: str, claims: bool):
    who, _, _ = assistant(tmp_path, [], answer)
    said = end(ask(who, "When did it open?", "prompt"))
    assert isinstance(said, AnswerCompleted)
    assert said.notices[0] == texts.GENERAL_KNOWLEDGE
    assert (texts.CLAIMED_DOCUMENTS in said.notices) is claims


@pytest.mark.parametrize(("text", "language"), [("Who invented the telephone?", "en"), ("谁发明了电话？", "zh")])
def test_a_refusal_shows_the_closest_and_general_knowledge_is_labelled(tmp_path: Path, text: str, language: str):
    who, engine, _ = assistant(tmp_path, [TOWER] * 5, "Bell.", level="none", languages=("en", "zh"))
    events = ask(who, text)
    assert end(events).kind == "refusal"
    assert end(events).text == texts.NO_EVIDENCE.in_(language)
    assert [(one.used, one.reason) for one in only(events, SourcesFound).sources] == [(False, texts.CLOSEST)] * 3
    assert engine.requests == []
    again = end(ask(who, text, "prompt"))
    assert (again.text, again.notices) == ("Bell.", (texts.GENERAL_KNOWLEDGE,))
    who, _, _ = assistant(tmp_path, [], languages=("en", "zh"), level="none")
    assert end(ask(who, text)).text == fill_empty(language)


def fill_empty(language: str) -> str:
    return texts.fill(texts.EMPTY_COLLECTION, name="default").in_(language)
