"""Labels from feedback, documents and a teacher; questions by rule; the rows of the bundled adapter."""

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.config import load_settings
from core.grounded_prompt import REFUSAL, harmless
from core.types import Chunk, Message
from inference.fakes import FakeEngine
from inference.protocol import GeneratedText, GenerationEvent, GenerationRequest
from orchestrator.history import FeedbackKind, History
from training.__main__ import main
from training.cloze import cloze_questions
from training.examples import Example, read_examples, write_examples
from training.gguf_model import GgufModel, same_vocabulary
from training.grounded import (
    WRITTEN_FILE,
    WRITTEN_OVER,
    Corpus,
    grounded_examples,
    is_held_out,
    load_corpus,
    wide_examples,
    written_examples,
)
from training.labels import Feedback, from_documents, from_feedback, from_teacher, is_supported

TEXT = (
    "Marie Curie won the Nobel Prize in Physics in 1903 together with two others. "
    "The laboratory employed nine assistants before the war began in Europe."
)


def test_questions_by_rule_have_their_answers_in_the_text_word_for_word() -> None:
    found = cloze_questions(TEXT, 10, random.Random(0))
    assert dict((answer, question) for question, answer in found) == {
        "Marie Curie": "Who or what won the Nobel Prize in Physics in 1903 together with two others?",
        "1903": "Marie Curie won the Nobel Prize in Physics in what year together with two others?",
        "two others": "Marie Curie won the Nobel Prize in Physics in 1903 together with how many others?",
        "nine assistants": "The laboratory employed how many assistants before the war began in Europe?",
    }


def test_a_correction_wins_over_a_liked_answer() -> None:
    rows = [Feedback("q", "wrong", "right"), Feedback("q", "liked"), Feedback("other", "good"), Feedback("", "x")]
    assert {example.question: example.answer for example in from_feedback(rows)} == {"q": "right", "other": "good"}


def chunk(number: int, text: str) -> Chunk:
    return Chunk(
        id=str(number), document_id="d", text=text, position=number, start=0, end=len(text), title=f"T{number}"
    )


def test_rows_from_documents_cite_the_passage_or_refuse_without_it() -> None:
    chunks = [chunk(0, TEXT), chunk(1, "Nothing of that stands here."), chunk(2, "Nor here.")]
    rows = [row for seed in range(20) for row in from_documents(chunks, lambda _question: chunks, seed)]
    refusals = [row for row in rows if row.answer == REFUSAL.en]
    assert 0.02 < len(refusals) / len(rows) < 0.4
    for row in rows:
        assert ("Marie Curie" in row.question.split("Question:")[0]) == (row not in refusals)
        if row not in refusals:
            number = row.answer[row.answer.rindex("[") :]
            assert f"{number} T0\nMarie Curie" in row.question


def test_an_answer_that_does_not_need_its_passage_is_a_bad_example() -> None:
    row = next(iter(from_documents([chunk(0, TEXT)], lambda _question: [], 1)))
    needs = FakeEngine(score=lambda prompt, _text: -1.0 if "Nobel" in prompt.split("Question:")[0] else -9.0)
    knows = FakeEngine(score=lambda _prompt, _text: -1.0)
    assert is_supported(needs, row)
    assert not is_supported(knows, row)


def test_a_teacher_answers_and_its_silence_is_left_out() -> None:
    teacher = FakeEngine(lambda request: "" if "?" not in request.messages[-1].content else "because")
    prompts = [(Message("user", "why?"),), (Message("user", "hm"),)]
    assert [(row.question, row.answer) for row in from_teacher(teacher, prompts)] == [("why?", "because")]


@pytest.fixture(scope="module")
def qa() -> Path:
    folder = load_settings().eval_data / "qa"
    if not (folder / "xquad_en.dev.jsonl").is_file():
        pytest.skip(f"the evaluation data is not at {folder}")
    return folder


@pytest.fixture(scope="module")
def rows(qa: Path) -> list[Example]:
    return grounded_examples(qa)


def test_the_rows_of_grounded_never_touch_the_articles_that_are_reported(qa: Path, rows: list[Example]) -> None:
    kept = [json.loads(line) for line in (qa / "xquad_en.contexts.jsonl").read_text().splitlines()]
    reported = [row for row in kept if is_held_out(row["title"])]
    assert 0.15 < len(reported) / len(kept) < 0.35
    text = "\n".join(row.question for row in rows)
    assert not [row["id"] for row in reported if row["text"][:80] in text]
    refusals = sum(row.answer == REFUSAL.en for row in rows)
    assert 0.1 < refusals / len(rows) < 0.35
    assert all("[" in row.answer for row in rows if row.answer != REFUSAL.en)


def test_the_wide_rows_read_many_passages_and_none_that_is_reported(qa: Path) -> None:
    kept = [json.loads(line) for line in (qa / "xquad_en.contexts.jsonl").read_text().splitlines()]
    wide = wide_examples(qa)
    text = "\n".join(row.question for row in wide)
    assert not [row["id"] for row in kept if is_held_out(row["title"]) and row["text"][:80] in text]
    passages = {part.split("\n", 1)[-1] for row in wide for part in row.question.split("\n\n")[:-1]}
    assert len(passages) > 300
    assert [row.messages for row in wide] == [row.messages for row in wide_examples(qa)], "one seed, one recipe"


