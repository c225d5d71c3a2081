"""Text is gathered on its way out, and nothing of it is lost, held for long, or mixed up."""

from collections.abc import Sequence

from core.types import Timings, Usage
from inference.outbox import LEAST_SECONDS, Outbox
from inference.protocol import GeneratedText, GenerationEvent, GenerationFinished

END = GenerationFinished("stop", Usage(), Timings())


def sent(*timed: tuple[float, GenerationEvent]) -> list[list[GenerationEvent]]:
    """What goes out where each event is put in at its second."""
    now = [0.0]
    out: list[list[GenerationEvent]] = []

    def send(events: Sequence[GenerationEvent]) -> None:
        out.append(list(events))

    box = Outbox(send, clock=lambda: now[0])
    for second, event in timed:
        now[0] = second
        box.put(event)
    return out


def test_the_first_text_goes_at_once_and_what_follows_soon_goes_together():
    fast: list[tuple[float, GenerationEvent]] = [
        (0.34 * LEAST_SECONDS * number, GeneratedText(str(number), (number,))) for number in range(5)
    ]
    assert sent(*fast, (1.7 * LEAST_SECONDS, END)) == [
        [GeneratedText("0", (0,))],
        [GeneratedText("123", (1, 2, 3))],
        [GeneratedText("4", (4,)), END],
    ]


def test_a_slow_model_sends_every_token():
    slow: list[tuple[float, GenerationEvent]] = [
        (2 * LEAST_SECONDS * number, GeneratedText("x", (number,))) for number in range(3)
    ]
    assert sent(*slow) == [[GeneratedText("x", (number,))] for number in range(3)]


def test_probabilities_stay_with_their_tokens():
    told: list[tuple[float, GenerationEvent]] = [
        (0.0, GeneratedText("a", (1,), -0.5)),
        (0.001, GeneratedText("b", (2,), -0.25)),
        (0.002, END),
    ]
    assert sent(*told) == [[told[0][1]], [told[1][1], END]]


def test_text_is_due_at_first_and_again_after_a_while():
    now = [100.0]
    box = Outbox(lambda _events: None, clock=lambda: now[0])
    assert box.is_due()
    box.put(GeneratedText("x", (1,)))
    now[0] += LEAST_SECONDS / 2
    assert not box.is_due()
    now[0] += LEAST_SECONDS
    assert box.is_due()
