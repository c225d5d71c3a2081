"""A tuning is used by default, undone at a word, and never trusted when anything about it changed."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.config import Settings, load_settings
from core.types import Message, SamplingSettings
from inference.engine_options import LoadOptions
from inference.file_hash import sha256_of
from inference.protocol import GenerationRequest
from inference.raw_speed import OPERATIONS as SPEED
from inference.runtime import load_options, open_engine
from inference.supervisor import WorkerProcess, WorkerStart
from inference.tune import MOST_PERPLEXITY, TRIALS, Candidate, Speed, _faster, _thread_counts
from inference.tuned import (
    MANIFEST,
    Tuning,
    find_tuning,
    forget_tuning,
    machine_name,
    save_tuning,
    tuned_options,
    tuning_folder,
)
from tests.inference.collect import text_of

SHA = "ab" * 32


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path, n_ctx=1024)


def tuning(**changes: object) -> Tuning:
    return replace(Tuning(SHA, machine_name(), 2, 256, True, "f16"), **changes)  # type: ignore[arg-type]


def test_it_is_found_again_and_changes_the_options(own: Settings):
    save_tuning(own, tuning(n_threads=3, kv_type="q8_0", figures={"prompt_ratio": 2.5}))
    found = find_tuning(own, SHA)
    assert found is not None
    assert found.figures == {"prompt_ratio": 2.5}
    options = tuned_options(LoadOptions("/m.gguf"), own, SHA)
    assert (options.n_threads, options.n_batch, options.kv_type, options.path) == (3, 256, "q8_0", "/m.gguf")
    by_hand = own.model_copy(update={"n_threads": 1})
    assert tuned_options(LoadOptions("/m.gguf"), by_hand, SHA).n_threads == 1


def test_without_one_the_options_stay_as_they_are(own: Settings):
    options = LoadOptions("/m.gguf", n_threads=5)
    assert tuned_options(options, own, SHA) == options
    assert not forget_tuning(own, SHA)


def test_the_copy_is_run_and_the_original_remembered(own: Settings):
    folder = tuning_folder(own, SHA)
    folder.mkdir(parents=True)
    (folder / "Q8_0.gguf").write_bytes(b"12345")
    save_tuning(own, tuning(copy="Q8_0.gguf", copy_bytes=5))
    options = tuned_options(LoadOptions("/m.gguf"), own, SHA)
    assert (options.path, options.original) == (str(folder / "Q8_0.gguf"), "/m.gguf")
    (folder / "Q8_0.gguf").write_bytes(b"1234")
    assert tuned_options(LoadOptions("/m.gguf"), own, SHA).path == "/m.gguf"
    assert forget_tuning(own, SHA)
    assert not folder.exists()


@pytest.mark.parametrize("changes", [{"machine": "another"}, {"model_sha256": "cd" * 32}])
def test_one_of_another_machine_or_model_is_not_used(own: Settings, changes: dict[str, str]):
    path = save_tuning(own, tuning(**changes))
    place = tuning_folder(own, SHA) / MANIFEST
    place.parent.mkdir(parents=True, exist_ok=True)
    path.replace(place)
    assert find_tuning(own, SHA) is None


def test_a_damaged_manifest_is_as_none(own: Settings):
    save_tuning(own, tuning()).write_text('{"model_sha256": 5')
    assert find_tuning(own, SHA) is None


def test_a_trial_wins_only_where_a_whole_answer_becomes_clearly_faster():
    slow = Candidate(LoadOptions("/m"), Speed(200, 100), 10.0)
    noise = Candidate(LoadOptions("/m", n_batch=256), Speed(203, 100), 10.0)
    fast = Candidate(LoadOptions("/m", n_batch=128), Speed(400, 95), 10.0)
    assert slow.speed.turn_seconds == pytest.approx(6.0)
    assert _faster(slow, noise) is slow
    assert _faster(slow, fast) is fast
    assert _thread_counts(2) == [1, 2]
    assert _thread_counts(1) == [1]
    assert MOST_PERPLEXITY == 1.01
    assert set(SPEED) == {"raw_speed"}


@pytest.fixture(scope="module")
def tuned_copy(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, str]:
    """The default model with a real copy in eight bits, as `tune` leaves it."""
    own = load_settings(home=tmp_path_factory.mktemp("tuned"), n_ctx=1024)
    digest = sha256_of(model_path, own.paths.cache)
    target = tuning_folder(own, digest) / "Q8_0.gguf"
    target.parent.mkdir(parents=True)
    worker = WorkerProcess(WorkerStart(load_options(own, model_path), extensions=(TRIALS,)))
    order = {"target": str(target), "quantisation": "Q8_0"}
    worker.send({"do": "call", "operation": f"{TRIALS}:write_copy", "params": order}).next(300)
    worker.stop()
    save_tuning(own, tuning(model_sha256=digest, copy=target.name, copy_bytes=target.stat().st_size))
    return own, digest


def test_the_engine_runs_the_copy_and_is_still_the_same_model(tuned_copy: tuple[Settings, str], model_path: Path):
    own, digest = tuned_copy
    engine = open_engine(own, extensions=("tests.inference.sample_extension", TRIALS))
    assert (engine.info.sha256, engine.info.path) == (digest, str(model_path))
    assert (engine.info.quantisation, engine.info.details["runs_as"]) == ("Q4_1", "Q8_0")
    request = GenerationRequest(
        messages=(Message("user", "What is the capital of France?"),),
        sampling=SamplingSettings(max_tokens=12),
        adapter="grounded",
    )
    # The adapter is bound to the hash of the original and accepts the copy.
    assert text_of(engine.generate(request))
    # Who looks into the model gets the original: its perplexity is that of an engine that was never tuned.
    asked = {"text": "The sea is deep and blue, and the wind is strong. " * 60, "windows": 1}
    seen, _ = engine.call(f"{TRIALS}:perplexity", asked)
    engine.close()
    forget_tuning(own, digest)
    plain = open_engine(own, extensions=(TRIALS,))
    expected, _ = plain.call(f"{TRIALS}:perplexity", asked)
    assert plain.info.details["runs_as"] == "Q4_1"
    plain.close()
    assert seen["tokens"] == expected["tokens"] == 512 - 1 - 128
    assert seen["perplexity"] == pytest.approx(expected["perplexity"], rel=1e-6)
