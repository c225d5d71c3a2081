"""How fast the model writes while documents are read in, beside an idle machine; the ingest in its own process."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

from core.config import Settings
from core.types import SamplingSettings
from inference.engine_options import LoadOptions
from inference.extensions import ExtensibleEngine
from inference.protocol import GenerationFinished, GenerationRequest
from inference.runtime import open_engine

TAKES = 6
TOKENS = 128
# Parsing, then the first batches of vectors: both phases are met.
FIRST_SECONDS, PAUSE_SECONDS = 4.0, 2.0


def measure_during_ingest(settings: Settings, loaded: LoadOptions) -> dict[str, Any]:
    """Tokens per second of writing, idle and during an ingest of English documentation, and what the ingest did."""
    with tempfile.TemporaryDirectory() as home:
        own = settings.model_copy(update={"home": Path(home)})
        with closing(open_engine(own, options=loaded)) as engine:
            _pace(engine)
            idle = [_pace(engine) for _ in range(TAKES)]
            with _ingesting(own) as process:
                during = list(_while_running(engine, process))
    return {
        "idle": round(statistics.median(idle), 1),
        "during": [round(pace, 1) for pace in during],
        "ratio": round(statistics.median(during) / statistics.median(idle), 3) if during else None,
        "least_ratio": round(min(during) / statistics.median(idle), 3) if during else None,
    }


def _while_running(engine: ExtensibleEngine, process: "subprocess.Popen[bytes]") -> Iterator[float]:
    """Takes that began and ended while the ingest ran, with pauses in which it may work."""
    time.sleep(FIRST_SECONDS)
    for _ in range(TAKES):
        pace = _pace(engine)
        if process.poll() is not None:
            return
        yield pace
        time.sleep(PAUSE_SECONDS)


@contextmanager
def _ingesting(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "ingest", str(settings.eval_data / "corpus_en")]
    environment = {**os.environ, "FOURFOLD_HOME": str(settings.home)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _pace(engine: ExtensibleEngine) -> float:
    request = GenerationRequest(prompt="Once upon a time", sampling=SamplingSettings(max_tokens=TOKENS))
    # Every generation that does not raise ends with GenerationFinished.
    *_, last = engine.generate(request)
    end = cast(GenerationFinished, last)
    return max(end.usage.completion_tokens - 1, 1) / end.timings.generate