def test_written_questions_have_their_answers_in_the_passage_and_none_is_about_what_is_reported(qa: Path) -> None:
    passages = {
        row["id"]: row
        for name in ("xquad_en", "clapnq", *WRITTEN_OVER)
        for row in map(json.loads, (qa / f"{name}.contexts.jsonl").read_text().splitlines())
    }
    written = [json.loads(line) for line in WRITTEN_FILE.read_text().splitlines()]
    assert len({row["context_id"] for row in written}) == len(written), "one row a passage"
    assert not [row for row in written if is_held_out(passages[row["context_id"]]["title"] or row["context_id"])]
    pairs = [(passages[row["context_id"]]["text"], *pair) for row in written for pair in row["questions"]]
    assert len({question for _, question, _ in pairs}) > 4000
    assert not [question for text, question, answer in pairs if answer not in text]
    assert 0.1 < sum(not answer for _, _, answer in pairs) / len(pairs) < 0.25


def test_the_round_of_written_questions_leaves_those_to_choose_by_alone(qa: Path) -> None:
    made = written_examples(qa)
    asked = {row.question.rsplit("Question: ", 1)[-1] for row in made}
    kept = [json.loads(line) for line in WRITTEN_FILE.read_text().splitlines()]
    to_choose_by = {pair[0] for row in kept if row["kept_to_choose_by"] for pair in row["questions"]}
    to_learn_from = {pair[0] for row in kept if not row["kept_to_choose_by"] for pair in row["questions"]}
    assert len(to_choose_by) > 400
    assert not asked & (to_choose_by - to_learn_from)
    assert len(asked & to_learn_from) / len(to_learn_from) > 0.95
    assert 0.15 < sum(row.answer == REFUSAL.en for row in made) / len(made) < 0.3
    assert [row.messages for row in made] == [row.messages for row in written_examples(qa)], "one seed, one recipe"
    shown = [re.split(r"(?:^|\n\n)\[\d+\] .*\n|\n\nQuestion: ", row.question)[1:-1] for row in made]
    for name in WRITTEN_OVER:
        own, reported = (_texts(load_corpus(qa, name, held_out)) for held_out in (False, True))
        sizes = {len(passages) for passages in shown if own & set(passages)}
        assert {1, 4} <= sizes, f"{name}: alone and among others"
        assert not [passages for passages in shown if reported & set(passages)]


def _texts(corpus: Corpus) -> set[str]:
    """The passages as a prompt shows them."""
    return {harmless(one.text.strip()) for one in corpus.contexts.values()}


def test_an_answer_stands_in_the_passage_that_it_cites(qa: Path, rows: list[Example]) -> None:
    spans = {question.answer for question in load_corpus(qa, "xquad_en").questions}
    checked = 0
    for row in rows:
        answer, _, number = row.answer.rpartition(" [")
        if answer in spans:
            passage = row.question.split(f"[{number[:-1].rstrip('.]')}] ", 1)[1].split("\n\n[")[0]
            assert answer.split()[0] in passage
            checked += 1
    assert checked > 800


def test_corrected_and_liked_answers_of_the_chat_become_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = History(load_settings().paths.conversations_file)
    talk = history.create()
    verdicts: dict[str, list[FeedbackKind]] = {
        "liked": ["good"],
        "mended": ["bad", "correction"],
        "taken back": ["good", "bad"],
        "silent": [],
    }
    for name, kinds in verdicts.items():
        answer = history.begin_answer(history.add_question(talk.id, f"question {name}").id)
        history.finish_answer(answer.id, f"answer {name}", "done", {})
        for kind in kinds:
            history.add_feedback(answer.id, kind, "better" if kind == "correction" else "")
    out = tmp_path / "rows.jsonl"
    assert main(["labels", "--from-history", "--out", str(out)]) == 0
    assert {row.question: row.answer for row in read_examples(out)} == {
        "question liked": "answer liked",
        "question mended": "better",
    }


def test_without_conversations_there_are_no_rows_and_the_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--language", "zh", "labels", "--from-history", "--out", "rows.jsonl"]) == 1
    said = capsys.readouterr().err
    assert str(load_settings().paths.conversations_file) in said
    assert "无法读取" in said


class Wavering(FakeEngine):
    """A teacher that says two tokens and names what else it thought of."""

    def tokenize(self, text: str) -> list[int]:
        return {"red": [7], "blue": [8], "!": [9], "dark blue": [8, 8]}[text]

    def generate(
        self, request: GenerationRequest, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[GenerationEvent]:
        assert request.top_logprobs == 3
        top = (("red", -0.1), ("blue", -2.5), ("dark blue", -4.0), ("\ufffd", -5.0))
        yield GeneratedText("red", (7,), -0.1, top)
        yield GeneratedText("!", (9,), -0.2, (("!", -0.2),))


def test_a_teacher_of_the_same_vocabulary_gives_its_likely_tokens_by_number(tmp_path: Path) -> None:
    (row,) = from_teacher(Wavering(), [(Message("user", "Which?"),)], top=3)
    assert row.answer == "red!"
    assert row.teacher == ((7, ((7, -0.1), (8, -2.5))), (9, ((9, -0.2),)))
    write_examples(tmp_path / "rows.jsonl", [row])
    assert read_examples(tmp_path / "rows.jsonl")[0].teacher == row.teacher


def test_vocabularies_are_compared_token_by_token(tiny: GgufModel, base: GgufModel) -> None:
    assert same_vocabulary(tiny.path, tiny.path)
    assert not same_vocabulary(tiny.path, base.path)
