"""`python -m evaluation benchmark WHAT`: how fast the parts are, each beside a bare baseline in the same run."""

import argparse
import importlib
import sys
from typing import Any

from core.config import Settings

BENCHMARKS = {
    "engine": "evaluation.engine_benchmark",
    "ingest": "evaluation.ingest_benchmark",
    "ingest-memory": "evaluation.ingest_memory",
    "retrieval": "evaluation.retrieval_benchmark",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A positional argument names the benchmark; the rest are its own options."""
    parser.add_argument("what", choices=sorted(BENCHMARKS))
    asked = next((word for word in sys.argv[1:] if word in BENCHMARKS), "")
    if asked:
        importlib.import_module(BENCHMARKS[asked]).add_arguments(parser)


def run(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Run the benchmark that was named."""
    result: dict[str, Any] = importlib.import_module(BENCHMARKS[options.what]).run(options, settings)
    return result
