"""`python -m evaluation tools --cases FILE`: are the right functions called with the right arguments.

Cases in the form of the Berkeley Function Calling Leaderboard (v4, single turn), of ACEBench's single-turn normal and
irrelevant categories, or of the sets that `tools` is trained on (their held-out questions). What is examined is the
application's own way to a call (encoder, constraint, model). Beside it stand two raw ways, without encoder and
adapter: `free`, all functions in the prompt, a list of calls asked for, nothing constrained, what it writes parsed; and
`whole`, one answer under the grammar of a call or words, as a large model is asked.
"""

import argparse
import json
import math
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

from core.config import Settings
from core.errors import ModelError, PromptTooLongError
from core.types import Message, SamplingSettings, ToolCall
from evaluation.call_cases import Case, read_cases, sampled
from evaluation.call_rules import calls_are_right
from evaluation.metrics import bootstrap_interval
from inference.call_schema import function_of
from inference.function_calling import call_grammar, parse_call
from inference.protocol import ChatEngine, GeneratedText, GenerationRequest

Propose = Callable[[str, Sequence[Mapping[str, Any]]], tuple[ToolCall, ...]]
LONGEST_FREE = 256
WAYS = ("product", "free", "whole")


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
    parser.add_argument("--way", choices=(*WAYS, "both", "all"), default="product")
    parser.add_argument("--adapter", help="name of a LoRA adapter, or none (default: the one the application takes)")
    parser.add_argument("--results", type=Path, help="keep every verdict in this file; a run that ends early goes on")
    parser.add_argument(
        "--seconds", type=float, default=0, help="begin no case after so long, and tell what was judged"
    )


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Examine the model of the settings; the figures by category and over all, of each way asked for."""
    from inference.runtime import open_engine
    from retrieval.embedder import open_embedder
    from tools.proposer import CallProposer
    from training.adapters import TOOLS, chosen_for

    cases = sampled(list(read_cases(options.cases)), options.category, options.limit, options.seed)
    until = time.monotonic() + options.seconds if options.seconds else math.inf
    with closing(open_engine(settings)) as engine:
        chosen = chosen_for(TOOLS, settings, engine.info.sha256)
        adapter = {None: chosen, "none": ""}.get(options.adapter, options.adapter)
        ways: dict[str, Propose] = {
            "product": CallProposer(engine, open_embedder(settings), lambda: adapter).propose,
            "free": free_calls(engine),
            "whole": whole_call(engine),
        }
        wanted = {"both": WAYS[:2], "all": WAYS}.get(options.way, (options.way,))
        figures = {way: summary(verdicts_of(way, ways[way], cases, options.results, until)) for way in wanted}
        model = engine.info.name
    return {"cases": str(options.cases), "of": len(cases), "model": model, "adapter": adapter, **figures}


def verdicts_of(
    way: str, propose: Propose, cases: Sequence[Case], kept: Path | None, until: float = math.inf
) -> list[Verdict]:
    """Judge all cases that can be begun before `until` (`time.monotonic`).

    With `kept`, take those judged earlier from the file and add the new ones to it.
    """
    known = {}
    if kept is not None and kept.is_file():
        rows = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
        known = {row["id"]: row for row in rows if row["way"] == way}
    verdicts = [_recalled(case, known[case.id]) for case in cases if case.id in known]
    for case in cases:
        if case.id in known:
            continue
        if time.monotonic() >= until:
            break
        verdicts.append(judge(case, propose))
        if kept is not None:
            with kept.open("a", encoding="utf-8") as file:
                file.write(_described(way, verdicts[-1]) + "\n")
    return verdicts


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
            name: {"n": len(group), **_accuracy([v.right for v in group])}
            for name, group in sorted(by_category.items())
        },
        "overall": _share([v.right for v in verdicts]),
        "calls": sum(len(v.calls) for v in calling),
        "valid_calls": _share([v.valid for v in calling]),
        "needless_calls": _share([bool(v.calls) for v in needless]),
        "missed_calls": _share([not v.calls for v in needed]),
        "seconds_per_case": round(sum(v.seconds for v in verdicts) / max(1, len(verdicts)), 2),
    }


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


def whole_call(engine: ChatEngine) -> Propose:
    """The raw model under the grammar of one call or words, over all functions; no encoder, no adapter."""

    def propose(question: str, functions: Sequence[Mapping[str, Any]]) -> tuple[ToolCall, ...]:
        tools = [function_of(function) for function in functions]
        request = GenerationRequest(
            messages=(Message("user", question),),
            tools=tuple({"type": "function", "function": tool} for tool in tools),
            grammar=call_grammar(tools),
            sampling=SamplingSettings(max_tokens=LONGEST_FREE),
        )
        try:
            text = "".join(event.text for event in engine.generate(request) if isinstance(event, GeneratedText))
        except ModelError as error:
            # Too long, or a schema that no grammar can be made of: no call. A model that died is another matter.
            if type(error) not in (ModelError, PromptTooLongError):
                raise
            return ()
        call = parse_call(text.strip(), "call_0")
        return () if call is None else (call,)

    return propose


def _accuracy(flags: Sequence[bool]) -> dict[str, Any]:
    low, high = bootstrap_interval([float(flag) for flag in flags])
    return {"accuracy": _share(flags), "interval": [round(low, 3), round(high, 3)]}


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
