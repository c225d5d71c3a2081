"""Cancelled, abandoned, crowded, killed: the queue stays free and the next request is answered."""

import os
import signal
import threading

import pytest

from core.errors import ModelBusyError, ModelCrashedError, ModelError
from inference.local_engine import LocalEngine
from inference.protocol import GeneratedText, WaitingInQueue
from tests.inference.collect import chat, finished, text_of

LONG = "Tell a long story. " + "Once upon a time there was a king. " * 150


def test_cancelled_while_writing_keeps_the_partial_text(engine: LocalEngine):
    pieces: list[str] = []
    events = []
    for event in engine.generate(chat("Tell a long story.", max_tokens=500), lambda: len(pieces) >= 3):
        events.append(event)
        if isinstance(event, GeneratedText):
            pieces.append(event.text)
    end = finished(events)
    assert end.reason == "cancelled"
    assert 3 <= end.usage.completion_tokens < 100
    assert text_of(events) == "".join(pieces)


def test_cancelled_while_the_prompt_is_read_computes_no_token(engine: LocalEngine):
    asked: list[None] = []

    def soon() -> bool:
        asked.append(None)
        return len(asked) > 4

    end = finished(engine.generate(chat("New words here. " + LONG, max_tokens=5), soon))
    assert end.reason == "cancelled"
    assert end.usage.completion_tokens == 0
    again = finished(engine.generate(chat("And the model still answers.", max_tokens=3)))
    assert again.usage.completion_tokens == 3


def test_closing_the_iterator_frees_the_queue(engine: LocalEngine):
    events = engine.generate(chat("Tell a long story.", max_tokens=1500))
    while not isinstance(next(events), GeneratedText):
        continue
    events.close()
    assert finished(engine.generate(chat("Short.", max_tokens=2))).usage.completion_tokens == 2


def test_two_callers_at_once_are_both_answered_as_if_alone(engine: LocalEngine):
    questions = ["What is a river?", "What is a mountain?"]
    alone = [text_of(engine.generate(chat(question))) for question in questions]
    together: dict[int, str] = {}

    def ask(index: int) -> None:
        together[index] = text_of(engine.generate(chat(questions[index])))

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[0], together[1]] == alone


def test_a_full_queue_says_so_and_a_waiting_caller_sees_its_position(engine: LocalEngine):
    first = engine.generate(chat("Tell a long story.", max_tokens=1500))
    while not isinstance(next(first), GeneratedText):
        continue
    waiting = [engine.generate(chat("Short.", max_tokens=2)) for _ in range(4)]
    positions = [next(events) for events in waiting]
    assert positions == [WaitingInQueue(position) for position in (1, 2, 3, 4)]
    with pytest.raises(ModelBusyError) as caught:
        next(engine.generate(chat("One too many.")))
    assert caught.value.retry_after_seconds >= 1
    waiting[1].close()
    first.close()
    ends = [finished(events) for index, events in enumerate(waiting) if index != 1]
    assert [end.reason for end in ends] == ["length"] * 3


def test_a_killed_worker_is_an_error_message_and_then_works_again(engine: LocalEngine):
    events = engine.generate(chat("Tell a long story.", max_tokens=1500))
    while not isinstance(next(events), GeneratedText):
        continue
    killed = engine.worker_pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    with pytest.raises(ModelCrashedError):
        list(events)
    assert finished(engine.generate(chat("Short.", max_tokens=2))).usage.completion_tokens == 2
    assert engine.worker_pid not in (None, killed)


def test_an_extension_computes_beside_the_model(engine: LocalEngine):
    values, arrays = engine.call("tests.inference.sample_extension:token_lengths", {"text": "Hello 世界"})
    assert values["tokens"] == engine.tokenize("Hello 世界")
    assert arrays["lengths"].sum() == len("Hello 世界".encode())
    assert str(arrays["lengths"].dtype) == "int32"


def test_an_extension_can_be_stopped_and_its_faults_reach_the_caller(engine: LocalEngine):
    values, _ = engine.call("tests.inference.sample_extension:wait_for_cancel", {}, lambda: True)
    assert values in ({}, {"saw_cancel": True})
    with pytest.raises(ModelError, match="refused"):
        engine.call("tests.inference.sample_extension:refuse", {})
    with pytest.raises(ModelError, match="ZeroDivisionError"):
        engine.call("tests.inference.sample_extension:fail", {})
    with pytest.raises(ModelError, match="not allowed"):
        engine.call("os:system", {})


def test_cancelled_while_the_model_is_loaded_for_it_ends_at_once(engine: LocalEngine):
    engine.close()
    asked: list[None] = []

    def soon() -> bool:
        asked.append(None)
        return len(asked) > 2

    end = finished(engine.generate(chat("Nobody waits for this.", max_tokens=5), soon))
    assert (end.reason, end.usage.prompt_tokens) == ("cancelled", 0)
    assert finished(engine.generate(chat("Short.", max_tokens=2))).usage.completion_tokens == 2
