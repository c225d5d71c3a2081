"""How a small model is kept to the question: what is offered, that every grammar is sound, the rules that judge it."""

import json
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from core.types import ToolCall
from evaluation.call_rules import calls_are_right
from inference.call_schema import accepts, function_of, json_schema
from inference.fakes import FakeEngine
from inference.form_filling import FormFiller
from inference.grounding import Grounding
from inference.value_grammar import ValueGrammar, only_line

Answers = list[dict[str, dict[str, list[Any]]]]
AREA = {
    "name": "area",
    "description": "Area of a triangle.",
    "parameters": {
        "type": "dict",
        "properties": {"base": {"type": "integer"}, "height": {"type": "float"}, "unit": {"type": "string"}},
        "required": ["base", "height"],
    },
}


@pytest.mark.parametrize(
    ("name", "text", "numbers"),
    [
        ("weight", "My weight is 70 kg and my height is 180 cm", (70,)),
        ("b", "coefficients a=1, b=-3, c=2", (-3,)),
        ("rounds", "the last 5 rounds of 2021", (5,)),
        ("rate", "invest 5000 at 5%", (5000, 0.05)),
        ("count", "两个苹果和three pears", (3, 2)),
        ("x", "[22,33,42] and 1e-9", (22, 33, 42, 1e-9)),
    ],
)
def test_a_number_is_one_of_those_written_nearest_to_its_word(name: str, text: str, numbers: tuple[float, ...]) -> None:
    assert Grounding(text).numbers_for(name, {"type": "number"}) == numbers


def test_proper_names_stay_whole_and_from_and_to_point() -> None:
    route = Grounding("Find the route from San Francisco to Los Angeles")
    assert route.strings_for("end_location", {}) == ["Los Angeles"]
    museum = Grounding("When does the Metropolitan Museum of Art open?").strings_for("museum", {})
    assert "Metropolitan Museum of Art" in museum
    assert not {"Museum of Art", "Metropolitan", "the Metropolitan"} & set(museum)


@pytest.mark.parametrize(
    ("name", "description", "text", "value"),
    [
        ("url", "the page", "Open https://example.com/a/b.txt, please", "https://example.com/a/b.txt"),
        ("email", "the address", "My mail is jo.b@example.org.", "jo.b@example.org"),
        ("time", "when", "Wake me at 10:30 AM tomorrow", "10:30 AM"),
        ("userId", "the user", "I am 123456789 here", "123456789"),
        ("person", "whose", "Tell me Mary Shelley's age", "Mary Shelley"),
        ("author", "of the book", "Books by J.K. Rowling, please", "J.K. Rowling"),
        ("message", "what to send", 'Send "Don\'t forget the cat" to Ann', "Don't forget the cat"),
        ("formula", "what to compute", "What is (5+6)*3?", "(5+6)*3"),
        ("start", "first day (YYYY-MM-DD)", "from May 12, 2022 on", "2022-05-12"),
        ("destination", "where to", "I need to book a hotel in Paris", "Paris"),
        ("path", "of the file", "Open data/2024/sales.csv", "data/2024/sales.csv"),
    ],
)
def test_what_belongs_together_is_offered_whole(name: str, description: str, text: str, value: str) -> None:
    schema = {"type": "string", "description": description}
    assert value in Grounding(text).strings_for(name, schema)
    grammar = LLMatcher.grammar_from_lark(ValueGrammar(Grounding(text)).line_of(name, schema))
    tokenizer = LLTokenizer("byte")
    tokens = tokenizer.tokenize_str(f" {json.dumps(value)}\n")
    assert LLMatcher(tokenizer, grammar).try_consume_tokens(tokens) == len(tokens)


def test_as_many_quotations_as_strings_are_the_strings() -> None:
    parameters = {"properties": {"song": {"type": "string"}, "mode": {"type": "string"}}, "required": ["song"]}
    play = {"name": "play", "parameters": parameters}
    text = Grounding.for_form('Please play "Blue in Green" for me', play)
    assert text.strings_for("song", {}) == ["Blue in Green"]
    assert "Please play" not in text.without("Blue in Green").strings_for("mode", {"default": "x"})
    both = {**play, "parameters": {**parameters, "required": ["song", "mode"]}}
    two = Grounding.for_form('Please play "Blue in Green" for me', both)
    assert len(two.strings_for("song", {})) > 1


def test_numbers_stand_in_the_order_of_the_arguments_where_there_is_one_for_each() -> None:
    parameters = {"properties": {name: {"type": "number"} for name in ("a", "b")}, "required": ["a", "b"]}
    divide = {"name": "divide", "parameters": parameters}
    text = Grounding.for_form("Divide 20 by image1 and 500", divide)
    assert text.numbers_for("dividend", {"type": "number"}) == (20,)
    assert text.without(20).numbers_for("divisor", {"type": "number"}) == (500,)
    assert Grounding.for_form("20, 30 or 500", divide).numbers_for("c", {"type": "number"}) == (20, 30, 500)


