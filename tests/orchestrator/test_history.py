from pathlib import Path

import pytest

from core.language import Bilingual
from core.types import Message, Timings, Usage
from orchestrator.events import AnswerCompleted, AnswerEvent, AnswerFailed, TextDelta
from orchestrator.history import History, Overrule
from orchestrator.recording import record
from orchestrator.serialise import from_json


@pytest.fixture
def history(tmp_path: Path):
    return History(tmp_path / "deep" / "conversations.db")


def _completed(text: str, stopped: bool = False):
    return AnswerCompleted(text, "model", Usage(3, 2), Timings(total=1.5), stopped=stopped)


def _asked(history: History, text: str = "When?"):
    conversation = history.create()
    question = history.add_question(conversation.id, text)
    return conversation, question, history.begin_answer(question.id)


def test_a_conversation_survives_reopening_the_file(history: History, tmp_path: Path):
    conversation, _, answer = _asked(history, "When did the tower open?")
    history.finish_answer(answer.id, "In 1889.", "done", {"events": []})
    again = History(tmp_path / "deep" / "conversations.db")
    assert [turn.text for turn in again.thread(conversation.id)] == ["When did the tower open?", "In 1889."]
    assert again.conversations()[0].title == "When did the tower open?"


def test_asking_again_makes_a_sibling_and_editing_makes_a_branch(history: History):
    conversation, question, first = _asked(history)
    second = history.begin_answer(question.id)
    assert (history.message(first.id).sibling, second.sibling, second.siblings) == (1, 2, 2)
    edited = history.add_question(conversation.id, "Where?", parent_id="")
    assert [turn.text for turn in history.thread(conversation.id)] == ["Where?"]
    history.select(question.id)
    assert [turn.id for turn in history.thread(conversation.id)] == [question.id, second.id]
    assert history.siblings(edited.id) == [question.id, edited.id]


def test_recording_keeps_partial_text_while_tokens_arrive(history: History):
    _, _, answer = _asked(history)
    stream = record(history, answer.id, iter([TextDelta("In "), TextDelta("1889."), _completed("In 1889 [1].")]))
    next(stream)
    assert history.message(answer.id).text == "In "
    assert history.message(answer.id).status == "streaming"
    list(stream)
    kept = history.message(answer.id)
    assert (kept.text, kept.status) == ("In 1889 [1].", "done")
    assert [from_json(event) for event in kept.receipt["events"]] == [_completed("In 1889 [1].")]


def test_closing_the_stream_keeps_the_text_as_interrupted(history: History):
    _, _, answer = _asked(history)
    stream = record(history, answer.id, iter([TextDelta("In "), TextDelta("1889")]))
    next(stream), next(stream)
    stream.close()
    assert (history.message(answer.id).text, history.message(answer.id).status) == ("In 1889", "interrupted")


@pytest.mark.parametrize(
    ("last", "status"),
    [(_completed("x", stopped=True), "stopped"), (AnswerFailed(Bilingual("no", "否"), "x"), "failed")],
)
def test_the_end_decides_the_status(history: History, last: AnswerEvent, status: str):
    _, _, answer = _asked(history)
    list(record(history, answer.id, iter([last])))
    assert (history.message(answer.id).text, history.message(answer.id).status) == ("x", status)


def test_the_turns_before_a_question_leave_failed_answers_out(history: History):
    conversation, _, answer = _asked(history, "one")
    history.finish_answer(answer.id, "boom", "failed", {})
    second = history.add_question(conversation.id, "two")
    assert history.chat_before(second.id) == (Message("user", "one"),)


def test_search_takes_words_literally_in_both_languages(history: History):
    _asked(history, "100% of 中文搜索")
    _asked(history, "nothing")
    assert len(history.search("搜索")) == 1
    assert len(history.search("100%")) == 1
    assert history.search("%_%") == []


def test_deleting_takes_messages_and_feedback_along(history: History):
    conversation, _, answer = _asked(history)
    history.add_feedback(answer.id, "correction", "In 1889.")
    [feedback] = history.feedback("correction")
    assert (feedback.question, feedback.text) == ("When?", "In 1889.")
    history.delete(conversation.id)
    assert history.feedback() == []
    assert history.conversations() == []
    with pytest.raises(KeyError):
        history.message(answer.id)


def test_overrules_come_back_as_they_were(history: History):
    overrule = Overrule("算一下", ("你好", "您好"), "default", "rag", "tools")
    history.add_overrule(overrule)
    assert history.overrules() == [overrule]


def test_old_streaming_answers_are_closed(history: History):
    _, _, answer = _asked(history)
    assert history.close_interrupted(older_than_seconds=60) == 0
    assert history.close_interrupted(older_than_seconds=0) == 1
    assert history.message(answer.id).status == "interrupted"
