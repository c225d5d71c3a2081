"""Every page draws, also when it has nothing to show yet, and does its main thing."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import container, preferences
from app.container import Container, Parts
from app.doctor import examine
from app.export import as_json, as_markdown
from app.wording import Wording
from core.config import Settings, load_settings
from core.errors import ModelNotFoundError
from core.language import Bilingual, Language
from tests.app.conftest import MAIN
from tests.app.fake_parts import ANSWER, ScriptedAssistant

EN = Wording("en")
PAGES = ["chat", "documents", "compare", "prompts", "tools", "finetune", "exam", "xray", "models"]


def page_of(name: str) -> AppTest:
    return AppTest.from_string(f"from app.views import {name}\n\n{name}.draw()\n", default_timeout=60)


def settle(box: Container) -> None:
    for run in list(box.runs._runs.values()):
        assert run.wait(20)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_draws_in_both_languages(box: Container, name: str, language: Language):
    page = page_of(name)
    page.session_state["language"] = language
    page.run()
    assert not page.exception
    assert len(page.title) == 1


def test_compare_asks_every_chosen_mode(box: Container, assistant: ScriptedAssistant):
    page = page_of("compare").run()
    page.text_input[0].set_value("How tall?")
    page.button[0].click().run()
    settle(box)
    page.run()
    assert not page.exception
    assert sorted(question.mode for question in assistant.questions) == ["finetuned", "prompt", "rag", "tools"]
    shown = "\n".join(part.proto.body for part in page.get("html"))
    assert shown.count("<strong>41 metres</strong>") == 4


def calculated(expression: str) -> AppTest:
    """The page Tools after the calculator was called by hand."""
    page = page_of("tools")
    page.session_state["tool_calculator"] = True
    page.run()
    field = next(text for text in page.text_input if (text.key or "").startswith("argument_calculator"))
    field.set_value(expression)
    next(button for button in page.button if button.label == EN("tools.run")).click().run()
    assert not page.exception
    return page


def test_a_tool_is_called_by_hand(box: Container):
    page = calculated("6 * 7")
    assert any("42" in code.value for code in page.code)


def test_settings_are_saved_and_loaded(box: Container):
    page = page_of("models").run()
    next(number for number in page.number_input if number.label == EN("settings.max_tokens")).set_value(77)
    next(button for button in page.button if button.label == EN("settings.save")).click().run()
    assert load_settings().max_tokens == 77


def test_preferences_survive_awkward_values(tmp_path: Path):
    path = tmp_path / "home" / "settings.toml"
    preferences.save(path, {"model": 'C:\\models\\"q".gguf', "top_k": 3})
    preferences.save(path, {"language": "zh"})
    assert path.read_text(encoding="utf-8").splitlines() == [
        'language = "zh"',
        'model = "C:\\\\models\\\\\\"q\\".gguf"',
        "top_k = 3",
    ]


def test_the_doctor_names_what_is_there():
    found = {check.name.en: check for check in examine(load_settings(), load_model=False)}
    assert found["chat model"].state == "ok"
    assert found["sentence encoder"].state == "ok"
    assert all(check.remedy.en and check.remedy.zh for check in found.values() if check.state == "missing")


def test_a_conversation_is_exported_with_its_sources(box: Container):
    page = AppTest.from_file(MAIN, default_timeout=60).run()
    page.chat_input[0].set_value("How tall?").run()
    settle(box)
    thread = box.history.thread(box.history.conversations()[0].id)
    text = as_markdown("T", thread, EN)
    assert ANSWER in text
    assert "- [1] Harbour <b>guide</b>, 3 (/docs/harbour.pdf)" in text
    assert json.loads(as_json("T", thread))["messages"][1]["text"] == ANSWER


@pytest.fixture
def unready() -> Iterator[tuple[Container, threading.Event]]:
    """A container whose models load until the event is set, and then fail to."""
    go = threading.Event()

    def build(_settings: Settings) -> Parts:
        go.wait(30)
        raise ModelNotFoundError(Bilingual("No model at /x.gguf.", "/x.gguf 处没有模型。"))

    made = Container(load_settings(), build).start()
    container.share(made)
    yield made, go
    go.set()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_stands_while_the_models_load(unready: tuple[Container, threading.Event], name: str):
    page = page_of(name).run()
    assert not page.exception
    assert len(page.title) == 1


@pytest.mark.parametrize("name", PAGES)
def test_a_page_stands_where_the_models_cannot_load(unready: tuple[Container, threading.Event], name: str):
    box, go = unready
    go.set()
    assert box._warm.wait(10)
    page = page_of(name).run()
    assert not page.exception
    assert len(page.title) == 1
    assert box.state == "failed"
