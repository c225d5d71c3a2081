"""Prompt templates: variables are filled once, examples become turns, the one in use shapes the prompt mode alone."""

import json
from pathlib import Path

import pytest

from app import prompt_library
from app.__main__ import main
from app.prompt_library import PromptTemplate, shaped
from core.config import load_settings
from core.errors import SettingError
from core.types import AnswerOptions, Message, Question

POLITE = PromptTemplate(
    "Polite", "Answer {audience} politely.", "Q: {question}", (("Hi", "Hello!"),), {"audience": "a child"}
)


def test_a_template_puts_instruction_turns_and_pattern_around_the_question():
    asked = POLITE.apply(Question("Why is {audience} blue?", (Message("user", "before"),), mode="prompt"))
    assert asked.options.system == "Answer a child politely."
    assert asked.text == "Q: Why is {audience} blue?"
    assert [turn.content for turn in asked.history] == ["Hi", "Hello!", "before"]
    assert [turn.role for turn in asked.history] == ["user", "assistant", "user"]


def test_variables_are_named_once_and_the_question_is_not_one_of_them():
    template = PromptTemplate("x", "{tone} {tone} {语气}", "{question} {length} {} {1x}")
    assert template.variables == ("tone", "语气", "length")


def test_a_pattern_without_the_question_has_it_appended():
    assert PromptTemplate("x", pattern="Translate:").apply(Question("cat")).text == "Translate:\n\ncat"


def test_what_is_kept_is_found_again(tmp_path: Path):
    prompt_library.keep(tmp_path, POLITE, use=True)
    prompt_library.keep(tmp_path, PromptTemplate("Short", "Be short."))
    shelf = prompt_library.load(tmp_path)
    assert shelf.current == POLITE
    assert [one.name for one in shelf.templates] == ["Polite", "Short"]
    assert prompt_library.remove(tmp_path, "Polite").in_use == ""
    assert prompt_library.use(tmp_path, "Short").current == PromptTemplate("Short", "Be short.")
    with pytest.raises(SettingError, match="Short"):
        prompt_library.use(tmp_path, "Polite")
    with pytest.raises(SettingError):
        prompt_library.keep(tmp_path, PromptTemplate("  "))


def test_only_the_prompt_mode_is_shaped_and_an_instruction_of_the_question_wins(tmp_path: Path):
    question = Question("Why?", mode="prompt")
    assert shaped(tmp_path, question) == question
    prompt_library.keep(tmp_path, POLITE, use=True)
    assert shaped(tmp_path, question).text == "Q: Why?"
    for other in (Question("Why?", mode="rag"), Question("Why?", mode="prompt", options=AnswerOptions(system="Mine."))):
        assert shaped(tmp_path, other) == other


@pytest.mark.parametrize("damage", ["{", '{"templates": [{"name": 1}], "in_use": ""}', '{"templates": 3}'])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str):
    (tmp_path / prompt_library.FILE).write_text(damage, encoding="utf-8")
    with pytest.raises(SettingError, match=r"prompts\.json"):
        prompt_library.load(tmp_path)


def test_the_command_keeps_uses_lists_and_removes(capsys: pytest.CaptureFixture[str]):
    assert main(["prompts", "--save", "Short", "--instruction", "Be short."]) == 0
    assert main(["prompts", "--use", "Short"]) == 0
    capsys.readouterr()
    assert main(["prompts", "--json"]) == 0
    kept = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (kept["in_use"], kept["templates"][0]["instruction"]) == ("Short", "Be short.")
    assert main(["prompts", "--remove", "Short"]) == 0
    assert prompt_library.load(load_settings().paths.home).templates == ()
    assert main(["prompts", "--use", "Gone"]) == 1
