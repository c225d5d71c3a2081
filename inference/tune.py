"""Finds by measurement how one model runs fastest on this machine, and keeps what it found (`inference.tuned`).

A requantised copy is kept only where it predicts the project's own documentation as well as the original does: its
perplexity may be at most 1 % higher. Everything is compared by the seconds of a typical answer over documents.
"""

import math
import queue
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from core.config import Settings
from core.errors import ModelCrashedError, ModelError
from core.language import Bilingual
from inference.engine_options import LoadOptions
from inference.file_hash import sha256_of
from inference.gguf_file import read_gguf_header
from inference.runtime import load_options, model_languages, model_path
from inference.supervisor import ROOT, WorkerProcess, WorkerStart
from inference.tuned import Tuning, forget_tuning, machine_name, save_tuning, tuning_folder

SPEED, TRIALS = "inference.raw_speed", "inference.tuning_trials"
# A question over documents: passages and history are read, a short answer is written.
TURN_PROMPT, TURN_ANSWER = 1000, 100
PROMPT_TOKENS, NEW_TOKENS, ROUNDS = 512, 48, 4
MOST_PERPLEXITY = 1.01
WINDOWS = 12
# What is not this much faster may be noise.
MARGIN = 0.97
# Types for which llama.cpp has its own kernels on some processors. Rows that Q6_K does not divide become Q8_0.
COPIES = ("Q8_0", "Q6_K", "IQ4_NL", "Q4_0")
BATCHES = (512, 256, 128)
TRIAL_SECONDS = 900.0

Tell = Callable[[Bilingual], None]


@dataclass(frozen=True)
class Speed:
    """Tokens per second of reading a prompt and of writing."""

    prompt: float
    generate: float

    @property
    def turn_seconds(self) -> float:
        """How long a typical answer takes: what the trials are compared by."""
        return TURN_PROMPT / self.prompt + TURN_ANSWER / self.generate


@dataclass(frozen=True)
class Candidate:
    """A way to run the model, with what was measured of it."""

    options: LoadOptions
    speed: Speed
    perplexity: float


def tune(settings: Settings, tell: Tell = lambda _: None) -> Tuning:
    """Measure, keep the best, and return it; minutes for a small model. An earlier tuning of the model is replaced.

    Raises ModelError and its children. A trial that fails (a copy that llama.cpp refuses, a KV type that it does not
    know) is told and left out.
    """
    path = model_path(settings)
    digest = sha256_of(path, settings.paths.cache)
    forget_tuning(settings, digest)
    folder = tuning_folder(settings, digest)
    folder.mkdir(parents=True, exist_ok=True)
    trial = _Trial(load_options(settings, path), _text(settings, path), tell)
    try:
        start = trial.measured(trial.plain, judge=True)
        best = trial.best_copy(start, folder)
        best = trial.best_options(best, start, settings)
        figures = _figures(start, best, trial)
    except BaseException:
        forget_tuning(settings, digest)
        raise
    return _keep(settings, digest, best, start, figures)


def _keep(settings: Settings, digest: str, best: Candidate, start: Candidate, figures: Mapping[str, Any]) -> Tuning:
    options = best.options
    copy = Path(options.path) if options.path != start.options.path else None
    folder = tuning_folder(settings, digest)
    for left in folder.glob("*.gguf"):
        if left != copy:
            left.unlink()
    tuning = Tuning(
        model_sha256=digest,
        machine=machine_name(),
        n_threads=options.n_threads,
        n_batch=options.n_batch,
        flash_attention=options.flash_attention,
        kv_type=options.kv_type,
        copy=copy.name if copy else "",
        copy_bytes=copy.stat().st_size if copy else 0,
        figures=figures,
    )
    save_tuning(settings, tuning)
    return tuning


def _figures(start: Candidate, best: Candidate, trial: "_Trial") -> dict[str, Any]:
    """Both ways once more, in turns, so that the ratio is of one and the same hour."""
    before, after = trial.side_by_side(start.options, best.options)
    return {
        "prompt_tokens_per_second": [round(before.prompt, 1), round(after.prompt, 1)],
        "generated_tokens_per_second": [round(before.generate, 1), round(after.generate, 1)],
        "perplexity": [round(start.perplexity, 4), round(best.perplexity, 4)],
        "prompt_ratio": round(after.prompt / before.prompt, 2),
        "generated_ratio": round(after.generate / before.generate, 2),
        "perplexity_ratio": round(best.perplexity / start.perplexity, 4),
        "file_bytes": [Path(start.options.path).stat().st_size, Path(best.options.path).stat().st_size],
    }


