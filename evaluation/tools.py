"""`python -m evaluation tools --cases FILE`: are the right functions called with the right arguments.

Cases in the form of the Berkeley Function Calling Leaderboard (v4, single turn), of ACEBench's single-turn normal and
irrelevant categories, or of the sets that `tools` is trained on (their held-out questions). What is examined is the
application's own way to a call (encoder, constraint, model); `--way free` shows the raw model: all functions in the
prompt, a list of calls asked for, nothing constrained, what it writes parsed; `--way both` prints the two side by side.
"""

import argparse
import json
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

from core.config import Settings
from core.errors import PromptTooLongError, SettingError
from core.language import Bilingual
from core.types import Message, SamplingSettings, ToolCall
from evaluation.call_rules import calls_are_right
from inference.call_schema import function_of
from inference.protocol import ChatEngine, GeneratedText, GenerationRequest
from training.tool_cases import ToolCase, is_tool_set, read_tool_cases

Propose = Callable[[str, Sequence[Mapping[str, Any]]], tuple[ToolCall, ...]]
LONGEST_FREE = 256


@dataclass(frozen=True)
class Case:
    """One question; `answers` empty: no call must be made, None: any call counts."""

    id: str
    category: str
    question: str
    functions: tuple[Mapping[str, Any], ...]
    answers: tuple[Mapping[str, Any], ...] | None


@dataclass(frozen=True)
class Verdict:
    """What came of one case. `valid`: every call is of a known function and fits its schema."""

    case: Case
    calls: tuple[ToolCall, ...]
    right: bool
    valid: bool
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of this evaluation."""
    parser.add_argument("--cases", type=Path, required=True, help="JSON lines of BFCL or ACEBench")
    parser.add_argument("--limit", type=int, default=0, help="at most so many cases of each category, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--category", action="append", default=[], help="only this category (may be repeated)")
    parser.add_argument("--way", choices=("product", "free", "both"), default="product")
    parser.add_argument("--adapter", help="name of a LoRA adapter, or none (default: the one the application takes)")
    parser.add_argument("--results", type=Path, help="keep every verdict in this file; a run that ends early goes on")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Examine the model of the settings; the figures by category and over all, of each way asked for."""
    from inference.runtime import open_engine
    from retrieval.embedder import open_embedder
    from tools.proposer import CallProposer
    from training.adapters import TOOLS, chosen_for

    cases = sampled(list(read_cases(options.cases)), options.category, options.limit, options.seed)
    with closing(open_engine(settings)) as engine:
        chosen = chosen_for(TOOLS, settings, engine.info.sha256)
        adapter = {None: chosen, "none": ""}.get(options.adapter, options.adapter)
        ways: dict[str, Propose] = {
            "product": CallProposer(engine, open_embedder(settings), lambda: adapter).propose,
            "free": free_calls(engine),
        }
        wanted = list(ways) if options.way == "both" else [options.way]
        figures = {way: summary(verdicts_of(way, ways[way], cases, options.results)) for way in wanted}
        model = engine.info.name
    return {"cases": str(options.cases), "model": model, "adapter": adapter, **figures}


def verdicts_of(way: str, propose: Propose, cases: Sequence[Case], kept: Path | None) -> list[Verdict]:
    """Judge all cases; with `kept`, take those judged earlier from the file and add the new ones to it."""
    known = {}
    if kept is not None and kept.is_file():
        rows = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
        known = {row["id"]: row for row in rows if row["way"] == way}
    verdicts = []
    for case in cases:
        if case.id in known:
            verdicts.append(_recalled(case, known[case.id]))
            continue
        verdicts.append(judge(case, propose))
        if kept is not None:
            with kept.open("a", encoding="utf-8") as file:
                file.write(_described(way, verdicts[-1]) + "\n")
    return verdicts


def read_cases(path: Path) -> Iterator[Case]:
    """The comparable cases of a file. Raises SettingError where the file is absent."""
    if not path.is_file():
        raise SettingError(Bilingual(en=f"There is no file {path} (--cases).", zh=f"文件 {path} 不存在（--cases）。"))
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if rows and is_tool_set(rows[0]):
        yield from (_tool_case(case) for case in read_tool_cases(path) if case.is_held_out)
        return
    for row in rows:
        case = _case(row)
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


def judge(case: Case, propose: Propose) -> Verdict:
    """Ask for the calls of one case and compare them with the expected ones."""
    started = time.monotonic()
    calls = propose(case.question, case.functions)
    seconds = time.monotonic() - started
    right = bool(calls) if case.answers is None else calls_are_right(calls, case.answers, case.functions)
    return Verdict(case, calls, right, all(_is_valid(call, case.functions) for call in calls), seconds)


