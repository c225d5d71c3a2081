"""Questions, functions and the calls wanted of them, read from public sets of tool use: what `tools` is trained on.

Seal-Tools, Glaive, ToolAlpaca and API-Bank come in four forms; here they become one. Calls that refer to the result of
another call are left out: a form is filled from the question alone.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.types import ToolCall
from inference.call_schema import function_of

Function = Mapping[str, Any]
# Questions whose hash falls below this share are never trained on: product rules and adapters are judged by them.
HELD_OUT_SHARE = 0.3
_TYPE = re.compile(r"^(Required\. )?(\w+)(?:\[\w+\])?\. ?(?:One of: \[([^\]]*)\]\. ?)?")
_READERS: dict[str, str] = {"calling": "seal", "conversations": "glaive", "instructions": "alpaca", "dialogue": "bank"}


@dataclass(frozen=True)
class ToolCase:
    """One question, what is offered, and the calls wanted; none where nothing offered fits."""

    id: str
    source: str
    question: str
    functions: tuple[Function, ...]
    calls: tuple[ToolCall, ...]

    @property
    def is_held_out(self) -> bool:
        """Whether the question is kept from training: by its hash, the same for ever."""
        digest = hashlib.sha256(self.question.encode("utf-8")).hexdigest()
        return int(digest[:8], 16) / 2**32 < HELD_OUT_SHARE


def is_tool_set(row: Mapping[str, Any]) -> bool:
    """Whether a row is of one of the four sets."""
    return any(key in row for key in _READERS)


def read_tool_cases(path: Path) -> list[ToolCase]:
    """The cases of one file; `seal_tools.tools.jsonl` is looked for beside the questions of Seal-Tools."""
    rows = _lines(path)
    kind = next((name for key, name in _READERS.items() if rows and key in rows[0]), "")
    if kind == "seal":
        return list(_seal(rows, seal_functions(path.parent)))
    readers: dict[str, Callable[[list[dict[str, Any]]], Iterator[ToolCase]]] = {
        "glaive": _glaive,
        "alpaca": _alpaca,
        "bank": _bank,
    }
    return list(readers[kind](rows)) if kind else []


def seal_functions(folder: Path) -> list[Function]:
    """The functions of Seal-Tools; none where their file is absent."""
    path = folder / "seal_tools.tools.jsonl"
    return [
        function_of({**tool, "parameters": {"properties": tool["parameters"], "required": tool["required"]}})
        for tool in (_lines(path) if path.is_file() else ())
    ]


def _seal(rows: Sequence[Mapping[str, Any]], known: Sequence[Function]) -> Iterator[ToolCase]:
    functions = {function["name"]: function for function in known}
    neighbours = _Neighbours(known)
    for row in rows:
        if "API_call" in json.dumps(row["calling"]):
            continue
        calls = tuple(_typed(call["api"], call["parameters"], functions[call["api"]]) for call in row["calling"])
        wanted = list(dict.fromkeys(call.name for call in calls))
        others = neighbours.of(row["question"], wanted, 3)
        offered = _shuffled([functions[name] for name in wanted] + others, row["id"])
        yield ToolCase(row["id"], "seal_tools", row["question"], offered, calls)


def _glaive(rows: Sequence[Mapping[str, Any]]) -> Iterator[ToolCase]:
    """The first calls of each conversation; where there is none, its first question wants none."""
    for row in rows:
        functions = tuple(function_of(tool) for tool in row["tools"])
        turns = row["conversations"]
        first = next((at for at, turn in enumerate(turns) if turn["from"] == "function_call"), None)
        if not functions:
            continue
        asked = [turn["value"] for turn in (turns[:first] if first is not None else turns[:1])]
        question = "\n".join(text for text, turn in zip(asked, turns, strict=False) if turn["from"] == "human")
        known = {function["name"]: function for function in functions}
        written = json.loads(turns[first]["value"]) if first is not None else []
        wanted = [call for call in (written if isinstance(written, list) else [written]) if call["name"] in known]
        calls = tuple(_typed(call["name"], call["arguments"], known[call["name"]]) for call in wanted)
        yield ToolCase(row["id"], "glaive", question, functions, calls)


def _alpaca(rows: Sequence[Mapping[str, Any]]) -> Iterator[ToolCase]:
    for row in rows:
        described = {name: text for name, text in row["functions"].items() if name != "components"}
        functions = {name: _described_function(name, text) for name, text in described.items()}
        for number, item in enumerate(row["instructions"]):
            try:
                steps = [(step["Action"], json.loads(step["Action_Input"])) for step in item["golden"]]
            except ValueError:
                continue  # It refers to the result of another call.
            if all(name in functions for name, _ in steps):
                calls = tuple(_typed(name, given, functions[name]) for name, given in steps)
                yield ToolCase(
                    f"{row['id']}-{number}", "toolalpaca", item["question"], tuple(functions.values()), calls
                )


def _bank(rows: Sequence[Mapping[str, Any]]) -> Iterator[ToolCase]:
    """The calls that stand on what the user has said; the schemas are drawn from all calls of each function."""
    seen: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for turn in (turn for row in rows for turn in row["dialogue"] if turn["role"] == "API"):
        for name, value in turn["param_dict"].items():
            seen[turn["api_name"]][name].append(value)
    functions = {name: _function_of_calls(name, values) for name, values in seen.items()}
    for row in rows:
        said: list[str] = []
        for number, turn in enumerate(row["dialogue"]):
            if turn["role"] == "User":
                said.append(turn["text"])
            given = turn.get("param_dict", {})
            # A token comes from the call before.
            if turn["role"] == "API" and said and given and "token" not in given and turn["api_name"] in functions:
                call = _typed(turn["api_name"], given, functions[turn["api_name"]])
                yield ToolCase(
                    f"{row['id']}-{number}", "api_bank", "\n".join(said), (functions[turn["api_name"]],), (call,)
                )


def _function_of_calls(name: str, values: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    words = re.sub(r"([a-z])([A-Z])", r"\1 \2", name).capitalize()
    properties = {key: {"type": "string", "description": key.replace("_", " ")} for key in values}
    return {"name": name, "description": words + ".", "parameters": _schema(properties, list(values))}


def _described_function(name: str, text: str) -> dict[str, Any]:
    """ToolAlpaca tells parameters as text: `Required. string. One of: [a, b]. What it is` and so on."""
    head, _, rest = text.partition("\nParameters: ")
    told: dict[str, str] = json.loads(rest.partition("\nOutput:")[0] or "{}")
    properties: dict[str, Any] = {}
    required = []
    for key, line in told.items():
        match = _TYPE.match(line)
        kind, options = (match[2].lower(), match[3]) if match else ("string", None)
        properties[key] = {"type": kind, "description": line[match.end() :] if match else line}
        if options:
            properties[key]["enum"] = [item.strip() for item in options.split(",")]
        if match and match[1]:
            required.append(key)
    function = {"name": name, "description": head, "parameters": _schema(properties, required)}
    return function_of(function)


def _schema(properties: Mapping[str, Any], required: Sequence[str]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(required)}


def _typed(name: str, arguments: Mapping[str, Any], function: Function) -> ToolCall:
    """The call with its values in the types of the schema; what stands empty is left out."""
    properties = function["parameters"].get("properties", {})
    kept = {key: value for key, value in arguments.items() if key in properties and value not in ("", None)}
    return ToolCall("", name, {key: _as(value, properties[key].get("type")) for key, value in kept.items()})


def _as(value: Any, kind: str | None) -> Any:
    try:
        if kind == "integer":
            return int(float(value))
        if kind == "number":
            number = float(value)
            return int(number) if number.is_integer() else number
    except (TypeError, ValueError):
        return value
    return str(value) if kind == "string" and not isinstance(value, str) else value


class _Neighbours:
    """The functions that share most words with a question: the ones that are easily mistaken for the right one."""

    def __init__(self, functions: Sequence[Function]) -> None:
        self._functions = functions
        self._words = [_words(f"{function['name']} {function['description']}") for function in functions]

    def of(self, question: str, unlike: Sequence[str], count: int) -> list[Function]:
        """The `count` nearest functions not named in `unlike`."""
        asked = _words(question)
        order = sorted(
            range(len(self._functions)), key=lambda at: -len(asked & self._words[at]) / (3 + len(self._words[at]))
        )
        return [self._functions[at] for at in order if self._functions[at]["name"] not in unlike][:count]


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{3,}", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower()))


def _shuffled(functions: Sequence[Function], key: str) -> tuple[Function, ...]:
    return tuple(
        sorted(functions, key=lambda function: hashlib.sha256((key + function["name"]).encode("utf-8")).hexdigest())
    )


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
