"""What a person does with a turn and with a conversation: again, another version, a branch, a verdict, a title."""

from streamlit.testing.v1 import AppTest

from app.container import Container
from app.wording import Wording
from tests.app.fake_parts import ANSWER, ScriptedAssistant
from tests.app.test_chat_page import ask
from tests.app.test_pages import settle

EN = Wording("en")


def press(page: AppTest, box: Container, beginning: str) -> AppTest:
    """Click the button whose key begins so; wait for what it started."""
    next(button for button in page.button if (button.key or "").startswith(beginning)).click().run()
    assert not page.exception
    settle(box)
    return page.run()


def places(page: AppTest) -> list[str]:
    return [caption.value for caption in page.caption if "/" in caption.value and len(caption.value) == 3]


def test_an_answer_given_again_keeps_the_one_before(page: AppTest, box: Container):
    ask(page, box, "How tall?")
    press(page, box, "regenerate_")
    assert places(page) == ["2/2"]
    press(page, box, "sibling_-1_")
    assert places(page) == ["1/2"]
    thread = box.history.thread(box.history.conversations()[0].id)
    assert [message.text for message in thread] == ["How tall?", ANSWER]


def test_a_question_that_is_changed_begins_a_branch(page: AppTest, box: Container, assistant: ScriptedAssistant):
    ask(page, box, "How tall?")
    ask(page, box, "And how old?")
    first = next(message for message in box.history.thread(box.history.conversations()[0].id))
    page.text_area(key=f"text_{first.id}").set_value("How wide?").run()
    press(page, box, f"ask_{first.id}")
    assert assistant.questions[-1].text == "How wide?"
    assert assistant.questions[-1].history == ()
    assert [message.text for message in box.history.thread(first.conversation_id)] == ["How wide?", ANSWER]
    # The other branch is one click away, with what followed in it.
    press(page, box, "sibling_-1_")
    texts = [message.text for message in box.history.thread(first.conversation_id)]
    assert texts == ["How tall?", ANSWER, "And how old?", ANSWER]


def test_a_correction_is_kept_as_what_should_have_been_said(page: AppTest, box: Container):
    ask(page, box, "How tall?")
    field = next(area for area in page.text_area if area.label == EN("feedback.better"))
    field.set_value("It is 41 metres tall.").run()
    press(page, box, "keep_")
    (kept,) = box.history.feedback("correction")
    assert (kept.question, kept.answer, kept.text) == ("How tall?", ANSWER, "It is 41 metres tall.")


def test_a_conversation_is_renamed_found_and_deleted(page: AppTest, box: Container):
    ask(page, box, "How tall?")
    identifier = box.history.conversations()[0].id
    page.text_input(key=f"rename_{identifier}").set_value("Lighthouses").run()
    assert [talk.title for talk in box.history.conversations()] == ["Lighthouses"]
    search = page.text_input(key="conversation_search")
    search.set_value("nowhere").run()
    assert EN("sidebar.nothing_found") in [caption.value for caption in page.caption]
    search.set_value("metres").run()
    assert any("Lighthouses" in button.label for button in page.button)
    press(page, box, f"delete_{identifier}")
    assert box.history.conversations() == []
    assert page.title[0].value == EN("welcome.title")


def test_the_next_question_stands_under_the_one_before(page: AppTest, box: Container, assistant: ScriptedAssistant):
    ask(page, box, "How tall?")
    ask(page, box, "And how old?")
    assert [turn.content for turn in assistant.questions[-1].history] == ["How tall?", ANSWER]