def summary(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Accuracy by category, share of valid calls, calls made without need and calls missed; shares are 0..1."""
    by_category: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        by_category[verdict.case.category].append(verdict)
    calling = [v for v in verdicts if v.calls]
    needless = [v for v in verdicts if v.case.answers == ()]
    needed = [v for v in verdicts if v.case.answers != ()]
    return {
        "n": len(verdicts),
        "accuracy": {
            name: {"n": len(group), "accuracy": _share([v.right for v in group])}
            for name, group in sorted(by_category.items())
        },
        "overall": _share([v.right for v in verdicts]),
        "valid_calls": _share([v.valid for v in calling]),
        "needless_calls": _share([bool(v.calls) for v in needless]),
        "missed_calls": _share([not v.calls for v in needed]),
        "seconds_per_case": round(sum(v.seconds for v in verdicts) / max(1, len(verdicts)), 2),
    }


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


def _case(row: Mapping[str, Any]) -> Case | None:
    if "acebench" in row.get("id", "") or isinstance(row.get("question"), str):
        return _acebench(row)
    turns = [message for turn in row["question"] for message in turn]
    question = "\n".join(message["content"] for message in turns if message["role"] == "user")
    truth = row.get("ground_truth")
    answers = None if row["category"] == "live_relevance" else tuple(truth or ())
    return Case(row["id"], row["category"], question, tuple(row["function"]), answers)


def _acebench(row: Mapping[str, Any]) -> Case | None:
    """The categories whose answer is a set of calls to one question; the others need a dialogue or a simulator."""
    category, truth = str(row["category"]), row.get("ground_truth")
    single = category.startswith(("normal_single_turn", "normal_atom", "normal_similar"))
    if not single and category != "special_irrelevant":
        return None
    answers = () if not single else tuple({name: _accepted(values)} for name, values in _pairs(truth))
    return Case(str(row["id"]), category, _said(row["question"]), tuple(row["function"]), answers)


def _pairs(truth: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """ACEBench numbers repeated calls of one function: `name_1`, `name_2`."""
    for item in truth if isinstance(truth, list) else [truth]:
        for name, values in item.items():
            head, _, tail = name.rpartition("_")
            yield (head if tail.isdigit() and head else name), values


def _accepted(values: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {name: [value] for name, value in values.items()}


def _said(question: str) -> str:
    return question.strip().removeprefix("user:").removeprefix("用户：").strip()


def _is_valid(call: ToolCall, functions: Sequence[Mapping[str, Any]]) -> bool:
    """Judged here on its own, not by the rule with which the product throws calls away."""
    function = next((function_of(item) for item in functions if item["name"] == call.name), None)
    if function is None:
        return False
    schema = {**function["parameters"], "additionalProperties": False}
    return bool(jsonschema.Draft202012Validator(schema).is_valid(dict(call.arguments)))


def free_calls(engine: ChatEngine) -> Propose:
    """The raw model: all functions in the prompt, a JSON list of calls asked for, no constraint, no adapter."""

    def propose(question: str, functions: Sequence[Mapping[str, Any]]) -> tuple[ToolCall, ...]:
        described = "\n".join(json.dumps(function_of(function), ensure_ascii=False) for function in functions)
        system = (
            'Answer with a JSON list of function calls, [{"name": ..., "arguments": {...}}], or [] if no function fits.'
            f"\n\nFunctions:\n{described}"
        )
        request = GenerationRequest(
            messages=(Message("system", system), Message("user", question)),
            sampling=SamplingSettings(max_tokens=LONGEST_FREE),
        )
        try:
            text = "".join(event.text for event in engine.generate(request) if isinstance(event, GeneratedText))
        except PromptTooLongError:
            return ()
        return parsed_calls(text)

    return propose


def parsed_calls(text: str) -> tuple[ToolCall, ...]:
    """The calls in what a model wrote: the first JSON value in it that is a call or a list of them."""
    for start in re.finditer(r"[\[{]", text):
        try:
            value, _ = json.JSONDecoder().raw_decode(text, start.start())
        except ValueError:
            continue
        items = value if isinstance(value, list) else [value]
        calls = [item for item in items if isinstance(item, dict) and isinstance(item.get("name"), str)]
        if calls:
            given = [call.get("arguments") for call in calls]
            return tuple(
                ToolCall(str(at), call["name"], arguments if isinstance(arguments, dict) else {})
                for at, (call, arguments) in enumerate(zip(calls, given, strict=True))
            )
    return ()


def _share(flags: Sequence[bool]) -> float:
    return round(sum(flags) / len(flags), 4) if flags else 0.0


def _described(way: str, verdict: Verdict) -> str:
    calls = [[call.name, dict(call.arguments)] for call in verdict.calls]
    row = {
        "way": way,
        "id": verdict.case.id,
        "question": verdict.case.question,
        "calls": calls,
        "expected": verdict.case.answers,
        "right": verdict.right,
        "valid": verdict.valid,
        "seconds": round(verdict.seconds, 3),
    }
    return json.dumps(row, ensure_ascii=False)


def _recalled(case: Case, row: Mapping[str, Any]) -> Verdict:
    calls = tuple(ToolCall(str(at), name, arguments) for at, (name, arguments) in enumerate(row["calls"]))
    return Verdict(case, calls, row["right"], row["valid"], row["seconds"])
