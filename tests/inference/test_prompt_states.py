"""Beginnings kept on disk: found by their tokens, refused when damaged or foreign, and worth what they cost."""

from pathlib import Path

import numpy as np

from core.config import Settings
from core.types import Message, SamplingSettings
from inference.prompt_states import PromptStates
from inference.protocol import GenerationRequest
from inference.runtime import open_engine
from tests.inference.collect import finished, text_of

STATE = np.arange(1000, dtype=np.uint8)
TOKENS = list(range(100, 150))


def test_the_longest_beginning_is_found_by_another_process(tmp_path: Path):
    states = PromptStates(tmp_path, "m1")
    states.keep(TOKENS[:35], "", STATE[:10])
    states.keep(TOKENS, "", STATE)
    again = PromptStates(tmp_path, "m1")
    found = again.find([*TOKENS, 7, 8], "", 0)
    assert found is not None
    assert found.tokens == tuple(TOKENS)
    read = again.read(found)
    assert read is not None
    assert (read == STATE).all()
    shorter = again.find([*TOKENS[:40], 1], "", 0)
    assert shorter is not None
    assert len(shorter.tokens) == 35
    assert again.find([*TOKENS[:40], 1], "", 35) is None


def test_another_model_or_adapter_finds_nothing(tmp_path: Path):
    PromptStates(tmp_path, "m1").keep(TOKENS, "a", STATE)
    assert PromptStates(tmp_path, "m2").find([*TOKENS, 1], "a", 0) is None
    assert PromptStates(tmp_path, "m1").find([*TOKENS, 1], "", 0) is None
    assert PromptStates(tmp_path, "m1").find([*TOKENS, 1], "a", 0) is not None


def test_a_damaged_file_is_deleted_and_never_restored(tmp_path: Path):
    PromptStates(tmp_path, "m1").keep(TOKENS, "", STATE)
    (path,) = tmp_path.glob("*.state")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    states = PromptStates(tmp_path, "m1")
    found = states.find([*TOKENS, 1], "", 0)
    assert found is not None
    assert states.read(found) is None
    assert not path.exists()
    assert states.find([*TOKENS, 1], "", 0) is None


def test_what_is_not_ours_is_removed_from_the_folder(tmp_path: Path):
    (tmp_path / "odd.state").write_bytes(b"\x10\x00\x00\x00not json")
    assert PromptStates(tmp_path, "m1").find([*TOKENS, 1], "", 0) is None
    assert not list(tmp_path.iterdir())


def test_only_what_is_long_enough_and_not_stored_yet_is_worth_a_file(tmp_path: Path):
    states = PromptStates(tmp_path, "m1")
    assert not states.is_worth_keeping(TOKENS[:31], "")
    assert states.is_worth_keeping(TOKENS, "")
    states.keep(TOKENS[:45], "", STATE)
    assert not states.is_worth_keeping(TOKENS, "")
    assert states.is_worth_keeping(TOKENS, "another")
    assert not states.is_worth_keeping(list(range(2000)), "")


def test_the_oldest_files_make_room(tmp_path: Path):
    states = PromptStates(tmp_path, "m1", budget_bytes=3000)
    for first in range(5):
        states.keep([first, *TOKENS], "", STATE)
    assert sum(path.stat().st_size for path in tmp_path.glob("*.state")) <= 3000
    assert PromptStates(tmp_path, "m1").find([4, *TOKENS, 1], "", 0) is not None


def test_after_a_restart_the_system_prompt_is_not_read_again(settings: Settings, tmp_path: Path):
    system = Message("system", "You are a careful clerk of a small library by the sea. " * 4)

    def ask(text: str) -> GenerationRequest:
        return GenerationRequest(messages=(system, Message("user", text)), sampling=SamplingSettings(max_tokens=8))

    own = settings.model_copy(update={"home": tmp_path})
    engine = open_engine(own)
    first, other = ask("What is a river?"), ask("How tall is a horse?")
    expected = [text_of(engine.generate(request)) for request in (first, other)]
    shared = finished(engine.generate(first)).usage.cached_tokens
    engine.close()
    assert list((own.paths.cache / "prompt-states").glob("*.state"))
    events = list(engine.generate(first))
    assert 32 <= finished(events).usage.cached_tokens <= shared
    assert text_of(events) == expected[0]
    assert text_of(engine.generate(other)) == expected[1]
    engine.close()
