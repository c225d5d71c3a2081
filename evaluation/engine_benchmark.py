"""`python -m evaluation benchmark engine`: the engine beside llama.cpp's bare decode loop, in turns in the same run.

Ratios are what counts: on a machine that does other work the absolute numbers are not worth much. `--llama-bench PATH`
adds the figures of that program on the same file and threads.
"""

import argparse
import json
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

from core.config import Settings
from core.types import SamplingSettings
from inference.extensions import ExtensibleEngine
from inference.protocol import GenerationFinished, GenerationRequest
from inference.runtime import load_options, model_path, open_engine

RAW = "inference.raw_speed"
FILLER = "There was a red barn on the hill and a small dog that ran around it. "
LIST_SCHEMA = {"type": "array", "items": {"type": "string", "minLength": 5, "maxLength": 20}, "minItems": 40}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=3, help="turns of each; the medians are reported")
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--llama-bench", type=Path, help="path of a llama-bench program to run on the same file")


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Measure; seconds, tokens per second and ratios."""
    with _opened(settings) as engine, _opened(settings) as bare:
        result: dict[str, Any] = {
            "benchmark": "engine",
            "model": engine.info.name,
            "quantisation": engine.info.quantisation,
            "threads": load_options(settings, model_path(settings)).n_threads,
            "device": engine.info.device,
            **_speed(engine, bare, options),
        }
        bare.close()
        result |= {"reuse": _reuse(engine), "cancel_ms": _cancel(engine, options.rounds), "schema": _schema(engine)}
    if options.llama_bench:
        result["llama_bench"] = _llama_bench(options, settings)
    return result


@contextmanager
def _opened(settings: Settings) -> Iterator[ExtensibleEngine]:
    with closing(open_engine(settings, extensions=(RAW,))) as engine:
        yield engine


def _speed(engine: ExtensibleEngine, bare: ExtensibleEngine, options: argparse.Namespace) -> dict[str, Any]:
    sizes = {"prompt_tokens": options.prompt_tokens, "new_tokens": options.new_tokens}
    ours: list[tuple[float, float]] = []
    raw: list[tuple[float, float]] = []
    for turn in range(options.rounds + 1):
        seconds, _ = bare.call(f"{RAW}:raw_speed", sizes)
        raw.append(
            (sizes["prompt_tokens"] / seconds["prompt_seconds"], sizes["new_tokens"] / seconds["generate_seconds"])
        )
        ours.append(_own_speed(engine, turn, options))
    # The first turn of each warms the caches of the machine.
    raw_prompt, raw_generate = (statistics.median(column) for column in zip(*raw[1:], strict=True))
    prompt, generate = (statistics.median(column) for column in zip(*ours[1:], strict=True))
    return {
        "prompt_tokens_per_second": round(prompt, 1),
        "generated_tokens_per_second": round(generate, 1),
        "bare_prompt_tokens_per_second": round(raw_prompt, 1),
        "bare_generated_tokens_per_second": round(raw_generate, 1),
        "prompt_ratio": round(prompt / raw_prompt, 3),
        "generated_ratio": round(generate / raw_generate, 3),
    }


def _own_speed(engine: ExtensibleEngine, turn: int, options: argparse.Namespace) -> tuple[float, float]:
    """Tokens per second of a prompt never seen before and of its continuation, as a caller sees them."""
    words = f"{turn} " + FILLER * (options.prompt_tokens // 8)
    ids = engine.tokenize(words)
    # Words are cut where the tokens are as many as were asked for, give or take one.
    prompt = words[: int(len(words) * options.prompt_tokens / len(ids))]
    end = _finish(engine, GenerationRequest(prompt=prompt, sampling=_free(options.new_tokens)))
    computed = end.usage.prompt_tokens - end.usage.cached_tokens
    written = max(end.usage.completion_tokens - 1, 1)
    return computed / end.timings.first_token, written / end.timings.generate


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


def _llama_bench(options: argparse.Namespace, settings: Settings) -> dict[str, float]:
    path = model_path(settings)
    threads = str(load_options(settings, path).n_threads)
    sizes = ["-p", str(options.prompt_tokens), "-n", str(options.new_tokens), "-r", str(options.rounds)]
    command = [str(options.llama_bench), "-m", str(path), "-t", threads, *sizes, "-fa", "1", "-o", "json"]
    output = subprocess.run(command, capture_output=True, check=True, timeout=1800, text=True).stdout
    rows = json.loads(output)
    return {f"pp{row['n_prompt']}" if row["n_prompt"] else f"tg{row['n_gen']}": row["avg_ts"] for row in rows}
