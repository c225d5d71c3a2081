"""Who comes next, without a model."""

import pytest

from core.errors import ModelBusyError
from inference.turn_queue import TurnQueue


def served(turns: TurnQueue[str]) -> list[str]:
    order = []
    while (ticket := turns.next(timeout=0)) is not None:
        order.append(ticket.item)
        turns.done()
    return order


def test_first_come_first_served():
    turns: TurnQueue[str] = TurnQueue(8)
    for item in "abc":
        turns.enter(item)
    assert served(turns) == ["a", "b", "c"]


def test_a_caller_with_many_requests_does_not_hold_up_another():
    turns: TurnQueue[str] = TurnQueue(8)
    for item in ("bulk 1", "bulk 2", "bulk 3"):
        turns.enter(item, key="bulk")
    turns.enter("chat", key="chat")
    assert served(turns) == ["bulk 1", "chat", "bulk 2", "bulk 3"]


def test_who_is_being_served_goes_behind_the_others():
    turns: TurnQueue[str] = TurnQueue(8)
    turns.enter("bulk 1", key="bulk")
    turns.next(timeout=0)
    turns.enter("bulk 2", key="bulk")
    ticket = turns.enter("chat", key="chat")
    assert turns.position(ticket) == 1
    turns.done()
    assert turns.position(ticket) == 0


def test_a_place_that_is_given_up_moves_the_others_forward():
    turns: TurnQueue[str] = TurnQueue(8)
    first, second = turns.enter("a"), turns.enter("b")
    assert turns.position(second) == 1
    assert turns.leave(first)
    assert not turns.leave(first)
    assert turns.position(second) == 0


def test_a_full_queue_refuses_with_a_time():
    turns: TurnQueue[str] = TurnQueue(2)
    turns.enter("a")
    turns.enter("b")
    with pytest.raises(ModelBusyError, match="2 requests are waiting") as caught:
        turns.enter("c")
    assert caught.value.retry_after_seconds == 10.0


def test_one_person_cannot_fill_a_queue_that_is_shared():
    turns: TurnQueue[str] = TurnQueue(4)
    for item in ("ann 1", "ann 2"):
        turns.enter(item, key="ann", shared=True)
    with pytest.raises(ModelBusyError):
        turns.enter("ann 3", key="ann", shared=True)
    turns.enter("bob 1", key="bob", shared=True)
    assert served(turns) == ["ann 1", "bob 1", "ann 2"]
    turns.enter("ann 4", key="ann", shared=True)
