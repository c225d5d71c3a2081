"""Real spreadsheets and a large CSV, ingested as a person would, asked through the assistant; Python is the oracle."""

import csv
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from core.config import load_settings
from core.types import Question
from inference.fakes import FAKE_INFO, FakeEngine
from ingest.pipeline import IngestOptions, IngestPipeline
from orchestrator.build import build_assistant
from orchestrator.events import AnswerCompleted, ToolFinished
from retrieval.fakes import HashEmbedder
from retrieval.library import Library

SHEETS = ("markitdown__test.xlsx", "tika__test-columnar.xlsx", "format-corpus__Reviews.xls")
Ask = Callable[[str], str]


def asking(home: Path, files: list[Path]) -> Ask:
    """Ingest the files into a data folder of their own; return what puts a question to its assistant."""
    settings = load_settings(home=home)
    library = Library(settings, HashEmbedder())
    for _ in IngestPipeline(library, settings).run(files, options=IngestOptions(embed=False)):
        pass
    engine = FakeEngine([""], replace(FAKE_INFO, n_parameters=135_000_000))
    assistant = build_assistant(settings, engine=engine, library=library)

    def ask(text: str) -> str:
        *events, end = assistant.answer(Question(text, mode="tools"))
        assert isinstance(end, AnswerCompleted), end
        (call,) = [event for event in events if isinstance(event, ToolFinished)]
        assert call.call.name == "ask_tables"
        assert str(call.details["sql"]).startswith("SELECT"), "the query is shown"
        assert engine.requests == [], "the rows answer, not the model"
        return end.text

    return ask


@pytest.fixture(scope="module")
def sheets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ask, dict[str, list[dict[str, Any]]]]:
    """The three spreadsheets behind an assistant, and their rows as another reader sees them."""
    folder = (Path(__file__).parents[2] / load_settings().eval_data / "files" / "normal").resolve()
    files = [folder / name for name in SHEETS]
    if not all(file.is_file() for file in files):
        pytest.skip("the evaluation files are not here (FOURFOLD_EVAL_DATA)")
    return asking(tmp_path_factory.mktemp("home"), files), {file.name: rows_of(file) for file in files}


def numbers(rows: list[dict[str, Any]], column: str) -> list[float]:
    return [row[column] for row in rows if isinstance(row[column], float)]


def rows_of(file: Path) -> list[dict[str, Any]]:
    book = CalamineWorkbook.from_path(str(file))
    head, *rows = book.get_sheet_by_name(book.sheet_names[0]).to_python()
    return [dict(zip(map(str, head), row, strict=True)) for row in rows]


@pytest.mark.parametrize(
    ("english", "chinese", "of"),
    [
        ("What is the total Alpha?", "Alpha 的总和是多少？", lambda rows: sum(numbers(rows, "Alpha"))),
        ("What is the average Beta?", "Beta 的平均值是多少？", lambda rows: fmean(numbers(rows, "Beta"))),
        ("What is the highest Gamma?", "Gamma 的最大值是多少？", lambda rows: max(numbers(rows, "Gamma"))),
        (
            "How many rows have Delta greater than 50?",
            "Delta 大于 50 的有多少行？",
            lambda rows: sum(number > 50 for number in numbers(rows, "Delta")),
        ),
    ],
)
def test_figures_of_the_first_sheet(
    sheets: tuple[Ask, dict[str, list[dict[str, Any]]]], english: str, chinese: str, of: Callable[[Any], float]
) -> None:
    ask, rows = sheets
    for question in (english, chinese):
        figure, *note = ask(question).splitlines()
        assert float(figure) == pytest.approx(of(rows[SHEETS[0]]), rel=1e-12), question
        # One row of this sheet holds words: what is not counted is told.
        assert note in ([], ["(1 cells are not numbers and were left out)"])


@pytest.mark.parametrize(
    ("english", "chinese", "column", "figure"),
    [
        (
            "What is the sum of Square of the Record Number?",
            "Square of the Record Number 的合计是多少？",
            "Square of the Record Number",
            sum,
        ),
        ("What is the average Record Number?", "Record Number 的平均值是多少？", "Record Number", fmean),
        ("What is the average Percent Done?", "Percent Done 的平均值是多少？", "Percent Done", fmean),
    ],
)
def test_figures_of_the_second_sheet(
    sheets: tuple[Ask, dict[str, list[dict[str, Any]]]],
    english: str,
    chinese: str,
    column: str,
    figure: Callable[[list[float]], float],
) -> None:
    ask, rows = sheets
    wanted = figure(numbers(rows[SHEETS[1]], column))
    for question in (english, chinese):
        assert float(ask(question).splitlines()[0]) == pytest.approx(wanted, rel=1e-12), question


def test_counts_of_the_third_sheet(sheets: tuple[Ask, dict[str, list[dict[str, Any]]]]) -> None:
    ask, rows = sheets
    labels = Counter(row["Label"] for row in rows[SHEETS[2]])
    for question in ("How many reviews are from Naxos?", "Label 是 Naxos 的有多少条？"):
        assert ask(question) == str(labels["Naxos"]), question
    composers = len({row["Composer"] for row in rows[SHEETS[2]]})
    for question in ("How many different composers are there?", "有多少个不同的 Composer？"):
        assert ask(question) == str(composers), question


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ask, list[list[str]]]:
    """A CSV of 100,000 orders, as text: the oracle counts in decimals on the very strings of the file."""
    draw = random.Random(11)
    home = tmp_path_factory.mktemp("large")
    file = home / "orders.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["Order", "City", "Amount", "数量"])
        for number in range(100_000):
            amount = f"{draw.randrange(1, 99_999) / 100:.2f}"
            writer.writerow([number, draw.choice(("Paris", "Lagos", "上海")), amount, draw.randrange(1, 9)])
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))[1:]
    return asking(home / "data", [file]), rows


def test_a_csv_of_a_hundred_thousand_rows_is_counted_exactly(orders: tuple[Ask, list[list[str]]]) -> None:
    ask, rows = orders
    total = sum(Decimal(amount) for _, _, amount, _ in rows)
    assert Decimal(ask("What is the total Amount?")) == total
    assert Decimal(ask("Amount 的总和是多少？")) == total
    lagos = [Decimal(amount) for _, city, amount, _ in rows if city == "Lagos"]
    assert Decimal(ask("What is the total Amount in Lagos?")) == sum(lagos)
    assert float(ask("What is the average Amount in Lagos?")) == pytest.approx(float(sum(lagos) / len(lagos)))
    pieces = [int(count) for _, city, _, count in rows if city == "上海"]
    assert ask("上海的数量总和是多少？") == str(sum(pieces))
    assert ask("How many orders are there in Paris?") == str(sum(city == "Paris" for _, city, _, _ in rows))
