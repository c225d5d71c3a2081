"""What counts as saying that a tool was used."""

import pytest

from tools.claims import claims_a_tool


@pytest.mark.parametrize(
    "text",
    [
        "I have searched the web and found nothing.",
        "I used the calculator: it is 4.",
        "According to the tool, it rains.",
        "The function returned 12.",
        "I just looked up the rate.",
        "我已经查询了数据库。",
        "根据计算器的结果，答案是4。",
        "工具显示今天下雨。",
        "The answer, found using `convert_time`, is noon.",
    ],
)
def test_a_claim_is_seen(text: str) -> None:
    assert claims_a_tool(text, ["convert_time"])


@pytest.mark.parametrize(
    "text",
    [
        "You can use a calculator for that.",
        "Tools were invented two million years ago.",
        "The search for a cure goes on.",
        "convert_time is a function that changes zones.",
        "你可以使用计算器。",
        "我不知道。",
    ],
)
def test_speaking_of_tools_is_no_claim(text: str) -> None:
    assert not claims_a_tool(text, ["convert_time"])
