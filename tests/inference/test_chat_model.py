"""LangChain's own suites, over the real default model in the worker process."""

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from core.types import ToolCall
from inference.chat_model import FourfoldChatModel
from inference.fakes import FakeEngine
from inference.function_calling import call_schema, parse_call
from inference.local_engine import LocalEngine

ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}


class TestStandardUnit(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return FourfoldChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"engine": FakeEngine()}


class TestStandardIntegration(ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _engine(self, engine: LocalEngine) -> None:
        type(self)._shared = engine

    _shared: LocalEngine

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return FourfoldChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"engine": self._shared, "max_tokens": 120}


def test_a_call_that_was_cut_off_is_text_and_not_guessed_at():
    model = FourfoldChatModel(engine=FakeEngine(['{"name": "add", "argum'])).bind_tools([ADD])
    message = model.invoke("1+1?")
    assert message.tool_calls == []
    assert message.content == '{"name": "add", "argum'


def test_parameters_of_one_call_win_and_reach_the_engine():
    engine = FakeEngine(["fine"])
    FourfoldChatModel(engine=engine, max_tokens=9).invoke([HumanMessage("hi")], temperature=0.5, seed=1, stop=["x"])
    sampling = engine.requests[0].sampling
    assert (sampling.temperature, sampling.seed, sampling.stop, sampling.max_tokens) == (0.5, 1, ("x",), 9)


def test_a_call_is_read_with_and_without_tags_and_words_are_not():
    text = '{"name": "add", "arguments": {"a": 1, "b": 2}}'
    expected = ToolCall("7", "add", {"a": 1, "b": 2})
    assert parse_call(text, "7") == expected
    assert parse_call(f"<tool_call>\n{text}\n</tool_call>", "7") == expected
    assert [parse_call(other, "7") for other in ("It is 3.", "[1]", '{"a": 1}', '{"name": "x", "arguments": 3}')] == [
        None
    ] * 4


def test_the_schema_of_a_call_names_only_the_chosen_tool_and_no_other_argument():
    other = {"type": "function", "function": {"name": "now"}}
    assert [each["properties"]["name"] for each in call_schema([ADD, other])["anyOf"]] == [
        {"const": "add"},
        {"const": "now"},
    ]
    only = call_schema([ADD, other], "now")["anyOf"]
    assert [each["properties"]["arguments"]["additionalProperties"] for each in only] == [False]
