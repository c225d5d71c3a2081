"""Constrained output is valid against its schema whatever the model would rather say."""

import json
from typing import Any

import jsonschema
import pytest

from core.errors import ModelError
from core.types import Message, SamplingSettings
from inference.constraint import with_thoughts
from inference.function_calling import call_grammar, parse_call
from inference.local_engine import LocalEngine
from inference.protocol import GenerationRequest
from tests.inference.collect import finished, text_of

SCHEMAS: list[dict[str, Any]] = [
    {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "people": {"type": "integer", "maximum": 9999}},
        "required": ["city", "people"],
        "additionalProperties": False,
    },
    {"enum": ["yes", "no", "也许"]},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3},
    {
        "anyOf": [
            {
                "type": "object",
                "properties": {"name": {"const": "add"}},
                "required": ["name"],
                "additionalProperties": False,
            },
            {"type": "null"},
        ]
    },
    {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$"},
]


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_the_output_is_valid_json_of_the_schema(engine: LocalEngine, schema: dict[str, Any], temperature: float):
    request = GenerationRequest(
        messages=(Message("user", "Tell me about Paris, in a poem, not in JSON."),),
        json_schema=schema,
        sampling=SamplingSettings(max_tokens=120, temperature=temperature, seed=3),
    )
    events = list(engine.generate(request))
    jsonschema.validate(json.loads(text_of(events)), schema)
    assert finished(events).reason == "stop"


def test_a_grammar_is_obeyed(engine: LocalEngine):
    request = GenerationRequest(prompt="Choose:", grammar='start: ("red" | "green") " " /[0-9]{3}/')
    colour, number = text_of(engine.generate(request)).split(" ")
    assert colour in ("red", "green")
    assert len(number) == 3
    assert number.isdigit()


def test_an_unusable_schema_is_refused_before_any_text(engine: LocalEngine):
    request = GenerationRequest(prompt="x", json_schema={"type": "no such type"})
    with pytest.raises(ModelError, match="schema or grammar"):
        list(engine.generate(request))


TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
    },
}
THOUGHT = "<think>\nThe user wants a sum, 1 < 2.\n</think>\n\n"
CALL = '{"name": "add", "arguments": {"a": 1}}'


def accepts(grammar: str, text: str) -> bool:
    """Whether llguidance takes every byte of `text`, a byte a token."""
    from llguidance import LLMatcher, LLTokenizer

    matcher = LLMatcher(LLTokenizer("byte"), LLMatcher.grammar_from_lark(grammar))
    assert not matcher.get_error()
    return matcher.try_consume_tokens(list(text.encode())) == len(text.encode()) and matcher.is_accepting()


@pytest.mark.parametrize(
    ("text", "plain", "thinking"),
    [
        (CALL, True, True),
        ("It is three.", True, True),
        (THOUGHT + CALL, False, True),
        (THOUGHT + f"<tool_call>\n{CALL}\n</tool_call>", False, True),
        (THOUGHT + "It is three.", False, True),
        (THOUGHT + '{"name": "other", "arguments": {}}', False, False),
        ("<think>never ends", False, False),
    ],
)
def test_a_model_that_thinks_may_think_before_a_call_or_words(text: str, plain: bool, thinking: bool):
    request = GenerationRequest(prompt="x", tools=(TOOL,), grammar=call_grammar([TOOL], "auto"))
    assert accepts(request.grammar, text) is plain
    assert accepts(with_thoughts(request).grammar, text) is thinking


def test_a_forced_call_leaves_no_room_for_thoughts():
    request = GenerationRequest(prompt="x", tools=(TOOL,), grammar=call_grammar([TOOL], "required"))
    assert with_thoughts(request) is request


def test_a_call_is_read_behind_a_thought():
    for text in (CALL, THOUGHT + CALL, THOUGHT + f"<tool_call>\n{CALL}\n</tool_call>"):
        call = parse_call(text, "1")
        assert call is not None
        assert (call.name, dict(call.arguments)) == ("add", {"a": 1})
    assert parse_call(THOUGHT + "It is three.", "1") is None
