"""How a small model fills in the arguments of a call: one at a time, as if it filled in a form.

Writing a whole call in one go asks a model of a hundred million parameters for what it cannot do: keep a schema in
mind. Asked for one value under its description, it copies the right words of the question more often than not. Each
value is constrained to its type and to what the question or the schema offers, so the call is valid by construction.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.types import SamplingSettings
from inference.call_schema import function_of
from inference.form_layout import argument_line, form_lines, form_opening
from inference.grounding import Grounding
from inference.protocol import ChatEngine, GeneratedText, GenerationRequest, JsonSchema
from inference.value_grammar import ValueGrammar, only_line

LONGEST_VALUE = 160


@dataclass(frozen=True)
class FormFiller:
    """Fills in forms with one engine. `adapter` names one that was trained on them, if there is any."""

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
        grounding = grounding or Grounding.for_form(question, function)
        form = form_opening(question, function)
        arguments: dict[str, Any] = {}
        for name, schema, is_required in form_lines(function["parameters"]):
            if not (is_required or grounding.wants(name, schema)):
                continue
            form += argument_line(name, schema)
            written = self._line(form, ValueGrammar(grounding).line_of(name, schema))
            form += written
            if not _is_json(written):
                break  # It was stopped, or ran out of length in the middle.
            arguments[name] = _without_repeats(json.loads(written))
            grounding = grounding.without(arguments[name])
        return arguments, grounding

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
