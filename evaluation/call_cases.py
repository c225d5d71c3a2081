"""Cases of function calling from public files: BFCL, ACEBench, and the held-out questions of the training sets.

Of ACEBench the categories are read whose answer is a set of calls to what one person said. Where such a dialogue holds
calls that were made and answered already, the turns after the last of them are the question; what the assistant said
in between is left out, and so are the date and the profile that some cases tell beside the question.
"""

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import SettingError
from core.language import Bilingual
from training.tool_cases import ToolCase, is_tool_set, read_tool_cases

_TURN = re.compile(r"^(user|system)\s*[:：]\s*", re.MULTILINE)
_NUMBERED = re.compile(r"_\d+$")


@dataclass(frozen=True)
class Case:
    """One question; `answers` empty: no call must be made, None: any call counts."""

    id: str
    category: str
    question: str
    functions: tuple[Mapping[str, Any], ...]
    answers: tuple[Mapping[str, Any], ...] | None


def read_cases(path: Path) -> Iterator[Case]:
    """The comparable cases of a file. Raises SettingError where the file is absent."""
    if not path.is_file():
        raise SettingError(Bilingual(en=f"There is no file {path} (--cases).", zh=f"文件 {path} 不存在（--cases）。"))
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if rows and is_tool_set(rows[0]):
        yield from (_tool_case(case) for case in read_tool_cases(path) if case.is_held_out)
        return
    for row in rows:
        case = _acebench(row) if isinstance(row.get("question"), str) else _bfcl(row)
        if case is not None:
            yield case


def sampled(cases: list[Case], categories: Sequence[str], limit: int, seed: int) -> list[Case]:
    """At most `limit` (0: all) cases of each wanted category, in a random order that `seed` fixes."""
    random.Random(seed).shuffle(cases)  # noqa: S311 a sample, not a secret
    kept: list[Case] = []
    counts: dict[str, int] = defaultdict(int)
    for case in cases:
        wanted = not categories or case.category in categories
        if wanted and (not limit or counts[case.category] < limit):
            counts[case.category] += 1
            kept.append(case)
    return kept


def _tool_case(case: ToolCase) -> Case:
    """Only the values given are right; an optional argument may also have its default."""
    answers = []
    functions = {function["name"]: function for function in case.functions}
    for call in case.calls:
        properties: Mapping[str, Any] = functions[call.name]["parameters"].get("properties", {})
        defaults = {name: [schema["default"], ""] for name, schema in properties.items() if "default" in schema}
        answers.append({call.name: {**defaults, **{name: [value] for name, value in call.arguments.items()}}})
    kind = {0: "none", 1: "one"}.get(len(answers), "several")
    return Case(case.id, f"{case.source}_{kind}", case.question, case.functions, tuple(answers))


def _bfcl(row: Mapping[str, Any]) -> Case:
    turns = [message for turn in row["question"] for message in turn]
    question = "\n".join(message["content"] for message in turns if message["role"] == "user")
    answers = None if row["category"] == "live_relevance" else tuple(row.get("ground_truth") or ())
    return Case(row["id"], row["category"], question, tuple(row["function"]), answers)


def _acebench(row: Mapping[str, Any]) -> Case | None:
    """None for the categories that need a dialogue or a simulator."""
    category, truth = str(row["category"]), row.get("ground_truth")
    is_single = category.startswith(("normal_single_turn", "normal_atom", "normal_similar"))
    if not is_single and category != "special_irrelevant":
        return None
    functions = tuple(_with_parameters(function) for function in row["function"])
    names = {function["name"] for function in functions}
    answers = tuple({name: _accepted(values)} for name, values in _pairs(truth, names)) if is_single else ()
    return Case(str(row["id"]), category, _said(row["question"]), functions, answers)


def _with_parameters(function: Mapping[str, Any]) -> dict[str, Any]:
    """ACEBench calls the parameters of some functions `arguments`."""
    parameters = function.get("parameters") or function.get("arguments") or {"type": "object", "properties": {}}
    return {"name": function["name"], "description": function.get("description", ""), "parameters": parameters}


def _pairs(truth: Any, names: set[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """ACEBench numbers repeated calls of one function: `name_1`, `name_2`."""
    for item in truth if isinstance(truth, list) else [truth]:
        for name, values in item.items():
            yield (name if name in names else _NUMBERED.sub("", name)), values


def _accepted(values: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {name: [value] for name, value in values.items()}


def _said(dialogue: str) -> str:
    """What the person said since the last call that was made."""
    heads = list(_TURN.finditer(dialogue))
    if not heads:
        return dialogue.strip()
    ends = [*(head.start() for head in heads[1:]), len(dialogue)]
    turns = [(head[1], dialogue[head.end() : end].strip()) for head, end in zip(heads, ends, strict=True)]
    made = [at for at, (who, text) in enumerate(turns) if who == "system" and text.startswith("[")]
    open_turns = turns[made[-1] + 1 :] if made else turns
    return "\n".join(text for who, text in open_turns if who == "user")
