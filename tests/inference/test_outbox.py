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
        (0.01 * number, GeneratedText(str(number), (number,))) for number in range(5)
    ]
    assert sent(*fast, (0.05, END)) == [
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
