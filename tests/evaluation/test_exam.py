"""An exam on one's own documents: made by rule, reviewed, sat by modes, and two sittings compared."""

import argparse
import random
from dataclasses import replace
from pathlib import Path

import pytest

from core.config import Settings
from core.errors import SettingError
from core.types import Chunk, Document, Page, Scope
from evaluation import exam
from evaluation.exam_grading import Change, compare, figures, is_right, mark, sit, told
from evaluation.exam_questions import ExamPlan, make_questions, question_from_retrieval
from evaluation.exam_rules import asked_by_rule, exchanged, names_in
from evaluation.exam_store import ExamItem, ExamStore, Mark, Sitting, open_store
from inference.fakes import FAKE_INFO, FakeEngine
from orchestrator.assistant import Assistant
from orchestrator.build import assistant_over
from retrieval.fakes import HashEmbedder
from retrieval.library import Library

DOCUMENTS = {
    "pump.md": "The Nordwind X200 pump was built in Hamburg by Ada Brandt. The X200 weighs forty pounds in 2019 terms.",
    "valve.md": "The Seewolf V70 valve was designed in 1987 by Otto Krause for the harbour of Kiel and its ships.",
    "bridge.md": "The Marlow viaduct was opened in 1907 by the coastal railway company. It has eleven arches.",
    "桥.md": "武汉长江大桥于1957年建成通车。青岚水表的质保期为36个月，由售后部门负责。",
}


@pytest.fixture
def library(tmp_path: Path) -> Library:
    made = Library(Settings(home=tmp_path / "home"), HashEmbedder())
    with made.writer("mine") as store:
        for uri, text in DOCUMENTS.items():
            document = Document(uri, uri, (Page(text),), uri)
            store.put_document(document, [Chunk("", "", text, 0, 0, len(text), title=uri)])
        while pending := store.chunks_without_vectors(16):
            vectors = made.embedder.embed_documents([chunk.embedded_text for chunk in pending])
            store.put_vectors([chunk.id for chunk in pending], vectors)
    return made


def item(question: str = "In what year?", **changes: object) -> ExamItem:
    return replace(ExamItem("mine", question, ("1907",), True, "bridge.md", status="kept"), **changes)  # type: ignore[arg-type]


def sitting(*marks: tuple[str, str, float]) -> Sitting:
    return Sitting("mine", "", {}, tuple(Mark(mode, q, "", "model", right, None, 1.0, 9) for mode, q, right in marks))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("武汉长江大桥于1957年建成通车。", [("武汉长江大桥于哪一年建成通车？", "1957年")]),
        ("青岚水表的质保期为36个月，由售后负责。", [("青岚水表的质保期为多少个月，由售后负责？", "36个月")]),
        ("它于1957年建成通车并投入使用。", []),
        ("线路在1957年和1957年两条支线同时开工。", [("线路在1957年和1957年多少条支线同时开工？", "两条")]),
        ("补充医疗保险的报销上限为两万元。", [("补充医疗保险的报销上限为多少元？", "两万元")]),
        ("班车每天早上7:40从地铁站出发。", [("班车每天早上几点从地铁站出发？", "7:40")]),
        ("合格率达到98%，高于去年同期。", [("合格率达到百分之多少，高于去年同期？", "98%")]),
    ],
)
def test_chinese_asks_in_place(text: str, expected: list[tuple[str, str]]):
    assert asked_by_rule(text, random.Random(0)) == expected


def test_a_heading_spoils_no_question_and_a_version_is_no_count():
    text = "# Leave policy\n\nEvery employee of Halden has 26 days of paid annual leave.\n\nThe 5.2 brings modes."
    asked = asked_by_rule(text, random.Random(0))
    assert ("Every employee of Halden has how many days of paid annual leave?", "26 days") in asked
    assert not any("5.2" in answer for _, answer in asked)


def test_a_sum_is_not_cut_in_two():
    text = "For smaller orders the delivery fee of the bookshop is 3 pounds 50."
    assert not any("pounds 50" in question for question, _ in asked_by_rule(text, random.Random(0)))


def test_a_name_is_exchanged_for_one_of_its_kind():
    assert names_in("Ask the X200 team about Ada Brandt and 《手册》") == ["X200", "Ada Brandt", "《手册》"]
    assert (
        exchanged("In what year was the V70 built?", ["Ada Brandt", "V70", "X200"])
        == "In what year was the X200 built?"
    )
    assert exchanged("In what year was it built?", ["X200"]) == ""


