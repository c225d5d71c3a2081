"""`python -m app compare` and `python -m app prices`; what `python -m app ask` tells of an answer beside its text."""

import argparse
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.answer_view import AnswerView, events_of_view
from core.config import Settings
from core.errors import SettingError
from core.language import Bilingual, Language
from core.types import CONCRETE_MODES, DEFAULT_COLLECTION, Question, Scope
from inference.protocol import ChatEngine
from orchestrator.bill import Price, bill_of, load_prices, prices_of, save_prices
from orchestrator.compare import Outcome, Way, as_csv, compare, save
from orchestrator.grounding import Grounding, GroundingScorer
from orchestrator.passages import CLOSEST_SHOWN
from orchestrator.serialise import plain

LONGEST_SHOWN = 160
_GENERAL = Bilingual(
    en="An answer from general knowledge: the same question with --mode prompt.",
    zh="如需凭通用知识回答：同一问题加 --mode prompt。",
)


def add_compare_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `python -m app compare`."""
    parser.add_argument("question")
    parser.add_argument(
        "--ways",
        nargs="+",
        default=list(CONCRETE_MODES),
        metavar="MODE[:ADAPTER]",
        help="rag prompt finetuned:NAME ...",
    )
    parser.add_argument("--collection", default=DEFAULT_COLLECTION, metavar="NAME")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table for a spreadsheet")
    parser.add_argument("--json", action="store_true", help="the last line of the output is one JSON object")


def add_price_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `python -m app prices`."""
    parser.add_argument(
        "--set", nargs=4, metavar=("NAME", "PROMPT", "COMPLETION", "CURRENCY"), help="add or change one"
    )
    parser.add_argument("--remove", metavar="NAME", help="take one out")
    parser.add_argument("--json", action="store_true", help="the last line of the output is one JSON object")


def run_compare(settings: Settings, options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Answer by each way and keep the comparison; returns it as JSON and as lines. Raises SettingError."""
    from app.container import build_parts, prepare

    ways = [_way(name) for name in options.ways]
    parts = build_parts(settings)
    prepare(parts, settings, options.collection)
    question = Question(options.question, scope=Scope(options.collection))
    with closing(parts.assistant):
        outcomes = [made for _, made in compare(parts.assistant, question, ways) if isinstance(made, Outcome)]
    kept = save(settings.paths.home, options.question, outcomes)
    if options.csv:
        # Spreadsheet programs take a CSV for UTF-8 only with this mark.
        options.csv.write_text(as_csv(kept), encoding="utf-8-sig")
    return asdict(kept), [line for outcome in outcomes for line in _lines(outcome)]


def run_prices(settings: Settings, options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Change the prices where that is asked; returns them as JSON and as lines. Raises SettingError."""
    home = settings.paths.home
    prices = list(load_prices(home))
    if options.set or options.remove:
        gone = {options.remove, options.set[0] if options.set else None}
        prices = [price for price in prices if price.name not in gone]
        if options.set:
            prices += prices_of([dict(zip(Price.__dataclass_fields__, options.set, strict=True))])
        save_prices(home, prices)
    lines = [f"{one.name:<36} {one.prompt:>10.4f} {one.completion:>10.4f} {one.currency}" for one in prices]
    return {"per_tokens": 1_000_000, "prices": [asdict(price) for price in prices]}, lines


def facts(view: AnswerView, engine: ChatEngine, settings: Settings, weigh: bool) -> dict[str, Any]:
    """What stands beside an answer: route, thoughts, bill, the closest passages of a refusal, and what it stands on."""
    bill = plain(bill_of(events_of_view(view), engine, load_prices(settings.paths.home)))
    grounding = _weighed(view, engine) if weigh else None
    return {
        "route": plain(view.route) if view.route else None,
        "rewritten": view.rewritten,
        "thinking": view.thinking,
        "closest": closest(view),
        "bill": bill,
        "grounding": plain(grounding) if grounding else None,
    }


def closest(view: AnswerView) -> list[dict[str, Any]]:
    """The passages that came nearest, of an answer that was refused; else none."""
    if view.completed is None or view.completed.kind != "refusal" or view.found is None:
        return []
    return [
        {"title": chunk.title, "uri": chunk.uri, "page": chunk.page, "text": chunk.text}
        for chunk in (source.chunk.chunk for source in view.found.sources[:CLOSEST_SHOWN])
    ]


def lines_beside(told: dict[str, Any], language: Language) -> list[str]:
    """The same as lines of a terminal: thoughts folded and counted, closest passages, what the answer stands on."""
    lines = []
    bill, grounding = told["bill"], told["grounding"]
    if told["thinking"]:
        thought = Bilingual(
            en=f"thought for {bill['thinking_tokens']} tokens, {bill['thinking_seconds']:.1f} s",
            zh=f"思考 {bill['thinking_tokens']} 个词元，{bill['thinking_seconds']:.1f} 秒",
        )
        lines.append(f"({thought.in_(language)})")
    for place, passage in enumerate(told["closest"], start=1):
        lines.append(f"  {place}. {passage['title']}: {' '.join(passage['text'].split())[:LONGEST_SHOWN]}")
    if told["closest"]:
        lines.append(_GENERAL.in_(language))
    if grounding:
        weights = ", ".join(f"[{number}] {nats:+.1f}" for number, nats in grounding["weights"].items())
        stands = Bilingual(
            en=f"stands on its sources: {grounding['meter']:.0%} (nats lost without each: {weights})",
            zh=f"来源支撑度：{grounding['meter']:.0%}（去掉各来源后损失的奈特：{weights}）",
        )
        lines.append(f"({stands.in_(language)})")
    return lines


def _weighed(view: AnswerView, engine: ChatEngine) -> Grounding | None:
    if view.context is None or view.completed is None or view.completed.kind != "model":
        return None
    return GroundingScorer(engine).score(view.context, view.completed)


def _way(name: str) -> Way:
    mode, _, adapter = name.partition(":")
    for known in CONCRETE_MODES:
        if mode == known:
            return Way(known, adapter)
    raise SettingError(
        Bilingual(
            en=f"“{mode}” is no mode; there are {', '.join(CONCRETE_MODES)}.",
            zh=f"没有“{mode}”这种模式；可用的有 {'、'.join(CONCRETE_MODES)}。",
        )
    )


def _lines(outcome: Outcome) -> Sequence[str]:
    head = (
        f"[{outcome.way}] {outcome.kind} · {outcome.evidence or '-'} · {outcome.prompt_tokens}+"
        f"{outcome.completion_tokens} tokens · {outcome.seconds:.1f} s · {outcome.supported}/{outcome.citations} [n]"
    )
    return head, "  " + (outcome.text or outcome.failure)


def shown(result: dict[str, Any], lines: Sequence[str], as_json: bool) -> str:
    """The output of a command."""
    return json.dumps(result, ensure_ascii=False) if as_json else "\n".join(lines)
