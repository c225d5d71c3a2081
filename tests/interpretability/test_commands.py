"""Every `python -m interpretability ...` on the default model; what it prints is what the other tests check."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.config import Settings
from core.errors import SettingError
from inference.extensions import ExtensibleEngine
from interpretability.__main__ import COMMANDS, parser, run
from interpretability.plain import to_plain
from retrieval.store import CollectionStore
from tests.retrieval.conftest import document
from training.adapters import bundled

Command = Callable[..., dict[str, Any]]
HARBOUR = "The lighthouse of Karvo is painted bright green."
LIBRARY = "The library of Ellerton was founded in 1874."
KARVO = ["What colour is it?", "--passage", LIBRARY, "--passage", HARBOUR, "--answer", HARBOUR]


@pytest.fixture(scope="module")
def ask(engine: ExtensibleEngine, tmp_path_factory: pytest.TempPathFactory) -> Command:
    home = tmp_path_factory.mktemp("home")

    def asked(*arguments: str) -> dict[str, Any]:
        result = to_plain(run(parser().parse_args(arguments), engine, Settings(home=home)))
        json.dumps(result)
        return dict(result)

    return asked


def test_check(ask: Command):
    assert ask("check")["abilities"] == {"hidden": True, "attention": True, "notice": None}


def test_tokens_and_the_bill(ask: Command):
    found = ask("tokens", "Hello world", "--as-chat", "--rate", "2", "--answer-tokens", "100", "--answer-rate", "5")
    assert [token["text"] for token in found["tokens"]][:2] == ["<|im_start|>", "system"]
    assert found["tokens_by_origin"]["question"] == 2
    assert sum(found["tokens_by_origin"].values()) == len(found["tokens"])
    assert found["price"] == pytest.approx((2 * len(found["tokens"]) + 500) / 1e6)
    assert found["merges"][" world"][-1] == [" world"]
    english, chinese = found["parallel"].values()
    assert english > chinese  # this model's list of tokens was learnt from English


def test_embeddings(ask: Command):
    found = ask("embeddings", " Paris England", "--minus", " France", "--top", "3")
    assert found["nearest"][0]["token"] == " London"
    assert found["angles"][0][0] == 0
    assert len(found["map"]["points"]) == 2


def test_positions(ask: Command):
    found = ask("positions", "One two three", "--layer", "2")
    assert found["input_matrix"] == [3, 576]
    assert max(found["degrees"]["Q"][0]) < 0.1 < min(found["degrees"]["Q"][2])


def test_attention(ask: Command):
    mean, one = ask("attention", "One two", "--layer", "3"), ask("attention", "One two", "--head", "1")
    assert mean["weights"][0] == [1, 0]
    assert sum(one["weights"][1]) == pytest.approx(1, abs=1e-4)


def test_layers(ask: Command):
    found = ask("layers")
    assert len(found["lens"]) == len(found["relative_change"]) + 1 == 31
    assert found["lens"][-1][0]["token"] == " Paris"


def test_sampling(ask: Command):
    greedy = ask("sampling")
    assert greedy["drawn"]["token"] == " Paris"
    warm = ask("sampling", "--temperature", "1.2", "--top-k", "7", "--top-p", "0.9", "--min-p", "0.1")
    assert [stage["stage"] for stage in warm["stages"]] == ["model", "top_k", "top_p", "min_p", "temperature"]
    assert warm["stages"][1]["left"] == 7


def test_the_loop_and_its_branch(ask: Command):
    straight = ask("loop", "--steps", "3")
    assert straight["text"].startswith(" Paris")
    branched = ask("loop", "--steps", "3", "--branch", "1:2")
    assert branched["text"].startswith(straight["candidates"][0][1]["token"])
    assert len(branched["candidates"]) == 3


def test_passages(ask: Command):
    found = ask("passages", *KARVO, "--cell", "1:2", "--layer", "8")
    assert found["used"] == 2
    assert found["nats"][1] > found["nats"][0]
    assert found["attention"]["sentences"] == [HARBOUR]
    assert "".join(found["rows"]) == HARBOUR
    assert found["grounding"] > 5
    assert "Karvo" in "".join(found["columns"])
    assert len(found["weights"]) == len(found["rows"])
    with pytest.raises(SettingError):
        ask("passages", "What?")


def test_comparisons(ask: Command, gguf: Path):
    adapter = ask("compare", "--adapter", str(bundled() / "grounded" / "adapter.gguf"))
    assert adapter["divergence_bits"] > 0
    assert len(adapter["layer_distance"]) == 31
    steered = ask("compare", "--positive", "I love it", "--negative", "I hate it", "--strength", "0.3")
    assert steered["divergence_bits"] > 0
    assert steered["changes"][0]["token"]
    same = ask("compare", "--other-model", str(gguf), "--top", "2")
    assert same["divergence_bits"] < 1e-6
    assert same["next"] == same["next_of_other"]
    with pytest.raises(SettingError):
        ask("compare")


def test_the_dog_and_the_documents(engine: ExtensibleEngine, tmp_path: Path):
    settings = Settings(home=tmp_path)

    def dog(*arguments: str) -> dict[str, Any]:
        return dict(to_plain(run(parser().parse_args(["dog", *arguments]), engine, settings)))

    found = dog()
    assert found["P(eat | run)"] == found["next"]["eat"] == 0.5  # four of the eight words that follow "run"
    assert "dog" in found["words"]
    with CollectionStore(settings.paths.collection("notes"), writable=True, name="notes") as store:
        store.put_document(*document("/notes/a.txt", "The ship sails at noon.", "The ship rests. The crew sleeps."))
    own = dog("--collection", "notes", "--given", "ship", "--word", "sails")
    assert own["P(sails | ship)"] == own["next"]["rests"] == 0.5
    assert own["words"][0] == "the"


def test_parameters(ask: Command):
    found = ask("parameters", "--measure")
    assert found["n_parameters"] == 134_515_008
    assert found["measured"]["sha256"] == found["before"]
    assert found["measured"]["seconds"] > 0
    assert found["kv_bytes_per_token"] <= found["measured"]["kv_bytes_per_token"] <= found["kv_bytes_per_token"] + 64


def test_the_tour(ask: Command):
    found = ask("tour")
    assert len(found) == 11
    assert all(stop["sentence"]["zh"] for stop in found.values())


def test_no_command_is_left_out():
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f'"{name}"' not in source] == []


def test_a_real_process_prints_one_json_object():
    command = [sys.executable, "-m", "interpretability", "sampling", "The capital of France is", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert json.loads(done.stdout.splitlines()[-1])["drawn"]["token"] == " Paris"
    wrong = subprocess.run([*command[:3], "compare"], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert (wrong.returncode, "--adapter" in wrong.stderr) == (1, True)
