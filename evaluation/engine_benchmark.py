"""`python -m evaluation benchmark engine`: the engine beside llama.cpp's bare decode loop, in turns in the same run.

The best of several takes is compared, for what else a machine does can only slow one down; medians stand beside, and
the median of the ratio within a turn, which a machine that changes its speed disturbs least.
`--llama-bench PATH` puts that program in place of our own bare loop: the same file, threads and settings, in turns.
"""

import argparse
import json
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from core.config import Settings
from core.types import SamplingSettings
from evaluation.engine_conversation import measure_conversation
from evaluation.engine_ingest import measure_during_ingest
from inference.engine_options import LoadOptions
from inference.extensions import ExtensibleEngine
from inference.protocol import GenerationFinished, GenerationRequest
from inference.runtime import engine_options, open_engine

RAW = "inference.raw_speed"
FILLER = "There was a red barn on the hill and a small dog that ran around it. "
LIST_SCHEMA = {"type": "array", "items": {"type": "string", "minLength": 5, "maxLength": 20}, "minItems": 40}
PARTS = ("speed", "reuse", "conversation", "cancel", "schema", "ingest")


@dataclass(frozen=True)
class Pace:
    """Tokens per second of reading a prompt and of writing."""

    prompt: float
    generate: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--llama-bench", type=Path, help="path of a llama-bench program to run on the same file")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="measure these parts alone")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Measure; seconds, tokens per second and ratios."""
    # What is measured is the file that chats, also where an extension would get the original of a tuned copy.
    loaded = replace(engine_options(settings), original="", states="")
    with _opened(settings, loaded) as engine:
        parts: dict[str, Callable[[], Any]] = {
            "speed": lambda: _speed(engine, settings, loaded, options),
            "reuse": lambda: _reuse(engine),
            "conversation": lambda: measure_conversation(settings, loaded),
            "cancel": lambda: _cancel(engine, options.rounds),
            "schema": lambda: _schema(engine),
            "ingest": lambda: measure_during_ingest(settings, loaded),
        }
        return {
            "benchmark": "engine",
            "model": engine.info.name,
            "file": Path(loaded.path).name,
            "runs_as": engine.info.details["runs_as"],
            "threads": loaded.n_threads,
            "batch": loaded.n_batch,
            "device": engine.info.device,
            **{name: parts[name]() for name in options.only},
        }


@contextmanager
def _opened(settings: Settings, loaded: LoadOptions) -> Iterator[ExtensibleEngine]:
    with closing(open_engine(settings, extensions=(RAW,), options=loaded)) as engine:
        yield engine


def _speed(
    engine: ExtensibleEngine, settings: Settings, loaded: LoadOptions, options: argparse.Namespace
) -> dict[str, Any]:
    with _opened(settings, loaded) as bare:
        pairs = [
            (_own_pace(engine, turn, options), _baseline(bare, loaded, options)) for turn in range(options.rounds + 1)
        ]
    # The first turn of each warms the caches of the machine.
    takes = [[pair[side] for pair in pairs[1:]] for side in (0, 1)]
    return {
        "baseline": "llama-bench" if options.llama_bench else "bare decode loop",
        **_compared(*(_best(side) for side in takes)),
        "medians": _compared(*(_median(side) for side in takes)),
        "median_of_turns": {
            "prompt_ratio": round(statistics.median(ours.prompt / base.prompt for ours, base in pairs[1:]), 3),
            "generated_ratio": round(statistics.median(ours.generate / base.generate for ours, base in pairs[1:]), 3),
        },
    }


def _compared(ours: Pace, base: Pace) -> dict[str, Any]:
    return {
        "prompt_tokens_per_second": [round(ours.prompt, 1), round(base.prompt, 1)],
        "generated_tokens_per_second": [round(ours.generate, 1), round(base.generate, 1)],
        "prompt_ratio": round(ours.prompt / base.prompt, 3),
        "generated_ratio": round(ours.generate / base.generate, 3),
    }


def _best(paces: list[Pace]) -> Pace:
    return Pace(max(it.prompt for it in paces), max(it.generate for it in paces))


def _median(paces: list[Pace]) -> Pace:
    return Pace(statistics.median(it.prompt for it in paces), statistics.median(it.generate for it in paces))


