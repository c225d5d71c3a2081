import sqlite3
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import DatabaseError
from core.language import Bilingual
from core.types import Message, Timings, Usage
from orchestrator.events import AnswerCompleted, AnswerEvent, AnswerFailed, TextDelta
from orchestrator.history import History, Overrule
from orchestrator.recording import record
from orchestrator.serialise import from_json


@pytest.fixture(params=["sqlite", "postgresql"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], History]:
    """Opens the same conversations again, as another process would: in a file, and on a real server."""
    if request.param == "sqlite":
        return lambda: History(tmp_path / "deep" / "conversations.db")
    url, owner = request.getfixturevalue("postgres_url"), uuid.uuid4().hex
    return lambda: History(tmp_path / "unused.db", url, owner)


@pytest.fixture
def history(reopen: Callable[[], History]) -> History:
    return reopen()


def _completed(text: str, stopped: bool = False):
    return AnswerCompleted(text, "model", Usage(3, 2), Timings(total=1.5), stopped=stopped)


def _asked(history: History, text: str = "When?"):
    conversation = history.create()
    question = history.add_question(conversation.id, text)
    return conversation, question, history.begin_answer(question.id)


def test_a_conversation_survives_reopening(history: History, reopen: Callable[[], History]):
    conversation, _, answer = _asked(history, "When did the tower open?")
    history.finish_answer(answer.id, "In 1889.", "done", {"events": []})
    again = reopen()
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


def test_an_answer_that_gives_signs_stays_open_and_hears_a_wish_to_stop(
    history: History, reopen: Callable[[], History]
):
    _, _, answer = _asked(history)
    elsewhere = reopen()
    assert not elsewhere.is_being_given(answer.id)
    assert history.give_signs([answer.id]) == []
    assert elsewhere.is_being_given(answer.id)
    assert elsewhere.close_interrupted(older_than_seconds=5) == 0
    elsewhere.ask_to_stop(answer.id)
    assert history.give_signs([answer.id]) == [answer.id]
    history.finish_answer(answer.id, "half", "stopped", {})
    assert not elsewhere.is_being_given(answer.id)
    assert history.give_signs([answer.id, "gone"]) == []


def test_an_answer_without_a_sign_is_closed_however_it_began(history: History):
    _, _, answer = _asked(history)
    history.give_signs([answer.id])
    time.sleep(0.05)
    assert history.close_interrupted(older_than_seconds=0.01) == 1
    assert history.message(answer.id).status == "interrupted"
    assert not history.is_being_given(answer.id)


def test_hostile_text_is_text(history: History):
    nasty = "'; DROP TABLE messages; -- ? %s %(x)s rowid LIKE \x00 \\ 😀 {}"
    conversation, question, _ = _asked(history, nasty)
    assert history.message(question.id).text.replace("\x00", "") == nasty.replace("\x00", "")
    history.rename(conversation.id, nasty)
    assert len(history.search("DROP TABLE")) == 1
    with pytest.raises(KeyError):
        history.thread("' OR 1=1 --")


def test_owners_on_one_server_see_nothing_of_each_other(postgres_url: str, tmp_path: Path):
    ann = History(tmp_path / "unused.db", postgres_url, uuid.uuid4().hex)
    bob = History(tmp_path / "unused.db", postgres_url, 'b"; SET search_path TO "x' + uuid.uuid4().hex[:8])
    conversation, question, answer = _asked(ann, "only Ann's")
    ann.add_feedback(answer.id, "good")
    assert [len(found) for found in (bob.conversations(), bob.search("Ann"), bob.feedback())] == [0, 0, 0]
    doors: list[tuple[Callable[[str], object], str]] = [
        *((door, conversation.id) for door in (bob.thread, bob.delete)),
        *((door, question.id) for door in (bob.message, bob.select, bob.begin_answer, bob.siblings)),
    ]
    for door, of_ann in doors:
        with pytest.raises(KeyError):
            door(of_ann)
    with pytest.raises(KeyError):
        bob.add_feedback(answer.id, "bad")
    assert not bob.is_being_given(answer.id)
    assert len(ann.thread(conversation.id)) == 2


def test_a_file_of_the_first_version_is_brought_to_the_present_one(tmp_path: Path):
    history = History(tmp_path / "c.db")
    _, _, answer = _asked(history, "kept")
    with sqlite3.connect(tmp_path / "c.db") as db:
        db.execute("DROP TABLE running")
        db.execute("PRAGMA user_version = 1")
    again = History(tmp_path / "c.db")
    assert again.give_signs([answer.id]) == []
    assert again.is_being_given(answer.id)


def test_a_server_that_is_not_there_is_told_without_its_password(tmp_path: Path):
    pytest.importorskip("psycopg_pool")
    with pytest.raises(DatabaseError, match="database_url") as caught:
        History(tmp_path / "unused.db", "postgresql://ann:secret@127.0.0.1:9/none?connect_timeout=1", "x")
    assert "secret" not in str(caught.value)


def test_conversations_move_to_the_server_and_back_and_stay_as_they_were(postgres_url: str, tmp_path: Path):
    here = History(tmp_path / "c.db")
    there = History(tmp_path / "unused.db", postgres_url, uuid.uuid4().hex)
    for text in ("first", "第二"):
        _, question, answer = _asked(here, text)
        here.finish_answer(answer.id, "said", "done", {"events": [], "thinking": "hm"})
        here.begin_answer(question.id)
        here.add_feedback(answer.id, "good")
    here.add_overrule(Overrule("算一下", (), "default", "rag", "tools"))
    assert there.take_over(here) == 2 + 6 + 2 + 1
    assert there.take_over(here) == 0
    back = History(tmp_path / "back.db")
    assert back.take_over(there) == 11
    for place in (there, back):
        assert place.conversations() == here.conversations()
        assert [place.thread(one.id) for one in place.conversations()] == [
            here.thread(one.id) for one in here.conversations()
        ]
        assert (place.feedback(), place.overrules()) == (here.feedback(), here.overrules())
