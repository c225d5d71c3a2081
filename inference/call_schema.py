"""Function descriptions as they come (OpenAI's JSON Schema, or Python and Java type names) made into one form."""

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
    """The same schema with JSON's type names; unknown names and `any` become no restriction."""
    known = dict(schema)
    kind = known.get("type")
    names = [kind] if isinstance(kind, str) else list(kind or ())
    types = [_JSON_TYPES[name.lower()] for name in names if name.lower() in _JSON_TYPES]
    known.pop("type", None)
    if types:
        known["type"] = types[0]
    if isinstance(known.get("properties"), Mapping):
        known["properties"] = {name: json_schema(value) for name, value in known["properties"].items()}
        known.setdefault("type", "object")
    if isinstance(known.get("items"), Mapping):
        known["items"] = json_schema(known["items"])
    return known
