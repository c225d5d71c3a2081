"""A comparison of modes as a table; an answer with its bill and what it stands on."""

import json
import time
from collections.abc import Callable

from app.container import Container
from app.widgets.bill import weight_lines
from orchestrator.compare import saved
from orchestrator.grounding import Grounding
from tests.app.test_pages import page_of, settle

PATIENCE = 20.0


def until(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE
    while not (found := holds()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def test_a_finished_comparison_is_kept_and_offered_as_a_table(box: Container) -> None:
    page = page_of("compare").run()
    page.text_input[0].set_value("How tall?")
    page.button[0].click().run()
    settle(box)
    page.run()
    assert not page.exception
    downloads = [part.proto.label for part in page.get("download_button")]
    assert downloads == ["Table (CSV)", "All of it (JSON)"]
    next(button for button in page.button if button.label == "Keep the comparison").click().run()
    [kept] = saved(box.settings.paths.home)
    assert kept.question == "How tall?"
    assert [outcome.citations for outcome in kept.outcomes] == [1, 1, 1, 1]
    assert all("lighthouse" in outcome.text for outcome in kept.outcomes)


def test_an_answer_shows_its_bill_and_its_weights_once_they_are_known(box: Container) -> None:
    page = page_of("chat").run()
    page.chat_input[0].set_value("How tall?").run()
    settle(box)
    answer = box.history.thread(box.history.conversations()[0].id)[-1]
    # The fake model finds nothing harder without a passage: that is found out and kept by itself.
    assert until(lambda: "grounding" in box.history.message(answer.id).receipt)
    assert box.history.message(answer.id).receipt["grounding"]["weights"] == {"1": 0.0}
    weights = {"nats_per_token": 1.0, "meter": 0.8614, "weights": {"1": 9.5}, "disagreements": [], "complete": True}
    box.history.add_to_receipt(answer.id, "grounding", json.loads(json.dumps(weights)))
    page.run()
    page.button(key=f"bill_{answer.id}").click().run()
    assert not page.exception
    texts = " ".join(part.value for part in [*page.caption, *page.markdown])
    assert "[1] weighs 9.5 nats" in texts
    assert "Read: 120 tokens" in texts
    assert "sources 20" in texts
    # 120 tokens at .15 and the answer's at .60 a million.
    assert "USD" in texts


def test_weights_are_told_heaviest_first_with_what_disagrees() -> None:
    found = Grounding(1.0, 0.8, {1: 0.5, 2: 7.25}, (1,), False)
    lines = weight_lines(found, "en")
    assert lines[:2] == ["[2] weighs 7.2 nats", "[1] weighs 0.5 nats"]
    assert "[1]" in lines[-1]
    assert "leans more" in lines[-1]
    assert "时间已到" in weight_lines(found, "zh")[2]
