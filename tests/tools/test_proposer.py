"""From a question to calls: which functions, which parts of the question, which values, and never an invalid call."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.types import ToolCall
from inference.fakes import FakeEngine
from inference.spelled_dates import date_pattern, dates_in
from retrieval.fakes import HashEmbedder
from tools.likeness import Descriptions, likeness, share_of_name
from tools.parallel_calls import spread
from tools.proposer import FITTING, CallProposer, is_valid_call
from tools.question_parts import parts_of
from tools.repeated_calls import repeated


def function(name: str, description: str, required: Sequence[str] = (), **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return {"name": name, "description": description, "parameters": parameters}


WEATHER = function("weather", "the weather in a city", ["city"], city={"type": "string"})
BOOK = function("book_table", "reserve a table for people", ["people"], people={"type": "integer"})
WORDS = ("weather", "city", "table", "reserve", "people", "rain")


class WordEmbedder(HashEmbedder):
    """Unit rows that count a few words: near is what speaks of the same."""

    def __init__(self) -> None:
        super().__init__()
        self.languages = ("en",)

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [[*(float(word in text.lower()) for word in WORDS), 0.05] for text in texts]
        matrix = np.asarray(rows, dtype=np.float32)
        unit: NDArray[np.float32] = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
        return unit

    def embed_query(self, text: str) -> NDArray[np.float32]:
        row: NDArray[np.float32] = self.embed_documents([text])[0]
        return row


def propose(answers: Sequence[str], question: str, tools: Sequence[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    calls = CallProposer(FakeEngine(answers), WordEmbedder()).propose(question, tools)
    return [(call.name, dict(call.arguments)) for call in calls]


def test_two_requests_in_one_question_become_two_calls() -> None:
    question = "What is the weather in the city of Rome? Then reserve a table for 4 people."
    assert propose([' "Rome"\n', " 4\n"], question, [BOOK, WEATHER]) == [
        ("weather", {"city": "Rome"}),
        ("book_table", {"people": 4}),
    ]


def test_no_function_near_enough_means_no_call() -> None:
    assert propose([' "x"\n'], "Who wrote Hamlet?", [BOOK, WEATHER]) == []


def test_what_the_schema_refuses_is_no_call_but_a_form_for_a_person() -> None:
    far = function("weather", "the weather in a city", ["city"], city={"type": "string", "minLength": 40})
    proposals = CallProposer(FakeEngine([' "Rome"\n']), WordEmbedder()).proposals("weather in the city Rome", [far])
    assert proposals.calls == ()
    assert [(call.name, dict(call.arguments)) for call in proposals.begun] == [("weather", {"city": "Rome"})]


def test_a_number_that_nobody_said_is_left_to_a_person() -> None:
    engine = FakeEngine([" 1\n"])
    proposals = CallProposer(engine, WordEmbedder()).proposals("reserve a table, people are coming", [BOOK])
    assert (proposals.calls, [dict(call.arguments) for call in proposals.begun]) == ((), [{}])
    assert engine.requests == []


@pytest.mark.parametrize(
    ("arguments", "valid"),
    [({"city": "Rome"}, True), ({}, False), ({"city": 5}, False), ({"city": "Rome", "x": 1}, False)],
)
def test_a_call_is_judged_by_its_schema(arguments: dict[str, Any], valid: bool) -> None:
    assert is_valid_call(ToolCall("", "weather", arguments), [WEATHER]) is valid
    assert not is_valid_call(ToolCall("", "climate", arguments), [WEATHER])


@pytest.mark.parametrize(
    ("arguments", "question", "wanted"),
    [
        (
            {"city": "Paris"},
            "Weather in Paris, London and Rome",
            [{"city": "Paris"}, {"city": "London"}, {"city": "Rome"}],
        ),
        ({"city": "Paris"}, "Weather in Paris and New York City", [{"city": "Paris"}, {"city": "New York City"}]),
        ({"city": "Boston"}, "Weather in Boston, MA", [{"city": "Boston"}]),
        ({"people": 3}, "Tables for 3, 5 and 7", [{"people": 3}, {"people": 5}, {"people": 7}]),
        ({"city": "北京"}, "北京、上海和广州的天气", [{"city": "北京"}, {"city": "上海"}, {"city": "广州"}]),
        (
            {"start": "Paris", "city": "Rome"},
            "A train from Paris to Rome and back, Paris and Rome",
            [{"start": "Paris", "city": "Rome"}],
        ),
        (
            {"city": "Maroon 5", "people": 20},
            "Play 15 minutes and 20 minutes by Bach and Maroon 5 respectively",
            [{"city": "Bach", "people": 15}, {"city": "Maroon 5", "people": 20}],
        ),
        ({"people": 100}, "Send $100 and $200", [{"people": 100}, {"people": 200}]),
        ({"people": 5}, "Run 5 km and 7 minutes", [{"people": 5}]),
        ({"city": "apple"}, "The calories of an apple and a banana", [{"city": "apple"}, {"city": "banana"}]),
        ({"city": "small"}, "small, medium and red", [{"city": "small"}, {"city": "medium"}, {"city": "red"}]),
        ({"city": "foo"}, "my username is foo and password is bar", [{"city": "foo"}]),
        ({"view": "sea"}, "rooms to the sea, gardens, and sea-side", [{"view": "sea"}]),
        ({"view": "sea"}, "rooms of sea-view, garden-view or any", [{"view": "sea"}]),
        ({"view": "sea"}, "sea, garden, and hilly rooms", [{"view": "sea"}, {"view": "garden"}, {"view": "hill"}]),
    ],
)
def test_a_list_of_things_makes_a_call_for_each(
    arguments: dict[str, Any], question: str, wanted: list[dict[str, Any]]
) -> None:
    text, number = {"type": "string"}, {"type": "integer"}
    view = {"type": "string", "enum": ["sea", "garden", "hill"]}
    many = function("many", "", city=text, people=number, start=text, view=view)
    assert [dict(call.arguments) for call in spread(ToolCall("", "many", arguments), question, many)] == wanted


@pytest.mark.parametrize(
    ("question", "arguments", "wanted"),
    [
        ("The area of a circle with radius 5 and of one with radius 7", {"n": 5}, [(5,), (7,)]),
        ("For Ulm on May and for Rome on June", {"a": "Rome", "b": "May"}, [("Ulm", "May"), ("Rome", "June")]),
        ("How warm is it in Oslo? And in Bergen?", {"a": "Oslo"}, [("Oslo",), ("Bergen",)]),
        ("Legs 3 and 4, then legs 5 and 12", {"m": 3, "n": 4}, [(3, 4), (5, 12)]),
        ("Who led Peru in 2010? The same for 2018.", {"a": "Peru", "n": 2010}, [("Peru", 2010), ("Peru", 2018)]),
        ("Send 'hello' to Ann and send 'bye' to Bob", {"a": "hello", "b": "Ann"}, [("hello", "Ann"), ("bye", "Bob")]),
        ("A dish with eggs for 4 men and one with tofu for 2 men", {"a": "eggs", "n": 4}, [("eggs", 4), ("tofu", 2)]),
        ("半径为5的圆和半径为10的圆", {"n": 5}, [(5,), (10,)]),
        # One call, whatever else stands there.
        ("Remind me at 5 pm in 2 days", {"n": 5}, [(5,)]),
        ("A flight from Paris to Rome for 2 people", {"a": "Paris", "b": "Rome", "n": 2}, [("Paris", "Rome", 2)]),
        ('Give the ticket with ID "rq5" to the agent with ID "Dt9"', {"a": "rq5", "b": "Dt9"}, [("rq5", "Dt9")]),
        ("A quote for a restaurant in Texas", {"a": "restaurant"}, [("restaurant",)]),
        ("My username is foo and my password is bar", {"a": "foo", "b": "bar"}, [("foo", "bar")]),
    ],
)  # fmt: skip
def test_what_is_said_again_with_other_values_is_another_call(
    question: str, arguments: dict[str, Any], wanted: list[tuple[Any, ...]]
) -> None:
    text, number = {"type": "string"}, {"type": "integer"}
    many = function("many", "", a=text, b=text, m=number, n=number)
    made = repeated(ToolCall("", "many", arguments), question, many)
    assert [tuple(call.arguments.values()) for call in made] == wanted


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("Play jazz. Then dim the lights.", ["Play jazz.", "Then dim the lights."]),
        ("Play jazz and then dim the lights", ["Play jazz", "dim the lights"]),
        ("查一下北京的天气，然后帮我订票。", ["查一下北京的天气", "帮我订票。"]),
        ('Say "Stop. Then go." to him', ['Say "Stop. Then go." to him']),
        ("Hi!", ["Hi!"]),
    ],
)
def test_a_question_is_cut_where_another_request_begins(question: str, parts: list[str]) -> None:
    assert parts_of(question) == parts


def test_spelled_dates_become_what_the_schema_asks_for() -> None:
    text = "from May 12, 2022 to the 3rd of June 2023, or 2024年2月9日, not 2022/13/1"
    assert dates_in(text) == ["2022-05-12", "2023-06-03", "2024-02-09"]
    assert date_pattern("start", {"description": "start (YYYY-MM-DD)"}) == "yyyy-mm-dd"
    assert date_pattern("start", {"format": "date"}) == "yyyy-mm-dd"
    assert date_pattern("endDate", {"type": "string"}) == "yyyy-mm-dd"
    assert date_pattern("start", {"description": "as mm/dd/yyyy"}) == "mm/dd/yyyy"
    assert date_pattern("start", {"type": "string", "description": "a date"}) == ""
    assert date_pattern("date", {"type": "string", "description": "e.g. May 5"}) == ""


def test_a_question_is_nearer_to_a_function_whose_name_it_says() -> None:
    assert share_of_name("Scan this network for me", "networkScanner.scan_network") == 1
    assert share_of_name("Look at this network", "scan_network") == 0.5
    assert share_of_name("扫描网络", "scan_network") == 0


def test_a_chinese_question_finds_the_function_that_is_described_in_chinese() -> None:
    text = {"type": "string"}
    rates = function("convert_currency", "转换货币", amount={"type": "number", "description": "要转换的金额"})
    recipes = function("search_recipes", "根据配料搜索食谱", ingredients={**text, "description": "配料"})
    news = function("get_news", "获取最新新闻", category={**text, "description": "新闻类别"})
    functions = [rates, recipes, news]
    descriptions = Descriptions(WordEmbedder())
    scores = likeness(
        descriptions, ["我想把500美元转换成欧元的货币", "用鸡肉搜索一个食谱", "有什么最新的体育新闻？"], functions
    )
    assert list(np.argmax(scores, axis=1)) == [0, 1, 2]
    assert (np.max(scores, axis=1) >= FITTING).all()
    assert float(likeness(descriptions, ["谁写了《红楼梦》？"], functions).max()) < FITTING


def test_a_question_without_a_date_is_none_for_a_function_of_dates() -> None:
    date = {"type": "string", "description": "a date such as 2026-03-15, or today"}
    between = function("days_between", "计算两个日期之间相隔多少天", ["start", "end"], start=date, end=date)
    proposer = CallProposer(FakeEngine([""]), WordEmbedder())
    for question, names in (
        ("灯会员的退货期限是多少天？", []),
        ("今天到10月1日相隔多少天？", ["days_between"]),
        ("五月一日和中秋节之间相隔多少天？", ["days_between"]),
        ("相隔多少天 days of annual leave do the staff have?", []),
        ("相隔多少天 days until Christmas", ["days_between"]),
    ):
        assert [found["name"] for found, _ in proposer.wanted(question, [between])] == names
