"""The rows of the adapter `tools`: read from four public forms, rendered as the product asks, no question leaking."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.config import load_settings
from core.types import ToolCall
from inference.fakes import FakeEngine
from inference.form_filling import FormFiller
from training.examples import Example, read_examples, write_examples
from training.tool_cases import read_tool_cases
from training.tool_requests import RequestMaker
from training.tool_rows import filled_form, sentences_about, tool_examples

HOTEL: dict[str, Any] = {
    "name": "book_hotel",
    "description": "Book a hotel.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "the city"},
            "nights": {"type": "integer"},
            "view": {"type": "string", "enum": ["sea", "garden"]},
        },
        "required": ["city"],
    },
}
TAXI = {"name": "taxi", "description": "Call a taxi.", "parameters": {"type": "object", "properties": {}}}
QUESTION = "Book a hotel in Lisbon for 3 nights"


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def call(**arguments: Any) -> ToolCall:
    return ToolCall("", "book_hotel", arguments)


def test_a_row_is_what_the_product_asks_the_model_line_by_line() -> None:
    question = "Book a hotel in Lisbon or Faro for 3 nights, with a garden view, in the Old Town"
    example = filled_form(question, HOTEL, call(city="Lisbon", nights=3, view="garden"))
    assert example is not None
    answers = [text for text, trained in example.pieces if trained]
    # Nights and view are not asked for: the grammar leaves no choice.
    assert answers == [' "Lisbon"\n']
    # The product, answered with the very lines of the row, gives the model the very texts between them.
    engine = FakeEngine(answers)
    arguments, _ = FormFiller(engine, "tools").fill(question, HOTEL)
    assert arguments == {"city": "Lisbon", "nights": 3, "view": "garden"}
    text = "".join(piece for piece, _ in example.pieces)
    assert [request.prompt + answer for request, answer in zip(engine.requests, answers, strict=True)] == [text]


def test_what_the_grammar_forbids_is_shown_and_not_learned() -> None:
    properties = {**HOTEL["parameters"]["properties"], "street": {"type": "string"}}
    two = {**HOTEL, "parameters": {"properties": properties, "required": ["city", "street"]}}
    question = "Book a hotel in Lisbon or Faro, Long Road or Short Road, 2 nights"
    example = filled_form(question, two, call(city="Porto", street="Long Road", nights=2))
    assert example is not None
    assert [text for text, trained in example.pieces if trained] == [' "Long Road"\n']
    assert filled_form(QUESTION, HOTEL, call(nights=3)) is None, "a required value is missing"
    whole = filled_form("Book a hotel in Lisbon for 2 nights", HOTEL, call(city="Lisbon", nights=2))
    assert whole is None, "nothing to learn: the grammar writes every line"


def test_of_a_question_for_several_calls_a_form_gets_the_sentences_about_it() -> None:
    calls = (call(city="Lisbon"), ToolCall("", "taxi", {"place": "the station"}))
    question = "Book a hotel in Lisbon. Then call a taxi to the station. Thank you."
    assert sentences_about(question, calls[0], calls) == "Book a hotel in Lisbon."
    assert sentences_about(question, calls[1], calls) == "Then call a taxi to the station."
    assert sentences_about(question, calls[0], calls[:1]) == question
    assert sentences_about(question, ToolCall("", "pay", {"sum": 5}), calls) == question


def test_requests_made_by_rule_say_every_value_and_the_form_does_not_give_it_away() -> None:
    ship = {"type": "string", "description": "The ship (e.g., Fram, Gjoa, etc.)"}
    port = {"type": "string", "description": "Where it starts (such as 'Tromso', Bergen)"}
    parameters = {"ship": ship, "port": port, "crew": {"type": "integer", "description": "How many"}}
    sail = {
        "name": "sail",
        "description": "Send a ship",
        "parameters": {"type": "object", "properties": parameters, "required": ["ship"]},
    }
    cases = list(RequestMaker([sail], 3).requests(60))
    assert [case.question for case in cases] == [case.question for case in RequestMaker([sail], 3).requests(60)]
    assert len({case.question for case in cases}) > 40
    forms = [filled_form(case.question, case.functions[0], case.calls[0]) for case in cases]
    assert sum(form is not None for form in forms) > 50, "most can be written by the rules of the product"
    for case in cases:
        arguments = case.calls[0].arguments
        assert arguments["ship"] in ("Fram", "Gjoa")
        assert all(str(value) in case.question for value in arguments.values())
        shown = case.functions[0]["parameters"]["properties"]
        assert all(str(value) not in shown[name]["description"] for name, value in arguments.items())


def test_rows_survive_the_file(tmp_path: Path) -> None:
    example = filled_form("Book a hotel in Lisbon or Faro", HOTEL, call(city="Lisbon"))
    assert isinstance(example, Example)
    write_examples(tmp_path / "rows.jsonl", [example])
    assert [row.pieces for row in read_examples(tmp_path / "rows.jsonl")] == [example.pieces]


def test_the_four_forms_become_one(tmp_path: Path) -> None:
    tools = [{"name": "ping", "description": "Ping a host", "parameters": {"host": {"type": "str"}}, "required": []}]
    written(tmp_path / "seal_tools.tools.jsonl", tools)
    seal = {"id": "s", "question": "ping box7", "calling": [{"api": "ping", "parameters": {"host": "box7"}}]}
    turns = [
        {"from": "human", "value": "Hi"},
        {"from": "gpt", "value": "Hello"},
        {"from": "human", "value": "Book Lisbon"},
        {"from": "function_call", "value": '{"name": "book_hotel", "arguments": {"city": "Lisbon", "nights": "3"}}'},
    ]
    alpaca = {
        "id": "a",
        "functions": {
            "find": 'Find it.\nParameters: {"n": "Required. integer. How many."}\nOutput: x',
            "components": "",
        },
        "instructions": [{"question": "find 3", "golden": [{"Action": "find", "Action_Input": '{"n": 3}'}]}],
    }
    talk = [
        {"role": "User", "text": "rain in Oslo?"},
        {"role": "API", "api_name": "GetRain", "param_dict": {"city": "Oslo"}},
    ]
    bank = {"id": "b", "dialogue": talk}
    rows: dict[str, dict[str, Any]] = {
        "seal_tools.dev": seal,
        "glaive": {"id": "g", "tools": [HOTEL], "conversations": turns},
        "alpaca": alpaca,
        "bank": bank,
    }
    read = {name: read_tool_cases(written(tmp_path / f"{name}.jsonl", [row]))[0] for name, row in rows.items()}
    assert {name: [(one.name, dict(one.arguments)) for one in case.calls] for name, case in read.items()} == {
        "seal_tools.dev": [("ping", {"host": "box7"})],
        "glaive": [("book_hotel", {"city": "Lisbon", "nights": 3})],
        "alpaca": [("find", {"n": 3})],
        "bank": [("GetRain", {"city": "Oslo"})],
    }
    assert read["glaive"].question == "Hi\nBook Lisbon"
    assert read["alpaca"].functions[0]["parameters"]["required"] == ["n"]


@pytest.fixture(scope="module")
def folder() -> Path:
    found = (Path(__file__).parents[2] / load_settings().eval_data / "tools").resolve()
    if not found.is_dir():
        pytest.skip("the evaluation files are not here (FOURFOLD_EVAL_DATA)")
    return found


def test_no_held_out_question_is_trained_on_and_no_reporting_set_is_read(folder: Path) -> None:
    def questions(rows: list[Example]) -> set[str]:
        return {row.pieces[0][0].split("Request: ")[1].split("\n\nForm:")[0] for row in rows}

    trained, kept = questions(tool_examples(folder)), questions(tool_examples(folder, held_out=True))
    assert len(trained) > 300
    assert not trained & kept
    for name in ("bfcl_v4_single_turn", "acebench_en", "acebench_zh"):
        text = (folder / f"{name}.dev.jsonl").read_text(encoding="utf-8")
        assert not [question for question in trained if json.dumps(question)[1:-1] in text and len(question) > 40], name
