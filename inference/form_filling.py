"""How a small model fills in the arguments of a call: one at a time, as if it filled in a form.

Writing a whole call in one go asks a model of a hundred million parameters for what it cannot do: keep a schema in
mind. Asked for one value under its description, it copies the right words of the question more often than not. Each
value is constrained to its type and to what the question or the schema offers, so the call is valid by construction.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.types import SamplingSettings
from inference.call_schema import function_of
from inference.form_layout import FITS, LEFT_OUT, argument_line, fit_line, form_opening
from inference.grounding import Grounding
from inference.protocol import ChatEngine, GeneratedText, GenerationRequest, JsonSchema
from inference.value_grammar import ValueGrammar, only_line

LONGEST_VALUE = 160


@dataclass(frozen=True)
class FormFiller:
    """Fills in forms with one engine. `adapter` names one that was trained on `inference.form_layout`, if there is any.

    With it the model itself decides which optional arguments stay empty; without it, they are asked for where the
    question speaks of them.
    """

    engine: ChatEngine
    adapter: str = ""
    is_cancelled: Callable[[], bool] = lambda: False

    def fill(
        self, question: str, tool: JsonSchema, grounding: Grounding | None = None
    ) -> tuple[dict[str, Any], Grounding]:
        """Fill in the form of one function, argument by argument, each value copied from the question where it can be.

        Returns the arguments, which have the types of the schema, and what of the question they leave over. The prompt
        grows only at its end: the model's work on it is reused.
        """
        function = function_of(tool)
        grounding = grounding or Grounding.for_form(question, function["parameters"])
        required = function["parameters"].get("required", ())
        form = form_opening(question, function) + (fit_line() + FITS if self.adapter else "")
        arguments: dict[str, Any] = {}
        for name, schema in self._asked(function["parameters"], grounding):
            is_optional = name not in required
            if is_optional and schema.get("type") in ("integer", "number") and not grounding.has_new_numbers:
                continue
            grammar = ValueGrammar(grounding).line_of(name, schema, self.adapter != "" and is_optional)
            form += argument_line(name, schema)
            written = self._line(form, grammar)
            form += written
            if written == LEFT_OUT:
                continue
            if not _is_json(written):
                break  # It was stopped, or ran out of length in the middle.
            arguments[name] = _without_repeats(json.loads(written))
            grounding = grounding.without(arguments[name])
        return arguments, grounding

    def _asked(self, parameters: Mapping[str, Any], grounding: Grounding) -> Iterator[tuple[str, Mapping[str, Any]]]:
        properties: Mapping[str, Mapping[str, Any]] = parameters.get("properties", {})
        required = [name for name in parameters.get("required", ()) if name in properties]
        for name in required:
            yield name, properties[name]
        for name, schema in properties.items():
            if name not in required and (self.adapter or grounding.speaks_of(name, schema)):
                yield name, schema

    def _line(self, form: str, grammar: str) -> str:
        """What the model writes after `form`; where the grammar leaves it no choice it is not asked."""
        only = only_line(grammar)
        if only is not None:
            return only
        request = GenerationRequest(
            prompt=form, grammar=grammar, sampling=SamplingSettings(max_tokens=LONGEST_VALUE), adapter=self.adapter
        )
        events = self.engine.generate(request, self.is_cancelled)
        return "".join(event.text for event in events if isinstance(event, GeneratedText))


def _without_repeats(value: Any) -> Any:
    """A small model that lists words goes round in circles; lists of numbers may well repeat."""
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return list(dict.fromkeys(value))
    return value


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
