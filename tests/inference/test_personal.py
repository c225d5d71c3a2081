"""Several people before one engine: whose turn, whose adapters, and who may close it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from core.errors import ModelNotFoundError
from inference.adapters import OWNER, find_adapter
from inference.extensions import ExtensibleEngine
from inference.fakes import FakeEngine
from inference.local_engine import LocalEngine
from inference.personal import PersonalEngine, caller
from inference.protocol import GenerationEvent, GenerationRequest

ANN, BOB = "a" * 32, "b" * 32
HOSTILE = [
    f"{BOB}/secret",
    f"../{BOB}/secret",
    f"../../{BOB}/adapters/secret",
    "..",
    "../secret",
    "/etc/passwd",
    f"{OWNER}/secret",
    "secret/",
    "secret\x00",
    "secret\n",
    "Secret/../secret",
]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, ...]:
    for owner, name in ((ANN, "mine"), (BOB, "secret")):
        file = tmp_path / "people" / owner / "adapters" / name / "adapter.gguf"
        file.parent.mkdir(parents=True)
        file.touch()
    everybody = tmp_path / "bundled" / "grounded" / "adapter.gguf"
    everybody.parent.mkdir(parents=True)
    everybody.touch()
    return tmp_path / "people" / OWNER / "adapters", tmp_path / "bundled"


def asked_of(engine: Any, name: str) -> str:
    """The name under which a request for an adapter reaches the engine below."""
    list(PersonalEngine(cast(ExtensibleEngine, engine), ANN).generate(GenerationRequest(prompt="x", adapter=name)))
    return str(engine.requests[-1].adapter)


def test_a_person_finds_the_own_adapters_and_everybodys(folders: tuple[Path, ...]):
    engine = FakeEngine()
    assert ANN in str(find_adapter(asked_of(engine, "mine"), folders))
    assert find_adapter(asked_of(engine, "grounded"), folders).parent.parent == folders[1]
    assert asked_of(engine, "") == ""


@pytest.mark.parametrize("name", ["secret", *HOSTILE])
def test_no_name_leads_to_the_adapter_of_another(folders: tuple[Path, ...], name: str):
    with pytest.raises(ModelNotFoundError) as caught:
        find_adapter(asked_of(FakeEngine(), name), folders)
    assert str(folders[1]) not in str(caught.value)


@pytest.mark.parametrize("name", ["secret", *HOSTILE])
def test_without_a_person_no_folder_of_people_is_looked_at(folders: tuple[Path, ...], name: str):
    if name != f"{BOB}/secret":
        with pytest.raises(ModelNotFoundError):
            find_adapter(name, folders)


def test_every_request_says_who_asks_and_nothing_else_does():
    seen: list[str] = []

    class Listening(FakeEngine):
        def generate(
            self, request: GenerationRequest, is_cancelled: Callable[[], bool] = lambda: False
        ) -> Iterator[GenerationEvent]:
            seen.append(caller())
            yield from super().generate(request, is_cancelled)

        def log_probabilities(self, prompt: str, continuation: str, adapter: str = "") -> list[float]:
            seen.append(f"{caller()} {adapter}")
            return super().log_probabilities(prompt, continuation, adapter)

    engine = PersonalEngine(cast(ExtensibleEngine, Listening(["one two three"])), ANN)
    for _ in engine.generate(GenerationRequest(prompt="x")):
        # What the reader does between two events is not asked by the engine's person.
        seen.append(caller())
    engine.log_probabilities("a", "b", "mine")
    assert seen[0] == ANN
    assert set(seen[1:-1]) == {""}
    assert seen[-1] == f"{ANN} {ANN}/mine"


def test_a_person_does_not_end_the_engine_of_the_others(engine: LocalEngine):
    mine = PersonalEngine(engine, ANN)
    assert mine.tokenize("a fox")
    before = engine.worker_pid
    mine.close()
    assert engine.worker_pid == before is not None


@pytest.mark.parametrize("name", HOSTILE)
def test_the_real_worker_refuses_hostile_names(engine: LocalEngine, name: str):
    with pytest.raises(ModelNotFoundError):
        list(PersonalEngine(engine, ANN).generate(GenerationRequest(prompt="x", adapter=name)))