def test_a_year_that_stands_there_is_spoken_of_until_it_is_taken() -> None:
    text = Grounding("a comedy from 2019")
    assert text.speaks_of("release_year", {"type": "integer"})
    assert not text.without(2019).speaks_of("release_year", {"type": "integer"})
    assert not Grounding("a comedy with 12 songs").speaks_of("release_year", {"type": "integer"})


@pytest.mark.parametrize(
    ("name", "schema", "text", "values"),
    [
        ("start_date", {"description": "from when"}, "from May 12, 2022 to 3 June 2023", ["2022-05-12", "2023-06-03"]),
        ("day", {"description": "as DD/MM/YYYY"}, "on May 12, 2022", ["12/05/2022"]),
        ("from", {"description": "The base currency"}, "100 US dollars in Japanese yen or GBP", ["USD", "JPY", "GBP"]),
        ("code", {"description": "ISO code of the country"}, "holidays in South Korea and the UK", ["KR", "GB"]),
        ("country", {"description": "The country"}, "holidays in Japan", ["Japan"]),
        ("level", {"description": "How strict (e.g., low, high)"}, "Scan it at a low level", ["low"]),
        ("area", {"description": "The area (e.g., city, park)"}, "Show New York City", ["New York City"]),
        ("to", {"description": "The email address of the guest"}, "Write Bob at bob@example.org", ["bob@example.org"]),
        ("language", {}, "Read the verse in French to me", ["French"]),
        ("vaccine_type", {}, "which vaccine, rabies", ["rabies"]),
        ("when", {"format": "date"}, "on May 12, 2022", ["2022-05-12"]),
        ("animal", {"description": "Which (e.g., cat, horse)"}, "food for horses", ["horse"]),
        ("user_id", {}, "Help me find the user with ID A1b2C3", ["A1b2C3"]),
    ],
)
def test_what_a_description_says_of_its_values_decides_which_are_offered(
    name: str, schema: dict[str, Any], text: str, values: list[str]
) -> None:
    assert Grounding(text).strings_for(name, {"type": "string", **schema}) == values


def test_a_time_of_day_is_no_date_and_an_address_is_one_piece() -> None:
    text = Grounding("the 15th of March at 10:00 AM in 12 Long Road, Oslo")
    dates, times = (text.strings_for(name, {"type": "string"}) for name in ("event_date", "event_time"))
    assert "15th of March" in dates
    assert "10:00 AM" not in dates
    assert times == ["10:00 AM"]
    assert "12 Long Road, Oslo" in text.strings_for("shipping_address", {"type": "string"})


def test_what_was_taken_is_cut_out_word_by_word_and_names_stay_whole() -> None:
    login = Grounding("my name is user3 and my password is user3pass").without("user3")
    assert "user3pass" in login.strings_for("password", {"type": "string"})
    visit = Grounding("a table at The Hungry Hippo with Dr. Lee").strings_for("guest", {"type": "string"})
    assert {"The Hungry Hippo", "Dr. Lee"}.issubset(visit)
    assert "Hungry Hippo" not in visit


def test_a_value_says_more_than_its_argument_and_its_function_are_called() -> None:
    text = Grounding.for_form("Scan the mail server with a scanning depth", {"name": "scanHost", "parameters": {}})
    found = text.strings_for("host", {"type": "string"})
    assert "mail server" in found
    assert not {"Scan", "scanning", "Scan the mail server"}.intersection(found)
    assert "lake in the north" not in Grounding("a lake in the north").strings_for("place_kind", {"type": "string"})
    assert "lake in the north" in Grounding("a lake in the north").strings_for("message", {"type": "string"})
    # A name or what has digits is never just the argument's word.
    assert "user1" in Grounding("my user is user1").strings_for("user", {"type": "string"})


@pytest.mark.parametrize(
    ("name", "told", "text", "numbers"),
    [
        ("budget", "", "5 people, a budget until August 31, 2022 with 50% off: $900", (900,)),
        ("weight", "weight in grams", "bake 500 grams at 180 degrees", (500,)),
        ("bill_amount", "The bill", "The bill is $80 and I tip 15%", (80,)),
        ("year", "The year", "in 2019, for 2 people", (2019,)),
        ("height", "in pixels", "an image of 800x600, 800 wide", (800, 600)),
    ],
)
def test_a_number_of_one_kind_is_not_offered_to_an_argument_of_another(
    name: str, told: str, text: str, numbers: tuple[float, ...]
) -> None:
    assert Grounding(text).numbers_for(name, {"type": "number", "description": told}) == numbers


