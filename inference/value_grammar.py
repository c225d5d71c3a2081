"""A grammar (llguidance's Lark) of one argument: its type, its enumeration, and values that the question offers."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from core.language import han_share
from inference.call_schema import accepts
from inference.candidates import is_denied, spoken_values
from inference.described_values import named_values
from inference.grounding import Grounding, Number

MOST_ITEMS = 8
DEEPEST = 4
LONGEST_FREE = 800
# A copied value begins and ends with a letter, a digit, or a sign that belongs to words.
_EDGE = r"[\p{L}\p{N}#@$€£¥%+)(]"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ONE_LINE = re.compile(rf"start: (?:{_QUOTED}|[() ])+")


class ValueGrammar:
    """Builds the rules; one object per request. Without `grounding` every value of the right type is allowed."""

    def __init__(self, grounding: Grounding | None = None) -> None:
        self._grounding = grounding
        self._rules: dict[str, str] = {}

    def line_of(self, name: str, schema: Mapping[str, Any]) -> str:
        """The grammar of one line of a form: a space, the value of the argument `name`, a break.

        The space stands before the value and not at the end of the prompt, where it would be a token of its own.
        """
        start = f'" " {self._value(name, schema, DEEPEST)} "\\n"'
        return "\n".join([f"start: {start}", *(f"{rule}: {body}" for rule, body in self._rules.items())])

    def _rule(self, kind: str, body: str) -> str:
        for name, known in self._rules.items():
            if known == body:
                return name
        # Lark's terminals (one lexeme) are in capitals.
        name = f"{kind}{len(self._rules)}"
        self._rules[name] = body
        return name

    def _object(self, schema: Mapping[str, Any], depth: int) -> str:
        """Required members in the order of the schema, then the optional ones, each of which may be left out."""
        properties: Mapping[str, Any] = schema.get("properties", {})
        required = [name for name in schema.get("required", ()) if name in properties]
        others = [name for name in properties if name not in required]
        optional = [name for name in others if self._offers(name, properties[name])] or ([] if required else others)
        members = {name: self._member(name, properties[name], depth) for name in (*required, *optional)}
        parts = ' ", " '.join(members[name] for name in required)
        tail = " ".join(f'(", " {members[name]})?' for name in optional)
        if required or not optional:
            return f'"{{" {parts} {tail} "}}"'
        return f'"{{" ({self._any_of([members[name] for name in optional])})? "}}"'

    def _any_of(self, members: list[str]) -> str:
        """Some of the members, at least one, in their order."""
        choices = []
        for first, member in enumerate(members):
            rest = " ".join(f'(", " {other})?' for other in members[first + 1 :])
            choices.append(f"{member} {rest}".strip())
        return " | ".join(choices)

    def _offers(self, name: str, schema: Mapping[str, Any]) -> bool:
        return self._grounding is None or self._grounding.speaks_of(name, schema)

    def _member(self, name: str, schema: Mapping[str, Any], depth: int) -> str:
        key = _literal(json.dumps(name, ensure_ascii=False) + ": ")
        return self._rule("member", f"{key} {self._value(name, schema, depth - 1)}")

    def _value(self, name: str, schema: Mapping[str, Any], depth: int) -> str:
        if "const" in schema or "enum" in schema:
            values = schema.get("enum", [schema.get("const")])
            return self._named([value for value in values if accepts(schema, value)] or values)
        kind = schema.get("type")
        if depth <= 0 or kind == "string" or kind is None:
            return self._string(name, schema)
        if kind in ("integer", "number"):
            return self._number(name, schema, kind)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(name, schema, depth)
        return self._switch(name) if kind == "boolean" else '"null"'

    def _named(self, values: Sequence[Any]) -> str:
        """One of an enumeration: those that the question speaks, else any."""
        spoken = spoken_values(values, self._grounding.text) if self._grounding else []
        return "(" + " | ".join(_literal(json.dumps(value, ensure_ascii=False)) for value in spoken or values) + ")"

    def _switch(self, name: str) -> str:
        """A boolean that the question speaks of is on, unless it is negated there."""
        if self._grounding is None or not self._grounding.speaks_of(name, {}):
            return '("true" | "false")'
        return '"false"' if is_denied(name, self._grounding.text) else '"true"'

    def _number(self, name: str, schema: Mapping[str, Any], kind: str) -> str:
        written = self._grounding.numbers_for(name, schema) if self._grounding else ()
        default = schema.get("default")
        known = [*written, *([default] if written and isinstance(default, int | float) else [])]
        fitting = [value for value in known if kind == "number" or isinstance(value, int)]
        fitting = [value for value in fitting if _within(value, schema)]
        if fitting:
            return "(" + " | ".join(_literal(json.dumps(value)) for value in dict.fromkeys(fitting)) + ")"
        bounds = {key: schema[key] for key in ("minimum", "maximum") if key in schema}
        if bounds:
            return self._rule("json", "%json " + json.dumps({"type": kind, **bounds}))
        # Bounded in length: a small model would write digits for ever. `\d` would allow the digits of every script.
        return self._rule("NUMBER", r"/-?(0|[1-9][0-9]{0,14})" + (r"(\.[0-9]{1,6})?/" if kind == "number" else "/"))

    def _array(self, name: str, schema: Mapping[str, Any], depth: int) -> str:
        items = schema.get("items", {})
        runs = self._grounding.number_runs if self._grounding and items.get("type") in ("integer", "number") else ()
        if runs:
            return "(" + " | ".join(_literal(json.dumps(list(run))) for run in runs) + ")"
        item = self._value(name, items, depth - 1)
        return f'"[" {item} (", " {item}){{0,{MOST_ITEMS - 1}}} "]"'

    def _string(self, name: str, schema: Mapping[str, Any]) -> str:
        if self._grounding is None or "pattern" in schema or not self._grounding.has_format(schema):
            return self._free_string(schema)
        named = [value for value in named_values(schema) if '"' not in value]
        if han_share(self._grounding.text) > 0:
            copied = [self._copied(phrase) for phrase in (*self._grounding.phrases, *self._grounding.wholes)]
        else:
            found = self._grounding.strings_for(name, schema)
            copied = [_literal(json.dumps(value, ensure_ascii=False)[1:-1]) for value in found]
        choices = [*copied, *(_literal(value) for value in named)]
        return f'"\\"" ({" | ".join(choices)}) "\\""' if choices else self._free_string(schema)

    def _copied(self, phrase: str) -> str:
        """Any run of characters of a phrase, for a language that does not space its words."""
        source = self._rule("COPY", "%regex " + json.dumps({"substring_chars": phrase}, ensure_ascii=False))
        return self._rule("WORDS", f"{source} & /{_EDGE}(.*{_EDGE})?/")

    def _free_string(self, schema: Mapping[str, Any]) -> str:
        known = {key: schema[key] for key in ("pattern", "format", "minLength", "maxLength") if key in schema}
        known.setdefault("maxLength", LONGEST_FREE)
        return self._rule("json", "%json " + json.dumps({"type": "string", **known}))


def only_line(grammar: str) -> str | None:
    """The line that a grammar of `ValueGrammar.line_of` allows where it allows one only, else None."""
    if not _ONE_LINE.fullmatch(grammar):
        return None
    return "".join(json.loads(literal) for literal in re.findall(_QUOTED, grammar))


def _within(value: Number, schema: Mapping[str, Any]) -> bool:
    return schema.get("minimum", value) <= value <= schema.get("maximum", value)  # type: ignore[no-any-return]


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
