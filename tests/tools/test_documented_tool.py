"""The page that tells how to write a tool, done to the letter: file, reload, question, with the real models."""

import re
from pathlib import Path

import pytest

from core.types import Question
from orchestrator.build import build_assistant
from orchestrator.events import AnswerCompleted, ToolFinished
from retrieval.embedder import open_embedder
from retrieval.library import Library
from tests.tools.conftest import settings_at

PAGES = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("page", ["tools.md", "tools.zh-CN.md"])
def test_the_documented_steps_end_in_the_documented_answer(tmp_path: Path, page: str) -> None:
    text = (PAGES / page).read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    printed = re.findall(r"```text\n(.*?)```", text, re.DOTALL)[0].strip()
    question = re.findall(r"`([^`]*(?:body mass index|体质指数|BMI)[^`]*[?？])`", text)[0]
    settings = settings_at(tmp_path)

    # 1. Save the file; 2. start the application anew; 3. ask in the mode Tools.
    settings.paths.user_tools.mkdir(parents=True)
    (settings.paths.user_tools / "bmi.py").write_text(code, encoding="utf-8")
    assistant = build_assistant(settings, library=Library(settings, open_embedder(settings)))
    *events, end = assistant.answer(Question(question, mode="tools"))

    assert isinstance(end, AnswerCompleted), end
    (call,) = [event for event in events if isinstance(event, ToolFinished)]
    assert (call.call.name, dict(call.call.arguments)) == ("body_mass_index", {"kilograms": 80, "metres": 1.8})
    assert end.text == printed