def test_an_optional_argument_is_meant_by_its_name_its_example_its_unit_or_its_kind() -> None:
    level = {"type": "string", "description": "How strict (e.g., low, high)"}
    assert Grounding("scan it, low").wants("depth_of_scan", level)
    assert Grounding("scan it at depth").wants("scan_depth", {"type": "string"})
    assert not Grounding("scan it, deep").wants("scan_depth", level)
    assert Grounding("show it in French").wants("language", {"type": "string"})
    assert Grounding("show it at 17:05").wants("time", {"type": "string"})
    assert Grounding("play a song by Nina Simone").wants("artist", {"type": "string"})
    every = {"type": "integer", "description": "The interval in minutes"}
    assert Grounding("scan it each 22 minutes").wants("interval", every)
    assert not Grounding("scan it each 22 minutes").without(22).wants("interval", every)


def test_an_adapter_writes_the_values_of_the_same_form() -> None:
    engine = FakeEngine([" 10\n", " 5\n"])
    arguments, _ = FormFiller(engine, "tools").fill("a triangle of 10, or 8, and 5", AREA)
    assert arguments == {"base": 10, "height": 5}
    assert engine.requests[-1].prompt.endswith("\nbase (integer): 10\nheight (number):")
    assert {request.adapter for request in engine.requests} == {"tools"}


def test_a_whole_sentence_is_only_for_an_argument_that_is_text() -> None:
    said = "Tell everybody in the large hall that dinner is served at the lake house"
    assert said in Grounding(said).strings_for("message", {})
    assert said not in Grounding(said).strings_for("dish", {})


def test_a_number_that_stands_there_twice_can_be_taken_twice() -> None:
    wall = Grounding("a wall 3 metres wide and 2 metres high with 3 coats").without(3).without(2)
    assert (wall.has_new_numbers, wall.numbers) == (True, (3,))
    assert not wall.without(3).has_new_numbers


def test_a_list_of_words_does_not_go_round_in_circles() -> None:
    schema = {"type": "array", "items": {"type": "string"}}
    tool = {"name": "f", "parameters": {"properties": {"tags": schema}, "required": ["tags"]}}
    assert FormFiller(FakeEngine([' ["a", "b", "a", "b"]\n'])).fill("a, b", tool)[0] == {"tags": ["a", "b"]}


def test_a_place_looks_like_a_name_and_a_day_like_a_day() -> None:
    text = Grounding("Show flights for two people to Rome leaving next Monday with meals")
    assert text.strings_for("city", {}) == ["Rome", "Monday"]
    days = text.strings_for("date", {})
    assert ("next Monday" in days, "Rome" in days) == (True, False)
    assert "12 Main Street" in Grounding("Parks near 12 Main Street please").strings_for("location", {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("file_path", "notes/today.txt"),
        ("image_url", "https://example.org/a.png"),
        ("recipientEmail", "ann@example.org"),
        ("order_id", "A93x"),
        ("target_ip", "10.0.0.7"),
    ],
)
def test_what_has_its_own_signs_is_known_by_them(name: str, value: str) -> None:
    text = Grounding(
        "Send notes/today.txt from 10.0.0.7 to ann@example.org for A93x, see https://example.org/a.png please"
    )
    found = text.strings_for(name, {})
    assert value in found
    assert not {"please", "Send", "ann@example.org"} & set(found) - {value}


def test_where_nothing_has_the_signs_any_words_may_do() -> None:
    assert "holiday pictures" in Grounding("Show holiday pictures").strings_for("folder", {})


def test_a_number_is_found_beside_its_chinese_description() -> None:
    text = Grounding("体重80公斤、身高1.8米的人")
    assert text.numbers_for("kilograms", {"type": "number", "description": "体重，单位千克"}) == (80,)
    assert text.numbers_for("metres", {"type": "number", "description": "身高，单位米，例如 1.8"}) == (1.8,)


def test_a_discount_is_a_percentage_and_a_rate_a_fraction() -> None:
    text = Grounding("20% off a jacket of 200")
    assert 20 in text.numbers_for("discount", {"type": "number"})
    assert 0.2 in text.numbers_for("rate", {"type": "number"})
    assert 20 not in text.numbers_for("rate", {"type": "number"})


def test_an_enumeration_of_another_type_is_not_offered() -> None:
    grammar = ValueGrammar(None).line_of("level", {"type": "integer", "enum": ["1", 2, 3]})
    assert ('"2"' in grammar, '"\\"1\\""' in grammar) == (True, False)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "string", "enum": ["a b", 'quote"d']},
        {"type": "integer", "minimum": 3},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "array", "items": {"type": "string"}},
        {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "number"}}},
        {},
    ],
)
@pytest.mark.parametrize("question", ["Find 'The \"Alchemist\"' in Paris, 3 copies.", "查找三本书", "", "!?"])
def test_every_grammar_is_sound(schema: dict[str, object], question: str) -> None:
    for grounding in (None, Grounding(question)):
        grammar = LLMatcher.grammar_from_lark(ValueGrammar(grounding).line_of("name", schema))
        has_error, messages = LLMatcher.validate_grammar_with_warnings(grammar)
        assert not has_error, messages


