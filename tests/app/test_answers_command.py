"""What the terminal tells of an answer beside its text; comparisons and prices on the command line."""

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app import answers_command
from app.answer_view import AnswerView
from core.config import load_settings
from core.errors import SettingError
from core.language import Bilingual
from core.types import Chunk, Evidence, ScoredChunk, Timings, Usage
from inference.fakes import FakeEngine
from orchestrator.events import AnswerCompleted, ContextAssembled, Source, SourcesFound
from orchestrator.prompts.texts import CLOSEST

ROOT = Path(__file__).resolve().parents[2]


def parsed(add: object, *arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add(parser)  # type: ignore[operator]
    return parser.parse_args(arguments)


def sources(count: int) -> SourcesFound:
    chunks = [Chunk(str(n), "d", f"text {n}", n, 0, 6, title=f"Title {n}") for n in range(count)]
    found = tuple(Source(n, ScoredChunk(chunk, 0.5), False, CLOSEST) for n, chunk in enumerate(chunks, start=1))
    return SourcesFound(found, Evidence("none", 0.1), 40)


def test_a_refusal_shows_the_three_closest_passages_and_the_way_out(tmp_path: Path) -> None:
    end = AnswerCompleted("Not there.", "refusal", Usage(), Timings())
    view = AnswerView(found=sources(5), completed=end)
    told = answers_command.facts(view, FakeEngine(), load_settings(home=tmp_path), weigh=True)
    assert [passage["title"] for passage in told["closest"]] == ["Title 0", "Title 1", "Title 2"]
    english = answers_command.lines_beside(told, "en")
    assert english[0] == "  1. Title 0: text 0"
    assert "--mode prompt" in english[-1]
    assert "通用知识" in answers_command.lines_beside(told, "zh")[-1]


def test_thoughts_are_folded_and_counted(tmp_path: Path) -> None:
    end = AnswerCompleted("Four.", "model", Usage(10, 8), Timings(generate=2.0, total=3.0))
    engine = FakeEngine()
    view = AnswerView(thinking="two and two", completed=end)
    told = answers_command.facts(view, engine, load_settings(home=tmp_path), weigh=False)
    count = engine.count_tokens("two and two")
    assert told["bill"]["thinking_tokens"] == count
    assert answers_command.lines_beside(told, "en") == [f"(thought for {count} tokens, {count / 4:.1f} s)"]


def test_the_bill_adds_up_by_origin_and_price(tmp_path: Path) -> None:
    context = ContextAssembled("p", (), {"system": 4, "source": 6}, 100)
    view = AnswerView(context=context, completed=AnswerCompleted("x", "model", Usage(10, 2), Timings()))
    settings = load_settings(home=tmp_path)
    answers_command.run_prices(settings, parsed(answers_command.add_price_arguments, "--set", "mine", "2", "5", "EUR"))
    told = answers_command.facts(view, FakeEngine(), settings, weigh=False)
    assert told["bill"]["prompt_by_origin"] == {"system": 4, "source": 6}
    # Ten tokens at 2 and two at 5 a million: 30 millionths.
    assert told["bill"]["costs"]["mine"] == pytest.approx(30e-6)
    json.dumps(told)


def test_prices_are_set_changed_and_taken_out(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path)
    for prompt in ("1", "3"):
        arguments = parsed(answers_command.add_price_arguments, "--set", "mine", prompt, "4", "CNY")
        told, lines = answers_command.run_prices(settings, arguments)
    mine = [price for price in told["prices"] if price["name"] == "mine"]
    assert mine == [{"name": "mine", "prompt": 3.0, "completion": 4.0, "currency": "CNY"}]
    assert any("mine" in line for line in lines)
    told, _ = answers_command.run_prices(settings, parsed(answers_command.add_price_arguments, "--remove", "mine"))
    assert "mine" not in {price["name"] for price in told["prices"]}


@pytest.mark.parametrize("wrong", ["-1", "nan", "inf", "cheap"])
def test_a_price_is_a_number_from_nought_up(tmp_path: Path, wrong: str) -> None:
    arguments = argparse.Namespace(set=["mine", wrong, "4", "CNY"], remove=None)
    with pytest.raises(SettingError):
        answers_command.run_prices(load_settings(home=tmp_path), arguments)


def test_an_unknown_mode_is_named(tmp_path: Path) -> None:
    arguments = parsed(answers_command.add_compare_arguments, "Why?", "--ways", "oracle")
    with pytest.raises(SettingError) as raised:
        answers_command.run_compare(load_settings(home=tmp_path), arguments)
    assert "oracle" in raised.value.message.en
    assert isinstance(raised.value.message, Bilingual)


def test_a_comparison_is_kept_and_written_as_a_table(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    settings = load_settings(home=tmp_path / "home")
    question = "How many days of annual leave do staff have?"
    arguments = parsed(
        answers_command.add_compare_arguments, question, "--ways", "rag", "tools", "--csv", str(table), "--json"
    )
    told, lines = answers_command.run_compare(settings, arguments)
    assert [one["way"] for one in told["outcomes"]] == ["rag", "tools"]
    assert lines[0].startswith("[rag]")
    rows = list(csv.DictReader(table.read_text(encoding="utf-8-sig").splitlines()))
    assert [row["way"] for row in rows] == ["rag", "tools"]
    assert len(list((settings.paths.home / "comparisons").glob("*.json"))) == 1


def test_a_reader_that_has_seen_enough_ends_a_command_quietly(tmp_path: Path):
    command = [sys.executable, "-m", "app", "prices"]
    environment = {**os.environ, "FOURFOLD_HOME": str(tmp_path)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141