class _Trial:
    """Runs trials, each in a worker of its own: a load option holds for the life of a worker."""

    def __init__(self, plain: LoadOptions, text: str, tell: Tell) -> None:
        self.plain = replace(plain, n_ctx=min(plain.n_ctx, 2048))
        self._text = text
        self._tell = tell

    def measured(self, options: LoadOptions, judge: bool = False, known: float = 0.0) -> Candidate:
        """Speed of those options; with `judge` the perplexity too, otherwise the `known` one is taken over."""
        with _worker(options) as worker:
            speed = _speed(worker, ROUNDS)
            perplexity = self._perplexity(worker) if judge else known
        self._say(options, speed, perplexity)
        return Candidate(options, speed, perplexity)

    def side_by_side(self, one: LoadOptions, other: LoadOptions) -> tuple[Speed, Speed]:
        """The speeds of two ways, measured in turns."""
        with _worker(one) as left, _worker(other) as right:
            pairs = [(_speed(left, 1), _speed(right, 1)) for _ in range(ROUNDS)]
        first, second = ([pair[side] for pair in pairs] for side in (0, 1))
        return _best(first), _best(second)

    def best_copy(self, start: Candidate, folder: Path) -> Candidate:
        """The fastest of the original and its copies among those that answer as well."""
        best = start
        for quantisation in self._worth_a_copy(start.options, folder):
            target = folder / f"{quantisation}.gguf"
            found = self._tried(partial(self._copy, start, best, target, quantisation))
            if found is not None and found.perplexity <= MOST_PERPLEXITY * start.perplexity:
                best = _faster(best, found)
        return best

    def _copy(self, start: Candidate, best: Candidate, target: Path, quantisation: str) -> Candidate:
        """The copy as it was measured; one that is not faster is not judged, and then no answer of it is trusted."""
        with _worker(start.options) as worker:
            _ask(worker, f"{TRIALS}:write_copy", {"target": str(target), "quantisation": quantisation})
        options = replace(start.options, path=str(target))
        with _worker(options) as worker:
            found = Candidate(options, _speed(worker, ROUNDS), math.inf)
            if _faster(best, found) is found:
                found = replace(found, perplexity=self._perplexity(worker))
        self._say(options, found.speed, found.perplexity)
        return found

    def _worth_a_copy(self, options: LoadOptions, folder: Path) -> tuple[str, ...]:
        header = read_gguf_header(Path(options.path))
        # A copy in 8 bits is at most this large, whatever the original was.
        room = shutil.disk_usage(folder).free > 2 * header.n_parameters
        with _worker(options) as worker:
            on_gpu = bool(worker.facts["gpu_layers"])
        if on_gpu or not room or not self._text:
            return ()
        return tuple(name for name in COPIES if name != header.quantisation)

    def best_options(self, best: Candidate, start: Candidate, settings: Settings) -> Candidate:
        """Threads, batch, flash attention and KV type, one after the other."""
        threads = [settings.n_threads] if settings.n_threads else _thread_counts(self.plain.n_threads)
        choices: list[dict[str, Any]] = [{"n_threads": n, "n_threads_batch": n} for n in threads]
        choices += [{"n_batch": size} for size in BATCHES]
        choices += [{"flash_attention": False}, {"kv_type": "q8_0"}]
        for change in choices:
            options = replace(best.options, **change)
            if options != best.options:
                best = self._better(best, options, start)
        return best

    def _better(self, best: Candidate, options: LoadOptions, start: Candidate) -> Candidate:
        # Only another KV type changes what the model computes.
        judge = options.kv_type != best.options.kv_type
        found = self._tried(partial(self.measured, options, judge, best.perplexity))
        if found is None or found.perplexity > MOST_PERPLEXITY * start.perplexity:
            return best
        return _faster(best, found)

    def _tried(self, attempt: Callable[[], Candidate]) -> Candidate | None:
        try:
            return attempt()
        except ModelError as error:
            self._tell(error.message)
            return None

    def _perplexity(self, worker: WorkerProcess) -> float:
        if not self._text:
            return 1.0
        return float(_ask(worker, f"{TRIALS}:perplexity", {"text": self._text, "windows": WINDOWS})["perplexity"])

    def _say(self, options: LoadOptions, speed: Speed, perplexity: float) -> None:
        name = Path(options.path).stem
        how = f"{options.n_threads} × {options.n_batch}, FA {options.flash_attention:d}, KV {options.kv_type}"
        said = f"{name} ({how}): {speed.prompt:.0f} / {speed.generate:.0f} tok/s"
        if perplexity == math.inf:
            self._tell(Bilingual(f"{said}, not faster", f"{said}，没有更快"))
            return
        self._tell(Bilingual(f"{said}, perplexity {perplexity:.3f}", f"{said}，困惑度 {perplexity:.3f}"))


@contextmanager
def _worker(options: LoadOptions) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(WorkerStart(options, extensions=(SPEED, TRIALS)))
    try:
        yield worker
    finally:
        worker.stop()


def _ask(worker: WorkerProcess, operation: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    replies = worker.send({"do": "call", "operation": operation, "params": dict(params)})
    try:
        values: Mapping[str, Any] = replies.next(TRIAL_SECONDS).header["values"]
    except queue.Empty as error:
        worker.kill()
        message = Bilingual("A trial took longer than 15 minutes.", "一次测量超过了 15 分钟。")
        raise ModelCrashedError(message) from error
    return values


def _speed(worker: WorkerProcess, rounds: int) -> Speed:
    sizes = {"prompt_tokens": PROMPT_TOKENS, "new_tokens": NEW_TOKENS}
    # The first turn warms the caches of the machine.
    taken = [_ask(worker, f"{SPEED}:raw_speed", sizes) for _ in range(rounds + 1)][1:]
    return _best([Speed(PROMPT_TOKENS / it["prompt_seconds"], NEW_TOKENS / it["generate_seconds"]) for it in taken])


def _best(speeds: list[Speed]) -> Speed:
    """The best of several takes: what else the machine does can only slow one down."""
    return Speed(max(it.prompt for it in speeds), max(it.generate for it in speeds))


def _faster(best: Candidate, found: Candidate) -> Candidate:
    return found if found.speed.turn_seconds < MARGIN * best.speed.turn_seconds else best


def _thread_counts(default: int) -> list[int]:
    return sorted({count for count in (default - 1, default, default // 2) if count >= 1})


def _text(settings: Settings, path: Path) -> str:
    """The project's own documentation in the languages that the model writes; empty where it is not installed."""
    languages = model_languages(read_gguf_header(path), path, settings)
    files = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))] if "en" in languages else []
    english = [file for file in files if ".zh" not in file.name]
    chinese = [ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").glob("*.zh-CN.md"))] if "zh" in languages else []
    return "\n\n".join(file.read_text(encoding="utf-8") for file in (*chinese, *english) if file.is_file())
