"""How a small model fills in the arguments of a call: one at a time, as if it filled in a form.

Writing a whole call in one go asks a model of a hundred million parameters for what it cannot do: keep a schema in
mind. Asked for one value under its description, it copies the right words of the question more often than not. Each
value is constrained to its type and to what the question or the schema offers, so the call is valid by construction.
Which function fits, and whether one does at all, is decided outside it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from core.types import SamplingSettings
from inference.call_schema import function_of
from inference.grounding import Grounding
from inference.protocol import ChatEngine, GeneratedText, GenerationRequest, JsonSchema
from inference.value_grammar import ValueGrammar

LONGEST_VALUE = 96
FIRST_FREE_MODEL = 1_000_000_000


def is_small(engine: ChatEngine) -> bool:
    """Whether the model copies better than it writes: fewer than a billion parameters, where that is known."""
    return 0 < engine.info.n_parameters < FIRST_FREE_MODEL


def fill_arguments(
    engine: ChatEngine,
    question: str,
    tool: JsonSchema,
    grounding: Grounding | None = None,
    adapter: str = "",
    is_cancelled: Callable[[], bool] = lambda: False,
) -> tuple[dict[str, Any], Grounding]:
    """Fill in the form of one function, argument by argument, each value copied from the question where it can be.

    Optional arguments are asked for only where the question speaks of them. Returns the arguments, which have the
    types of the schema, and what of the question they leave over. The prompt grows only at its end: the model's
    work on it is reused.
    """
    function = function_of(tool)
    grounding = grounding or Grounding(question)
    form = f"Read the request and fill in the form.\n\nRequest: {question}\n\nForm: {function['description']}\n"
    arguments: dict[str, Any] = {}
    for name, schema in _asked(function["parameters"], grounding):
        required = name in function["parameters"].get("required", ())
        if not required and schema.get("type") in ("integer", "number") and not grounding.has_new_numbers:
            continue
        form += f"{name} ({schema.get('description', '')}): "
        written = _value(engine, form, (name, schema), grounding, adapter, is_cancelled)
        if written is None:
            return arguments, grounding
        arguments[name] = json.loads(written)
        grounding = grounding.without(arguments[name])
        form += written + "\n"
    return arguments, grounding


def _asked(parameters: Mapping[str, Any], grounding: Grounding) -> Iterator[tuple[str, Mapping[str, Any]]]:
    properties: Mapping[str, Mapping[str, Any]] = parameters.get("properties", {})
    required = [name for name in parameters.get("required", ()) if name in properties]
    for name in required:
        yield name, properties[name]
    for name, schema in properties.items():
        if name not in required and grounding.speaks_of(name, schema):
            yield name, schema


def _value(
    engine: ChatEngine,
    form: str,
    argument: tuple[str, Mapping[str, Any]],
    grounding: Grounding,
    adapter: str,
    is_cancelled: Callable[[], bool],
) -> str | None:
    """One value as JSON; None where the model was stopped or ran out of length in the middle of it."""
    request = GenerationRequest(
        prompt=form,
        grammar=ValueGrammar(grounding).value_of(*argument, end="\n"),
        sampling=SamplingSettings(max_tokens=LONGEST_VALUE),
        adapter=adapter,
    )
    text = "".join(_texts(engine, request, is_cancelled))
    try:
        json.loads(text)
    except ValueError:
        return None
    return text.strip()


def _texts(engine: ChatEngine, request: GenerationRequest, is_cancelled: Callable[[], bool]) -> Iterator[str]:
    for event in engine.generate(request, is_cancelled):
        if isinstance(event, GeneratedText):
            yield event.text