def _own_pace(engine: ExtensibleEngine, turn: int, options: argparse.Namespace) -> Pace:
    """Tokens per second of a prompt never seen before and of a text written from little, as callers see them."""
    words = f"{turn} " + FILLER * (options.prompt_tokens // 8)
    ids = engine.tokenize(words)
    # Words are cut where the tokens are as many as were asked for, give or take one.
    prompt = words[: int(len(words) * options.prompt_tokens / len(ids))]
    read = _finish(engine, GenerationRequest(prompt=prompt, sampling=_free(1)))
    computed = read.usage.prompt_tokens - read.usage.cached_tokens
    written = _finish(
        engine, GenerationRequest(prompt=f"{turn} Once upon a time", sampling=_free(options.new_tokens + 1))
    )
    tokens = max(written.usage.completion_tokens - 1, 1)
    return Pace(computed / read.timings.first_token, tokens / written.timings.generate)


def _baseline(bare: ExtensibleEngine, loaded: LoadOptions, options: argparse.Namespace) -> Pace:
    if options.llama_bench:
        return _llama_bench(options, loaded)
    sizes = {"prompt_tokens": options.prompt_tokens, "new_tokens": options.new_tokens}
    seconds, _ = bare.call(f"{RAW}:raw_speed", sizes)
    return Pace(options.prompt_tokens / seconds["prompt_seconds"], options.new_tokens / seconds["generate_seconds"])


def _llama_bench(options: argparse.Namespace, loaded: LoadOptions) -> Pace:
    """One repetition of its own test; it warms up by itself before."""
    sizes = ["-p", str(options.prompt_tokens), "-n", str(options.new_tokens), "-r", "1", "-o", "json"]
    same = ["-t", str(loaded.n_threads), "-b", str(loaded.n_batch), "-ub", str(loaded.n_batch)]
    same += ["-fa", str(int(loaded.flash_attention)), "-ctk", loaded.kv_type, "-ctv", loaded.kv_type]
    command = [str(options.llama_bench), "-m", loaded.path, *sizes, *same]
    rows = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=1800, text=True).stdout)
    prompt = next(row["avg_ts"] for row in rows if row["n_prompt"])
    return Pace(prompt, next(row["avg_ts"] for row in rows if row["n_gen"]))


def _reuse(engine: ExtensibleEngine) -> dict[str, Any]:
    """Seconds to the first token of a question behind a thousand tokens, cold and with them known."""
    shared = "Reuse. " + FILLER * 59
    cold = _finish(engine, GenerationRequest(prompt=shared + "Who ran?", sampling=_free(1)))
    warm = _finish(engine, GenerationRequest(prompt=shared + "Where is the barn?", sampling=_free(1)))
    return {
        "shared_tokens": warm.usage.cached_tokens,
        "cold_seconds": round(cold.timings.first_token, 4),
        "warm_seconds": round(warm.timings.first_token, 4),
        "cold_over_warm": round(cold.timings.first_token / warm.timings.first_token, 1),
    }


def _cancel(engine: ExtensibleEngine, rounds: int) -> dict[str, Any]:
    """Milliseconds from the wish to stop to the end, while the prompt is read and while text is written."""
    reading = [_stop_after(engine, f"{turn} stop " + FILLER * 150, 0.2) for turn in range(rounds * 2)]
    writing = [_stop_after(engine, f"{turn} Once upon a time", 0.5) for turn in range(rounds * 2)]
    return {
        name: {"median": round(statistics.median(values), 1), "most": round(max(values), 1)}
        for name, values in (("reading", reading), ("writing", writing))
    }


def _stop_after(engine: ExtensibleEngine, prompt: str, seconds: float) -> float:
    wanted_at: list[float] = []
    stop = threading.Event()

    def fire() -> None:
        wanted_at.append(time.perf_counter())
        stop.set()

    timer = threading.Timer(seconds, fire)
    timer.start()
    for _ in engine.generate(GenerationRequest(prompt=prompt, sampling=_free(1000)), stop.is_set):
        continue
    ended = time.perf_counter()
    timer.cancel()
    return (ended - wanted_at[0]) * 1000 if wanted_at else 0.0


def _schema(engine: ExtensibleEngine) -> dict[str, float]:
    """Milliseconds that a JSON schema adds to a token. The first use builds the table of tokens and is not counted."""
    _finish(engine, GenerationRequest(prompt="List:", json_schema={"type": "null"}, sampling=_free(2)))
    free = _finish(engine, GenerationRequest(prompt="List:", sampling=_free(150)))
    bound = _finish(engine, GenerationRequest(prompt="List:", json_schema=LIST_SCHEMA, sampling=_free(214)))
    added = _per_token(bound) - _per_token(free)
    return {"added_ms_per_token": round(added, 3), "free_ms_per_token": round(_per_token(free), 3)}


def _per_token(end: GenerationFinished) -> float:
    return end.timings.generate / max(end.usage.completion_tokens - 1, 1) * 1000


def _finish(engine: ExtensibleEngine, request: GenerationRequest) -> GenerationFinished:
    # Every generation that does not raise ends with GenerationFinished.
    *_, last = engine.generate(request)
    return cast(GenerationFinished, last)


def _free(max_tokens: int) -> SamplingSettings:
    return SamplingSettings(max_tokens=max_tokens)
