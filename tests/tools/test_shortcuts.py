"""What the words of a question plainly name, and what they only seem to name."""

from typing import Any

import pytest

from tools.shortcuts import direct_call

ACTIVE = ("calculator", "current_time", "add_to_date", "days_between", "convert_time", "ask_tables", "embed")


@pytest.mark.parametrize(
    ("question", "tool", "arguments"),
    [
        ("What is 72 F in C?", "calculator", {"expression": "72 F in C"}),
        ("三加五等于几？", "calculator", {"expression": "三加五"}),
        ("What time is it in Tokyo?", "current_time", {"time_zone": "Tokyo"}),
        (
            "What time is 3 pm New York time in Shanghai?",
            "convert_time",
            {"time": "3 pm", "from_zone": "New York", "to_zone": "Shanghai"},
        ),
        (
            "If it is 15:00 in London, what time is it in Tokyo?",
            "convert_time",
            {"time": "15:00", "from_zone": "London", "to_zone": "Tokyo"},
        ),
        (
            "北京时间下午3点是纽约几点？",
            "convert_time",
            {"time": "下午3点", "from_zone": "北京", "to_zone": "纽约"},
        ),
        (
            "What day of the week is 2026-12-25?",
            "add_to_date",
            {"start": "2026-12-25", "amount": 0, "unit": "days"},
        ),
        ("2026年12月25日是星期几？", "add_to_date", {"start": "2026年12月25日", "amount": 0, "unit": "days"}),
        ("Give me the word vector of 'king'", "embed", {"text": "king"}),
    ],
)
def test_a_plain_question_names_its_call(question: str, tool: str, arguments: dict[str, Any]) -> None:
    call = direct_call(question, ACTIVE)
    assert call is not None
    assert (call.name, dict(call.arguments)) == (tool, arguments)


@pytest.mark.parametrize(
    "question",
    [
        "12 of the 20 students left. Why?",
        "Who scored 3 of the 5 goals?",
        "第一百货在哪里",
        "他三十岁",
        "Meet me at 3 pm in Room Four",
    ],
)
def test_numbers_and_times_alone_name_nothing(question: str) -> None:
    assert direct_call(question, ACTIVE) is None


def test_a_tool_that_is_not_active_is_not_named() -> None:
    assert direct_call("What is 2 + 2?", ("current_time",)) is None
