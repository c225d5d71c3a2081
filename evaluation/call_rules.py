"""The published AST rules of the Berkeley Function Calling Leaderboard (v4, single turn), over calls as JSON values.

Source of the rules: `bfcl_eval/eval_checker/ast_eval/ast_checker.py` of github.com/ShishirPatil/gorilla, read and
written anew. A call is right if the function is the expected one, every required argument is there, none is
unexpected, each has the declared type and one of the accepted values ("" among them: may be left out). Strings are
compared without spaces, `,./-_*^`, capitals and kinds of quotes. Parallel calls match in any order.

Deviation: Java and JavaScript literals are compared as JSON values, since our calls are JSON.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from core.types import ToolCall
from inference.call_schema import json_schema

_IGNORED = re.compile(r"[ \,\.\/\-\_\*\^]")
_PYTHON_TYPES: dict[str, type] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "array": list,
    "object": dict,
}
Answer = Mapping[str, Mapping[str, Sequence[Any]]]


def calls_are_right(
    calls: Sequence[ToolCall], answers: Sequence[Answer], functions: Sequence[Mapping[str, Any]]
) -> bool:
    """Whether the calls are the expected ones, in any order. No answers: no call must be made."""
    if len(calls) != len(answers):
        return False
    open_calls = list(calls)
    for answer in answers:
        match = next((call for call in open_calls if call_is_right(call, answer, functions)), None)
        if match is None:
            return False
        open_calls.remove(match)
    return True


def call_is_right(call: ToolCall, answer: Answer, functions: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one call is the expected one."""
    name, accepted = next(iter(answer.items()))
    function = next((item for item in functions if item["name"] == name), None)
    if call.name != name or function is None:
        return False
    parameters = function["parameters"]
    properties: Mapping[str, Any] = parameters.get("properties", {})
    if any(required not in call.arguments for required in parameters.get("required", ())):
        return False
    if any(argument not in properties or argument not in accepted for argument in call.arguments):
        return False
    if any(argument not in call.arguments and "" not in values for argument, values in accepted.items()):
        return False
    return all(
        value_is_right(value, properties[argument], accepted[argument]) for argument, value in call.arguments.items()
    )


def value_is_right(value: Any, schema: Mapping[str, Any], accepted: Sequence[Any]) -> bool:
    """Whether a value has its declared type (or that of the accepted values) and is one of those accepted."""
    declared = json_schema(schema)
    expected = _PYTHON_TYPES.get(str(declared.get("type")), object)
    if expected is float and type(value) is int:
        value = float(value)
    first = next((item for item in accepted if item != ""), None)
    # A variable: the accepted values are of another type than declared, and only equality counts.
    if first is not None and type(first) is not expected and type(value) is type(first):
        return _standard(value) in [_standard(item) for item in accepted]
    if expected is not object and type(value) is not expected:
        return False
    if isinstance(value, dict) and _standard(value) not in [_standard(item) for item in accepted]:
        return any(isinstance(item, Mapping) and _object_is_right(value, item) for item in accepted)
    if isinstance(value, list):
        return any(isinstance(item, list) and _list_is_right(value, item) for item in accepted)
    return _standard(value) in [_standard(item) for item in accepted]


def _list_is_right(value: list[Any], accepted: list[Any]) -> bool:
    if len(value) != len(accepted):
        return False
    return all(
        _object_is_right(item, wanted)
        if isinstance(item, dict) and isinstance(wanted, Mapping)
        else _standard(item) == _standard(wanted)
        for item, wanted in zip(value, accepted, strict=True)
    )


def _object_is_right(value: Mapping[str, Any], accepted: Mapping[str, Any]) -> bool:
    """Each member is one of the accepted values of its key, which are lists; what is absent may be left out."""
    if any(key not in accepted for key in value):
        return False
    if any(key not in value and "" not in _listed(values) for key, values in accepted.items()):
        return False
    return all(
        _standard(item) in [_standard(wanted) for wanted in _listed(accepted[key])] for key, item in value.items()
    )


def _listed(values: Any) -> Sequence[Any]:
    return values if isinstance(values, list) else [values]


def _standard(value: Any) -> Any:
    if isinstance(value, str):
        return _IGNORED.sub("", value).lower().replace("'", '"')
    if isinstance(value, list):
        return [_standard(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _standard(item) for key, item in value.items()}
    # Numbers are equal across int and float, booleans only to themselves.
    return (bool, value) if isinstance(value, bool) else value
