"""What an answer cost, at prices of one's own, and comparisons that are kept and exported."""

import csv
import io
from pathlib import Path

import pytest

from core.errors import SettingError
from core.language import Bilingual
from core.types import Question, Timings, Usage
from inference.fakes import FakeEngine
from orchestrator.bill import (
    EXAMPLE_PRICES,
    PRICES_FILE,
    Price,
    bill_of,
    load_prices,
    same_in_both_languages,
    save_prices,
)
from orchestrator.compare import FOLDER, Outcome, Way, as_csv, compare, save, saved
from orchestrator.events import AnswerCompleted
from tests.orchestrator.parts import TOWER, assistant


def outcome(text: str, way: str = "rag") -> Outcome:
    return Outcome(way, text, "model", "strong", 100, 10, 1.5, 2, 1, 0)


def test_prices_are_kept_and_changed(tmp_path: Path):
    home = tmp_path / "deep" / "home"
    assert load_prices(home) == EXAMPLE_PRICES
    mine = (Price("我的", 1.5, 6.0, "CNY"), Price("theirs", 0.0, 0.0))
    save_prices(home, mine)
    assert load_prices(home) == mine


@pytest.mark.parametrize("text", ["not json", '[{"name": "x"}]', '[{"name": "x", "prompt": "dear", "completion": 1}]'])
def test_damaged_prices_name_their_file(tmp_path: Path, text: str):
    (tmp_path / PRICES_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(SettingError) as told:
        load_prices(tmp_path)
    assert PRICES_FILE in told.value.message.en
    assert PRICES_FILE in told.value.message.zh


def test_an_answer_without_a_model_costs_nothing():
    end = AnswerCompleted("The tower opened in 1889. [1]", "extractive", Usage(), Timings(total=0.1))
    bill = bill_of([end], FakeEngine())
    assert set(bill.costs.values()) == {0.0}
    assert (bill.prompt_tokens, bill.tokens_per_second, bill.seconds) == (0, 0.0, 0.1)


def test_cached_tokens_are_told_beside_those_paid_for():
    end = AnswerCompleted("x", "model", Usage(100, 10, 90), Timings(generate=0.1))
    bill = bill_of([end], FakeEngine(), [Price("p", 1.0, 0.0)])
    assert (bill.prompt_tokens, bill.cached_tokens) == (100, 90)
    assert bill.costs["p"] == pytest.approx(100 / 1_000_000)


def test_the_same_text_is_counted_in_both_languages():
    counted = same_in_both_languages(FakeEngine(), Bilingual(en="two words", zh="四个汉字"))
    assert counted["en"] == {"tokens": 2, "characters": 9, "characters_per_token": 4.5}
    assert counted["zh"] == {"tokens": 4, "characters": 4, "characters_per_token": 1.0}


def test_comparisons_are_kept_newest_first_and_rubbish_is_passed_over(tmp_path: Path):
    first = save(tmp_path, "Why?", [outcome("because")])
    second = save(tmp_path, "为什么？", [outcome("因为"), outcome("x", "prompt · mine")])
    (tmp_path / FOLDER / "bad.json").write_text("{", encoding="utf-8")
    (tmp_path / FOLDER / "other.json").write_text('{"outcomes": [{"way": 1}]}', encoding="utf-8")
    assert saved(tmp_path) == [second, first]
    assert saved(tmp_path / "nowhere") == []


def test_a_table_holds_no_formula(tmp_path: Path):
    kept = save(tmp_path, "Why?", [outcome("=HYPERLINK(1)"), outcome("plain, with a comma")])
    rows = list(csv.DictReader(io.StringIO(as_csv(kept))))
    assert [row["text"] for row in rows] == ["'=HYPERLINK(1)", "plain, with a comma"]
    assert {row["question"] for row in rows} == {"Why?"}
    assert rows[0]["prompt_tokens"] == "100"


def test_a_comparison_stops_between_two_ways(tmp_path: Path):
    who, engine, _ = assistant(tmp_path, [TOWER], "The tower opened in 1889 [1].")
    seen: list[Outcome] = []
    ways = [Way("rag"), Way("prompt"), Way("prompt", "mine")]
    for _, item in compare(who, Question("When did the tower open?"), ways, is_cancelled=lambda: len(seen) == 1):
        if isinstance(item, Outcome):
            seen.append(item)
    assert [one.way for one in seen] == ["rag"]
    assert len(engine.requests) == 1
    assert ways[2].name == "prompt · mine"
