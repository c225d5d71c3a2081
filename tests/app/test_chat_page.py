"""The chat page in its states: empty, answered, failed, loading, in both languages."""

from streamlit.testing.v1 import AppTest

from app import container
from app.container import Container
from app.wording import Wording
from core.config import load_settings
from core.errors import ModelNotFoundError
from core.language import Bilingual
from tests.app.conftest import MAIN
from tests.app.fake_parts import PASSAGE, ScriptedAssistant

EN = Wording("en")


def text_of(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.title, *page.error, *page.get("html")]
    return "\n".join(str(getattr(part, "value", "") or part.proto.body) for part in parts)


def ask(page: AppTest, box: Container, question: str) -> AppTest:
    page.run()
    page.chat_input[0].set_value(question).run()
    for run in list(box.runs._runs.values()):
        assert run.wait(10)
    return page.run()


def test_an_empty_conversation_welcomes_with_three_questions(page: AppTest):
    page.run()
    assert not page.exception
    assert page.title[0].value == EN("welcome.title")
    offered = [page.button(key=f"welcome_{number}").label for number in range(3)]
    assert len(set(offered)) == 3


def test_an_answer_shows_its_steps_text_sources_and_cost(page: AppTest, box: Container):
    shown = text_of(ask(page, box, "How tall?"))
    assert not page.exception
    assert "searched 1,204 → 1 → 1 used" in shown
    assert "<strong>41 metres</strong>" in shown
    assert "evil.example" not in shown
    assert "tok/s" in shown
    assert any("Harbour" in button.label for button in page.button)


def test_a_question_is_shown_as_text_not_as_markup(page: AppTest, box: Container):
    assert "&lt;b&gt;bold&lt;/b&gt;" in text_of(ask(page, box, "<b>bold</b>"))


def test_a_source_opens_beside_the_chat_with_its_sentence_marked(page: AppTest, box: Container):
    ask(page, box, "How tall?")
    next(button for button in page.button if "Harbour" in button.label).click().run()
    assert not page.exception
    assert f"<mark>{PASSAGE[34:55]}</mark>" in text_of(page)


def test_the_prompt_is_shown_by_origin(page: AppTest, box: Container):
    ask(page, box, "How tall?")
    next(button for button in page.button if button.label == EN("prompt.open")).click().run()
    assert not page.exception
    assert '<span class="ff-system">Answer briefly.' in text_of(page)
    assert r"source 6\: no room" in text_of(page)


def test_a_failure_is_told_and_keeps_the_text(page: AppTest, box: Container):
    ask(page, box, "please fail")
    assert page.error[0].value == "The model failed."
    assert "41 metres" in text_of(page)


def test_asking_another_way_keeps_a_case_for_the_router(page: AppTest, box: Container, assistant: ScriptedAssistant):
    ask(page, box, "How tall?")
    next(button for button in page.button if (button.key or "").startswith("again_prompt_")).click().run()
    assert [case.expected for case in box.history.overrules()] == ["prompt"]
    assert assistant.questions[-1].mode == "prompt"


def test_a_refresh_finds_the_conversation(page: AppTest, box: Container):
    ask(page, box, "How tall?")
    fresh = AppTest.from_file(MAIN, default_timeout=20)
    fresh.query_params["c"] = box.history.conversations()[0].id
    assert "41 metres" in text_of(fresh.run())


def test_a_conversation_that_was_deleted_leads_to_the_welcome(page: AppTest):
    page.query_params["c"] = "gone"
    page.run()
    assert not page.exception
    assert page.title[0].value == EN("welcome.title")


def test_the_language_switch_changes_the_page(page: AppTest):
    page.run()
    page.session_state["language"] = "zh"
    page.run()
    assert page.title[0].value == Wording("zh")("welcome.title")


def test_a_model_that_cannot_load_is_named(page: AppTest):
    def broken(_settings: object) -> object:
        raise ModelNotFoundError(Bilingual("No model at /x.gguf.", "/x.gguf 处没有模型。"))

    failing = Container(load_settings(), build=broken).start()  # type: ignore[arg-type]
    failing._warm.wait(10)
    container.share(failing)
    page.run()
    assert not page.exception
    assert "No model at /x.gguf." in page.error[0].value


def test_a_call_that_waits_is_shown_and_goes_on_as_decided(page: AppTest, box: Container, assistant: ScriptedAssistant):
    ask(page, box, "something dangerous")
    area = next(area for area in page.text_area if area.label == EN("approval.arguments"))
    area.set_value('{"path": "/tmp/y"}').run()
    next(button for button in page.button if button.label == EN("approval.allow")).click().run()
    (decided,) = assistant.questions[-1].options.resumed
    assert decided.allowed
    assert decided.call.arguments == {"path": "/tmp/y"}


def test_a_refused_call_is_refused(page: AppTest, box: Container, assistant: ScriptedAssistant):
    ask(page, box, "something dangerous")
    next(button for button in page.button if button.label == EN("approval.refuse")).click().run()
    assert [decided.allowed for decided in assistant.questions[-1].options.resumed] == [False]
