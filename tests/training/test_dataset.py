"""Every known form of data, what is wrong with files, the checks, the split."""

import json
from pathlib import Path

import pytest

from core.errors import TrainingError
from core.types import Message, ToolCall
from training.checks import prepare
from training.dataset import LoadedData, label_prompt, load_data
from training.examples import Example, pair, read_examples, write_examples

FORMS: dict[str, list[dict[str, object]]] = {
    "chat": [{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}],
    "sharegpt": [{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}],
    "alpaca": [{"instruction": "Hi", "input": "", "output": "Hello"}],
    "pair": [{"prompt": "Hi", "completion": "Hello"}],
}


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_example(form: str, tmp_path: Path) -> None:
    data = load_data(write(tmp_path / "data.jsonl", FORMS[form]))
    assert data.format == form
    assert data.examples[0].messages == (Message("user", "Hi"), Message("assistant", "Hello"))


def test_a_csv_of_texts_and_labels_names_all_labels_in_every_prompt(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text('﻿Text,Label\n"Win a prize, now",spam\nSee you,ham\n', encoding="utf-8")
    data = load_data(path)
    assert data.labels == ("ham", "spam")
    assert data.examples[0].question == label_prompt("Win a prize, now", ["ham", "spam"], "en")
    assert data.examples[0].answer == data.examples[0].label == "spam"


def test_chinese_texts_get_a_chinese_prompt(tmp_path: Path) -> None:
    path = tmp_path / "data.tsv"
    path.write_text("文本\t标签\n很好用\t好评\n质量太差\t差评\n", encoding="utf-8")
    assert load_data(path).examples[0].question == "给文本选一个类别：好评, 差评。\n\n文本：很好用\n类别："


def test_tools_and_calls_survive_a_round_trip(tmp_path: Path) -> None:
    call = ToolCall("call_0", "weather", {"city": "Oslo"})
    messages = (Message("user", "?"), Message("assistant", "", (call,)))
    example = Example(messages, ({"name": "weather"},), line=1)
    write_examples(tmp_path / "x.jsonl", [example])
    assert read_examples(tmp_path / "x.jsonl") == [example]


def test_bad_rows_are_named_and_the_others_are_used(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    good = json.dumps({"prompt": "a", "completion": "b"})
    path.write_text(f"{good}\nnot json\n{json.dumps({'prompt': 'c'})}\n", encoding="utf-8")
    data = load_data(path)
    assert len(data.examples) == 1
    assert [problem.en.split(":")[0] for problem in data.problems] == ["Line 2", "Line 3"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.jsonl", None, "no file"),
        ("empty.jsonl", b"", "no rows"),
        ("head.csv", b"text,label\n", "no rows"),
        ("latin.jsonl", b"\xff\xfe\x00", "not UTF-8"),
        ("strange.jsonl", b'{"foo": 1}', "none of the known forms"),
        ("broken.json", b"[1, 2", "not valid JSON"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(name: str, content: bytes | None, words: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TrainingError, match=words) as caught:
        load_data(tmp_path / name)
    assert str(tmp_path / name) in caught.value.message.zh


def data_of(examples: list[Example]) -> LoadedData:
    return LoadedData(Path("data.jsonl"), "pair", tuple(examples))


def words_of(example: Example) -> int:
    return len(example.question.split()) + len(example.answer.split())


LETTERS = "abcdefghijklmnopqrstuvwxyz"


def labelled(count: int) -> list[Example]:
    return [
        pair(f"{LETTERS[n % 26]}{LETTERS[n // 26]} text", label, label=label, line=n + 1)
        for n in range(count)
        for label in [("ham", "spam")[n % 2]]
    ]


def test_the_parts_are_disjoint_and_each_has_every_label() -> None:
    prepared = prepare(data_of(labelled(100)), words_of, 50, 0.1, seed=1)
    parts = (prepared.train, prepared.held_out, prepared.exam)
    assert [len(part) for part in parts] == [70, 10, 20]
    assert len({example.key for part in parts for example in part}) == 100
    assert all({example.label for example in part} == {"ham", "spam"} for part in parts)


def test_nearly_equal_questions_stay_on_one_side() -> None:
    twins = [pair(f"{LETTERS[n // 2]} order number {n}", "x") for n in range(40)]
    prepared = prepare(data_of(twins), words_of, 50, 0.1, seed=1)
    sides = [{one.question[0] for one in part} for part in (prepared.train, prepared.held_out, prepared.exam)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not sides[one] & sides[other]


def test_duplicates_and_contradictions_are_counted() -> None:
    rows = [*labelled(20), pair("aa text", "ham"), pair("AA  text", "spam")]
    report = prepare(data_of(rows), words_of, 50, 0.1, seed=1).report
    assert (report.duplicates, report.contradictions) == (2, 1)


def test_an_example_of_fifty_thousand_tokens_is_left_out_with_its_line() -> None:
    rows = [*labelled(20), pair("word " * 50_000, "x", line=21)]
    prepared = prepare(data_of(rows), words_of, 1024, 0.1, seed=1)
    assert prepared.report.too_long == 1
    notice = next(notice for notice in prepared.report.notices if "Line 21" in notice.en)
    assert "50,001 tokens" in notice.en
    assert "第 21 行" in notice.zh


def test_one_label_too_few_rows_and_only_long_rows_are_refused() -> None:
    one = [pair(f"{letter} text", "ham", label="ham") for letter in LETTERS]
    for rows, words in (
        (one, "label 'ham'"),
        (labelled(4), "4 different"),
        ([pair("w " * 99, "x")] * 9, "longer than"),
    ):
        with pytest.raises(TrainingError, match=words) as caught:
            prepare(data_of(rows), words_of, 50, 0.1, seed=1)
        assert caught.value.message.zh
