"""The rows that teach a small model to fill in forms of functions: what `inference.form_filling` asks of it, no more.

What is learned, in the very layout of the product, is what to write on each line that it asks for. A value that its
grammar would not let the model write is shown and not learned, and so is one that it writes without the model. Of a
request for several calls each form gets the sentences that are about it, as the product hands them on. Requests made by
rule (`training.tool_requests`) are added to the real ones.
"""

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from core.types import ToolCall
from inference.call_schema import function_of
from inference.form_layout import argument_line, form_lines, form_opening
from inference.grounding import Grounding
from inference.value_grammar import ValueGrammar, only_line
from training.examples import Example, written_out
from training.tool_cases import Function, ToolCase, read_tool_cases, seal_functions
from training.tool_requests import RequestMaker

# The Chinese half of Glaive is left out: the model that is trained writes no Chinese.
SETS = ("seal_tools", "glaive_toolcall_en", "toolalpaca_eval", "api_bank_dialogues")
LONGEST_QUESTION = 320
MADE_BY_RULE = 1800
_SENTENCES = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'])|\n+")
# A form of whose values fewer than this share can be written teaches mostly what it cannot copy.
LEAST_LEARNED = 0.6


def tool_examples(folder: Path, seed: int = 42, held_out: bool = False) -> list[Example]:
    """The rows of the adapter `tools`, from the development files in `folder`; the held-out questions on request."""
    draw = random.Random(seed)  # noqa: S311 - a reproducible recipe, no secret
    cases = [case for name in SETS for case in read_tool_cases(folder / f"{name}.dev.jsonl")]
    rows = [example for case in cases if case.is_held_out == held_out for example in examples_of(case)]
    if not held_out:
        rows += _made_by_rule(folder, cases, seed)
    draw.shuffle(rows)
    return rows


def examples_of(case: ToolCase) -> Iterator[Example]:
    """The form of each call wanted."""
    functions = {function["name"]: function_of(function) for function in case.functions}
    for call in case.calls:
        question = sentences_about(case.question, call, case.calls)
        example = filled_form(question, functions[call.name], call) if len(question) <= LONGEST_QUESTION else None
        if example is not None:
            yield example


def sentences_about(question: str, call: ToolCall, calls: Sequence[ToolCall]) -> str:
    """The sentences of a question for several calls that hold a value of this one; else the whole question."""
    if len(calls) < 2:
        return question
    told = [str(value).lower() for value in call.arguments.values()]
    kept = [part for part in _SENTENCES.split(question) if any(value in part.lower() for value in told)]
    return " ".join(kept) or question


def _made_by_rule(folder: Path, cases: Sequence[ToolCase], seed: int) -> Iterator[Example]:
    """Forms for requests made by rule; functions that held-out questions call are not among them."""
    kept = {call.name for case in cases if case.is_held_out for call in case.calls}
    functions: list[Function] = [item for item in seal_functions(folder) if item["name"] not in kept]
    for case in RequestMaker(functions, seed).requests(MADE_BY_RULE):
        example = filled_form(case.question, case.functions[0], case.calls[0])
        if example is not None:
            yield example


def filled_form(question: str, function: Mapping[str, Any], call: ToolCall) -> Example | None:
    """The form as the product would have the model fill it in; None where a required value is missing."""
    grounding = Grounding.for_form(question, function)
    pieces: list[tuple[str, bool]] = [(form_opening(question, function), False)]
    can_be_written: list[bool] = []
    for name, schema, is_required in form_lines(function["parameters"]):
        value = call.arguments.get(name)
        if value is None and is_required:
            return None
        if value is None or not (is_required or grounding.wants(name, schema)):
            continue
        written = f" {json.dumps(value, ensure_ascii=False)}\n"
        grammar = ValueGrammar(grounding).line_of(name, schema)
        can_be_written.append(_can_be_written(grammar, written))
        # Where the grammar leaves no choice the product asks no model, and there is nothing to learn.
        is_asked = only_line(grammar) is None
        pieces += [(argument_line(name, schema), False), (written, can_be_written[-1] and is_asked)]
        grounding = grounding.without(value)
    # What stands behind the last line to learn is not read.
    last = max((at for at, (_, is_trained) in enumerate(pieces) if is_trained), default=-1)
    is_learned = sum(can_be_written) >= LEAST_LEARNED * len(can_be_written)
    return written_out(pieces[: last + 1]) if last > 0 and is_learned else None


@cache
def _bytes() -> Any:
    from llguidance import LLTokenizer

    return LLTokenizer("byte")


def _can_be_written(grammar: str, line: str) -> bool:
    from llguidance import LLMatcher

    tokenizer = _bytes()
    matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_lark(grammar))
    tokens = tokenizer.tokenize_str(line)
    return not matcher.is_error() and bool(matcher.try_consume_tokens(tokens) == len(tokens))