def test_an_exam_has_questions_with_and_without_an_answer(library: Library):
    seen: list[tuple[int, int]] = []
    made = make_questions(library, "mine", ExamPlan(3, 2), progress=lambda done, total: seen.append((done, total)))
    answerable = [one for one in made if one.answerable]
    assert len(answerable) == 3
    for one in answerable:
        assert one.answers[0] in DOCUMENTS[one.uri]
        assert one.answers[0] not in one.question
        assert one.answers[0] in one.passage
    assert [one.answers for one in made if not one.answerable] == [()] * 2
    assert {one.status for one in made} == {"proposed"}
    assert seen[-1][1] == len(DOCUMENTS)
    again = make_questions(library, "mine", ExamPlan(3, 2))
    assert [one.question for one in again] == [one.question for one in made]


def test_a_model_of_some_size_writes_what_stands_in_the_passage(library: Library):
    told_by_model = '{"question": "Who designed the Seewolf V70 valve in 1987?", "answer": "Otto Krause"}'
    engine = FakeEngine((told_by_model,), replace(FAKE_INFO, n_parameters=7_000_000_000))
    made = make_questions(library, "mine", ExamPlan(9, 0), engine)
    assert [(one.uri, one.answers, one.origin) for one in made] == [("valve.md", ("Otto Krause",), "model")]


def test_a_review_keeps_edits_and_drops(tmp_path: Path):
    store = ExamStore(tmp_path / "deep" / "exams.db")
    first, second = item("One?", status="proposed"), item("Two?", status="proposed")
    assert store.add([first, second]) == 2
    assert store.add([item("One?")]) == 0
    store.review(first.id, "kept", question="One, exactly?", answers=("1", "one"))
    store.review(second.id, "dropped")
    assert [(one.question, one.answers) for one in store.items("mine", "kept")] == [("One, exactly?", ("1", "one"))]
    assert [one.status for one in store.items("mine")] == ["kept", "dropped"]
    assert store.items("other") == []
    with pytest.raises(KeyError):
        store.review("nobody", "kept")


def test_a_sitting_is_kept_with_its_marks(tmp_path: Path):
    store = ExamStore(tmp_path / "exams.db")
    kept = sitting(("rag", "a", 1.0), ("prompt", "a", 0.0))
    store.add_sitting(kept)
    assert store.sittings("mine") == [kept]
    store.delete_sitting(kept.id)
    assert store.sittings("mine") == []
    with pytest.raises(KeyError):
        store.delete_sitting(kept.id)


def test_a_search_by_hand_becomes_a_question(library: Library):
    found = library.searcher().retrieve("Who designed the Seewolf valve?", Scope("mine"), 1).chunks[0].chunk
    asked = question_from_retrieval("mine", " Who designed the Seewolf valve? ", found, "Otto Krause")
    assert (asked.question, asked.answers, asked.status) == (
        "Who designed the Seewolf valve?",
        ("Otto Krause",),
        "kept",
    )
    assert asked.uri == "valve.md"
    assert not is_right(replace(asked, answers=()), "Somebody", False)
    assert is_right(replace(asked, answers=()), "Somebody", False, cites_the_source=True)


@pytest.mark.parametrize(
    ("expected", "text", "refused", "right"),
    [
        (item(), "It was opened in 1907 [1].", False, True),
        (item(), "It was opened in 1908 [1].", False, False),
        (item(), "The documents do not say.", True, False),
        (item(answers=("the coastal railway company",)), "coastal railway", False, True),
        (item(answerable=False), "It was 1907.", False, False),
        (item(answerable=False), "x", True, True),
        (item(answerable=False), "I don't know.", False, True),
        (item(answerable=False), "我不知道。", False, True),
    ],
)
def test_what_counts_as_right(expected: ExamItem, text: str, refused: bool, right: bool):
    assert is_right(expected, text, refused) is right


def _assistant(library: Library, *answers: str) -> Assistant:
    engine = FakeEngine(answers, replace(FAKE_INFO, languages=("en",)))
    return assistant_over(library.settings, engine, library.searcher(), grounded="")


def test_every_kept_question_is_asked_by_every_mode(library: Library):
    asked = [item("When was the Marlow viaduct opened?"), item("Dropped?", status="dropped")]
    who = _assistant(library, "It was opened in 1907 by the coastal railway company [1].", "In 1950.")
    seen: list[tuple[int, int]] = []
    marks = sit(who, asked, ("rag", "prompt"), lambda done, total, _mark: seen.append((done, total)))
    assert [(one.mode, one.correct, one.cited) for one in marks] == [("rag", 1.0, 1.0), ("prompt", 0.0, None)]
    assert seen == [(1, 2), (2, 2)]
    shown = figures(marks, asked)
    assert (shown["rag"]["right"]["mean"], shown["prompt"]["right"]["mean"]) == (1.0, 0.0)
    # Wilson: one right answer of one says little.
    assert (shown["rag"]["right"]["low"], shown["rag"]["right"]["high"]) == (0.2065, 1.0)
    assert shown["rag"]["right_of_unanswerable"]["n"] == 0


