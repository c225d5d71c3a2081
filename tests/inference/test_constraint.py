"""Constrained output is valid against its schema whatever the model would rather say."""

import json
from typing import Any

import jsonschema
import pytest

from core.errors import ModelError
from core.types import Message, SamplingSettings
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