def test_a_form_asks_for_what_is_required_and_what_the_question_speaks_of() -> None:
    engine = FakeEngine([" 10\n", " 5.5\n"])
    arguments, rest = FormFiller(engine).fill("a triangle of 10, or 8, and 5.5", AREA)
    assert arguments == {"base": 10, "height": 5.5}
    lines = [request.prompt.rsplit("\n", 1)[-1] for request in engine.requests]
    assert lines == ["base (integer):", "height (number):"]
    assert rest.numbers == (8,)


def test_where_one_value_only_can_stand_the_model_is_not_asked() -> None:
    engine = FakeEngine([])
    arguments, rest = FormFiller(engine).fill("base 10 and height 5.5", AREA)
    assert (arguments, engine.requests) == ({"base": 10, "height": 5.5}, [])
    assert not rest.has_new_numbers
    kind = {"type": "string", "enum": ["circle", 'a "square"']}
    line = ValueGrammar(Grounding('draw a "square"')).line_of("kind", kind)
    assert only_line(line) == ' "a \\"square\\""\n'
    assert only_line(ValueGrammar(Grounding("draw")).line_of("kind", kind)) is None
    assert only_line(ValueGrammar().line_of("size", {"type": "integer"})) is None


def test_a_broken_value_ends_the_form() -> None:
    assert FormFiller(FakeEngine([' "unfinished'])).fill("10 or 11 or 12", AREA)[0] == {}


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ({"base": 10, "height": 5}, True),
        ({"base": 10, "height": 5.0, "unit": "C.M."}, True),
        ({"base": 10.0, "height": 5}, False),
        ({"base": 10}, False),
        ({"base": 10, "height": 5, "unit": "inch"}, False),
        ({"base": 10, "height": 5, "colour": "red"}, False),
        ({"base": True, "height": 5}, False),
    ],
)
def test_the_published_rules_of_one_call(arguments: dict[str, object], right: bool) -> None:
    answers: Answers = [{"area": {"base": [10], "height": [5.0], "unit": ["cm", ""]}}]
    assert calls_are_right([ToolCall("", "area", arguments)], answers, [AREA]) is right


def test_parallel_calls_match_in_any_order_and_none_means_none() -> None:
    calls = [ToolCall("", "area", {"base": base, "height": 2}) for base in (1, 3)]
    answers: Answers = [{"area": {"base": [base], "height": [2.0], "unit": [""]}} for base in (3, 1)]
    assert calls_are_right(calls, answers, [AREA])
    assert not calls_are_right(calls[:1], answers, [AREA])
    assert calls_are_right([], [], [AREA])
    assert not calls_are_right(calls[:1], [], [AREA])


def test_python_type_names_become_json_schema() -> None:
    parameters = function_of(AREA)["parameters"]
    assert (parameters["type"], parameters["properties"]["height"]["type"]) == ("object", "number")
    assert json.loads(json.dumps(parameters)) == parameters


def test_what_cannot_be_kept_of_a_schema_is_no_restriction() -> None:
    odd = {"name": "f", "parameters": {"properties": {"a": {"type": "any", "pattern": "["}}, "required": ["a", "gone"]}}
    parameters = function_of(odd)["parameters"]
    assert parameters == {"type": "object", "properties": {"a": {}}, "required": ["a"]}
    assert accepts(parameters, {"a": [1]})
    assert not accepts(parameters, {"a": 1, "b": 2})
    assert not accepts(parameters, {})
    # No value of the list is of the type; names without a word of what they are.
    assert json_schema({"type": "boolean", "enum": ["True", "dontcare"]}) == {"enum": ["True", "dontcare"]}
    assert json_schema({"type": "integer", "enum": [1, "many"]}) == {"type": "integer", "enum": [1, "many"]}
    unsaid = json_schema({"type": "dict", "required": ["adults"]})
    assert unsaid == {"type": "object", "required": ["adults"], "properties": {"adults": {}}}


def test_a_number_is_written_in_the_digits_of_json() -> None:
    matcher = LLMatcher(
        LLTokenizer("byte"), LLMatcher.grammar_from_lark(ValueGrammar().line_of("n", {"type": "number"}))
    )
    assert matcher.try_consume_tokens(list(b" 12.5\n")) == 6
    matcher.reset()
    assert matcher.try_consume_tokens(list(" 1٣\n".encode())) == 2