def test_a_cancelled_sitting_stops_and_is_not_kept(library: Library):
    open_store(library.settings).add([item("When was the Marlow viaduct opened?"), item("Another one?")])
    seen: list[int] = []
    who = _assistant(library, "In 1907.")
    done = exam.run_exam(
        who,
        library.settings,
        "mine",
        ("prompt",),
        progress=lambda done, _total, _mark: seen.append(done),
        is_cancelled=lambda: bool(seen),
    )
    assert len(done.marks) == 1
    assert open_store(library.settings).sittings("mine") == []


def test_an_answer_that_fails_is_wrong(library: Library):
    events = list(_assistant(library, "x").answer(_question("tools")))
    assert mark("tools", item(), events).kind == "failed"


def _question(mode: str):
    from core.types import Question

    return Question("When?", mode=mode)  # type: ignore[arg-type]


def test_what_got_worse_is_named_first():
    names = [f"q{number}" for number in range(12)]
    before = sitting(*[("rag", name, 1.0) for name in names], *[("prompt", name, 0.0) for name in names])
    after = sitting(
        *[("rag", name, float(at > 7)) for at, name in enumerate(names)],
        *[("prompt", name, float(at > 3)) for at, name in enumerate(names)],
    )
    rag, prompt = compare(before, after)
    assert (rag.verdict, len(rag.lost), rag.won) == ("worse", 8, ())
    assert (prompt.verdict, len(prompt.won)) == ("better", 8)
    assert told([prompt, rag]).en.startswith("worse: rag -67%")
    assert told([prompt, rag]).zh.startswith("变差：rag")
    assert [one.verdict for one in compare(before, before)] == ["same", "same"]
    assert told(compare(before, sitting(("tools", "x", 1.0)))).zh == "两次测验没有相同的题目。"
    assert Change("rag", 9, -0.1, -0.3, 0.1, ("q",), ()).verdict == "unsure"


def test_a_change_of_settings_is_tried_before_it_is_kept(library: Library):
    settings = library.settings
    open_store(settings).add([item("When was the Marlow viaduct opened?")])
    built: list[int] = []

    def build(under: Settings) -> Assistant:
        built.append(under.top_k)
        return _assistant(library, "In 1907 [1]." if under.top_k == 5 else "It was in 1666 [1].")

    trial = exam.try_settings(build, settings, settings.model_copy(update={"top_k": 1}), "mine", ("prompt",))
    assert trial.is_worse
    assert trial.changes[0].lost == ("When was the Marlow viaduct opened?",)
    assert open_store(settings).sittings("mine") == []
    exam.run_exam(_assistant(library, "In 1907."), settings, "mine", ("prompt",))
    built.clear()
    exam.try_settings(build, settings, settings.model_copy(update={"top_k": 1}), "mine", ("prompt",))
    assert built == [1]


def test_an_exam_without_kept_questions_says_what_to_do(library: Library):
    with pytest.raises(SettingError, match="exam build"):
        exam.run_exam(_assistant(library, "x"), library.settings, "mine")


def options(action: str, **changes: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    exam.add_arguments(parser)
    given = parser.parse_args([action, "--collection", "mine"])
    return argparse.Namespace(**{**vars(given), **changes})


def test_the_command_lists_reviews_and_tells_history(tmp_path: Path):
    settings = Settings(home=tmp_path / "home")
    open_store(settings).add([item("One?", status="proposed"), item("Two?", status="proposed")])
    first, second = exam.run(options("list"), settings)["questions"]
    assert (first["question"], second["status"]) == ("One?", "proposed")
    changes = {"id": first["id"], "question": "One, then?", "answer": ["1"]}
    [edited] = exam.run(options("review", **changes), settings)["questions"]
    assert (edited["question"], edited["answers"], edited["status"]) == ("One, then?", ("1",), "kept")
    assert [one["id"] for one in exam.run(options("review", status="dropped"), settings)["questions"]] == [second["id"]]
    open_store(settings).add_sitting(sitting(("rag", "One, then?", 1.0)))
    [told_sitting] = exam.run(options("history"), settings)["sittings"]
    assert told_sitting["modes"]["rag"]["right"]["mean"] == 1.0
    with pytest.raises(SettingError, match="exam list"):
        exam.run(options("review", id="nobody"), settings)
    with pytest.raises(SettingError, match="SETTING=VALUE"):
        exam.run(options("try", set=["top_k"]), settings)
