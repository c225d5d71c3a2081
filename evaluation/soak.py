"""`python -m evaluation soak`: hundreds of mixed requests, many of them cancelled, and the memory before and after.

With `--http` the same over the served API by many clients at once: every answer must be an answer or a clear 429.
"""

import argparse
import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import psutil

from core.config import Settings
from core.errors import SettingError
from core.language import Bilingual
from core.types import Message, SamplingSettings
from evaluation.soak_http import serve_and_load
from inference.local_engine import LocalEngine
from inference.protocol import GeneratedText, GenerationFinished, GenerationRequest
from inference.runtime import engine_options, open_engine

# Warm states reach this soon, so that what still grows is a leak.
CACHE_BYTES = 64 * 1024 * 1024
SAMPLE_EVERY = 5
REPORT_EVERY = 25
WORDS = ("river", "lantern", "harbour", "winter", "letter", "garden", "engine", "window", "market", "bridge", "silver")
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "people": {"type": "integer", "maximum": 99999}},
    "required": ["city", "people"],
    "additionalProperties": False,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the soak."""
    parser.add_argument("--requests", type=int, default=500, help="requests of the soak in this process")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--http", action="store_true", help="load `python -m app serve` instead")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=10.0)


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Do it; counts of outcomes, and megabytes of the worker and of this process."""
    if options.http:
        return serve_and_load(settings, options.clients, options.minutes * 60, options.seed)
    loaded = replace(engine_options(settings), cache_bytes=CACHE_BYTES, states="")
    engine = open_engine(settings, options=loaded)
    if not isinstance(engine, LocalEngine):
        raise SettingError(Bilingual("The soak is of a model on this machine.", "该测试只针对本机模型。"))
    with closing(engine):
        return _soak(engine, options.requests, random.Random(options.seed))  # noqa: S311 - no secret depends on it


def _soak(engine: LocalEngine, requests: int, chance: random.Random) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    own, worker = list[float](), list[float]()
    pids = set[int]()
    for number in range(requests):
        kind = chance.choice(list(_KINDS))
        outcomes[f"{kind}: {_KINDS[kind](engine, chance)}"] += 1
        pids.add(engine.worker_pid or 0)
        if number % SAMPLE_EVERY == 0:
            own.append(_megabytes(None))
            worker.append(_megabytes(engine.worker_pid))
        if number % REPORT_EVERY == 0:
            print(f"{number}: worker {worker[-1]:.0f} MB", file=sys.stderr, flush=True)  # noqa: T201 a run of minutes
    return {
        "requests": requests,
        "outcomes": dict(sorted(outcomes.items())),
        "worker_starts": len(pids),
        "worker_megabytes": _flatness(worker),
        "application_megabytes": _flatness(own),
    }


def _megabytes(pid: int | None) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def _flatness(samples: list[float]) -> dict[str, float]:
    """Medians of the second and of the last fifth: the first fifth fills caches that are meant to be filled."""
    fifth = max(len(samples) // 5, 1)
    early, late = statistics.median(samples[fifth : 2 * fifth] or samples), statistics.median(samples[-fifth:])
    return {"early": round(early, 1), "late": round(late, 1), "growth": round(late / early - 1, 4)}


# --- one request of each kind --------------------------------------------------------------------------------------


def _text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choice(WORDS) for _ in range(words))


def _request(chance: random.Random, words: int, tokens: int, **more: Any) -> GenerationRequest:
    sampling = SamplingSettings(max_tokens=tokens, temperature=chance.choice((0.0, 0.8)), seed=chance.randrange(999))
    message = Message("user", f"Say something about {_text(chance, words)}.")
    return GenerationRequest(messages=(message,), sampling=sampling, **more)


def _end(engine: LocalEngine, request: GenerationRequest, wanted: Callable[[], bool] = lambda: True) -> str:
    end = ""
    for event in engine.generate(request, lambda: not wanted()):
        end = event.reason if isinstance(event, GenerationFinished) else end
    return end


def _short(engine: LocalEngine, chance: random.Random) -> str:
    return _end(engine, _request(chance, 6, 12))


def _long_prompt(engine: LocalEngine, chance: random.Random) -> str:
    return _end(engine, _request(chance, chance.randrange(100, 500), 4))


def _structured(engine: LocalEngine, chance: random.Random) -> str:
    return _end(engine, _request(chance, 5, 40, json_schema=SCHEMA))


def _with_adapter(engine: LocalEngine, chance: random.Random) -> str:
    return _end(engine, _request(chance, 20, 8, adapter="grounded"))


def _scored(engine: LocalEngine, chance: random.Random) -> str:
    return f"{len(engine.log_probabilities('The sea is', ' ' + _text(chance, 1))) > 0}"


def _cancelled(engine: LocalEngine, chance: random.Random) -> str:
    """Stopped after a random time, in any phase."""
    until = time.perf_counter() + chance.random() * 0.8
    return _end(engine, _request(chance, chance.randrange(5, 500), 200), lambda: time.perf_counter() < until)


def _abandoned(engine: LocalEngine, chance: random.Random) -> str:
    """The caller goes away at some piece of text."""
    pieces, most = 0, chance.randrange(0, 8)
    events = engine.generate(_request(chance, 30, 200))
    for event in events:
        pieces += isinstance(event, GeneratedText)
        if pieces >= most:
            break
    events.close()
    return "gone"


def _together(engine: LocalEngine, chance: random.Random) -> str:
    """Three callers at once."""
    requests = [_request(chance, 8, 6) for _ in range(3)]
    threads = [threading.Thread(target=_end, args=(engine, request)) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return "answered"


_KINDS: dict[str, Callable[[LocalEngine, random.Random], str]] = {
    "short": _short,
    "long prompt": _long_prompt,
    "schema": _structured,
    "adapter": _with_adapter,
    "scored": _scored,
    "cancelled": _cancelled,
    "abandoned": _abandoned,
    "together": _together,
}
