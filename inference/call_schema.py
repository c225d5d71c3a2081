"""Function descriptions as they come (OpenAI's JSON Schema, or Python and Java type names) made into one form."""

import re
from collections.abc import Mapping
from typing import Any

from inference.protocol import JsonSchema

_JSON_TYPES = {
    "dict": "object", "hashmap": "object", "map": "object", "object": "object",
    "list": "array", "tuple": "array", "array": "array", "arraylist": "array", "set": "array", "queue": "array",
    "str": "string", "string": "string", "char": "string",
    "int": "integer", "integer": "integer", "long": "integer", "short": "integer", "byte": "integer",
    "bigint": "integer",
    "float": "number", "double": "number", "number": "number",
    "bool": "boolean", "boolean": "boolean",
}  # fmt: skip


def function_of(tool: JsonSchema) -> dict[str, Any]:
    """Name, description and parameters (JSON Schema, an object) of a tool in OpenAI's form or as a bare function."""
    function = tool.get("function", tool)
    return {
        "name": str(function["name"]),
        "description": str(function.get("description", "")),
        "parameters": json_schema(function.get("parameters") or {"type": "object"}),
    }


def json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same schema with JSON's type names; what cannot be kept becomes no restriction.

    That is: unknown names of types and `any`, a type that no value of the enumeration has, a pattern that is no regular
    expression, a required argument that is not described.
    """
    known = dict(schema)
    kind = known.get("type")
    names = [kind] if isinstance(kind, str) else list(kind or ())
    types = [_JSON_TYPES[name.lower()] for name in names if name.lower() in _JSON_TYPES]
    known.pop("type", None)
    if types and not _contradicts(types[0], known.get("enum")):
        known["type"] = types[0]
    if isinstance(known.get("properties"), Mapping):
        known["properties"] = {name: json_schema(value) for name, value in known["properties"].items()}
        known.setdefault("type", "object")
        asked = known.get("required")
        known["required"] = [name for name in asked if name in known["properties"]] if isinstance(asked, list) else []
    elif known.get("type") == "object" and isinstance(known.get("required"), list):
        # Names without a word of what they are: anything may stand there.
        known["properties"] = {str(name): {} for name in known["required"]}
    if "pattern" in known and not _is_pattern(known["pattern"]):
        known.pop("pattern")
    if isinstance(known.get("items"), Mapping):
        known["items"] = json_schema(known["items"])
    return known


def accepts(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether a value is valid under a schema that `json_schema` has made; an argument it does not name is refused."""
    import jsonschema

    closed = {**schema, "additionalProperties": False} if "properties" in schema else schema
    return bool(jsonschema.Draft202012Validator(closed).is_valid(value))


def _contradicts(kind: str, values: Any) -> bool:
    return isinstance(values, list) and not any(accepts({"type": kind}, value) for value in values)


def _is_pattern(text: Any) -> bool:
    try:
        re.compile(text)
    except (re.error, TypeError):
        return False
    return True
