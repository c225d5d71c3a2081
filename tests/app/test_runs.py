"""Answers run apart from any page: they end, stop, fail and are kept, whoever looks."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.answer_view import view_of_message
from app.runs import AnswerRun, IsCancelled, Runs
from orchestrator.events import AnswerEvent, TextDelta
from orchestrator.history import History
from tests.app.fake_parts import ANSWER, ending, opening


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "conversations.db")


def begin(history: History) -> str:
    conversation = history.create()
    return history.begin_answer(history.add_question(conversation.id, "How tall?").id).id


def whole(_is_cancelled: IsCancelled) -> Iterator[AnswerEvent]:
    yield from opening()
    yield TextDelta(ANSWER)
    yield ending(ANSWER)


def test_an_answer_is_kept_with_its_receipt(history: History):
    answer_id = begin(history)
    assert Runs(history).start(answer_id, whole).wait(10)
    view = view_of_message(history.message(answer_id))
    assert view.text == ANSWER
    assert view.route is not None
    assert view.route.mode == "rag"
    assert [source.number for source in view.used_sources] == [1]
    assert view.completed is not None
    assert view.completed.citations[0].passage_start == 34


def test_the_stored_view_equals_the_live_one(history: History):
    answer_id = begin(history)
    run = Runs(history).start(answer_id, whole)
    assert run.wait(10)
    assert view_of_message(history.message(answer_id)) == run.view


def test_stop_keeps_what_was_written(history: History):
    written = threading.Event()

    def endless(is_cancelled: IsCancelled) -> Iterator[AnswerEvent]:
        yield TextDelta("so far")
        written.set()
        while not is_cancelled():
            threading.Event().wait(0.01)
        yield ending("so far")

    answer_id = begin(history)
    run = Runs(history).start(answer_id, endless)
    assert written.wait(10)
    run.cancel()
    assert run.wait(10)
    stored = history.message(answer_id)
    assert (stored.text, stored.status) == ("so far", "stopped")


def test_an_exception_becomes_a_message_a_person_can_read(history: History):
    def exploding(_is_cancelled: IsCancelled) -> Iterator[AnswerEvent]:
        yield TextDelta("begun")
        raise RuntimeError("boom")

    answer_id = begin(history)
    run = Runs(history).start(answer_id, exploding)
    assert run.wait(10)
    assert run.view.failed is not None
    assert "boom" not in run.view.failed.en
    assert history.message(answer_id).status == "failed"


def test_two_answers_run_at_once(history: History):
    both = threading.Barrier(2, timeout=10)

    def meeting(_is_cancelled: IsCancelled) -> Iterator[AnswerEvent]:
        both.wait()
        yield from whole(_is_cancelled)

    runs = Runs(history)
    first, second = runs.start(begin(history), meeting), runs.start(begin(history), meeting)
    assert first.wait(10)
    assert second.wait(10)
    assert (first.view.text, second.view.text) == (ANSWER, ANSWER)


def test_an_answer_of_a_deleted_conversation_ends_quietly(history: History):
    gone = threading.Event()

    def slow(_is_cancelled: IsCancelled) -> Iterator[AnswerEvent]:
        yield from opening()
        gone.wait(10)
        yield TextDelta("too late")
        yield ending("too late")

    answer_id = begin(history)
    run = Runs(history).start(answer_id, slow)
    history.delete(history.message(answer_id).conversation_id)
    gone.set()
    assert run.wait(10)
    with pytest.raises(KeyError):
        history.message(answer_id)


def test_a_finished_run_is_not_offered_as_running(history: History):
    runs = Runs(history)
    run: AnswerRun = runs.start(begin(history), whole)
    assert run.wait(10)
    assert runs.get(run.answer_id) is None
