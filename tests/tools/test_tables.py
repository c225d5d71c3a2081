"""Totals over tables: exact against Python's own arithmetic, in both languages; nothing but reading gets through."""

import csv
import random
from collections import Counter
from decimal import Decimal

import pytest

from core.errors import ToolError
from core.types import Scope
from retrieval.tables import TableData, TableFile
from tools.sql import run_query
from tools.table_catalog import tables_in
from tools.table_questions import plan_question
from tools.tables import table_tools

CITIES = ("Paris", "New York", "Beijing", "Lagos")
Orders = tuple[TableFile, list[list[str]]]
PEOPLE: list[tuple[str | int | float | None, ...]] = [
    ("张三", "研发", 10000, 30),
    ("李四", "研发", "12,000", 40),
    ("王五", "市场", "N/A", 25),
]


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Orders:
    """100,000 rows written as CSV and read back as text: the oracle counts in decimals on those very strings."""
    random.seed(7)
    folder = tmp_path_factory.mktemp("tables")
    path = folder / "orders.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(
            (number, random.choice(CITIES), f"{random.randrange(1, 99999) / 100:.2f}") for number in range(100_000)
        )
    rows = list(csv.reader(path.open(newline="")))
    file = TableFile(folder)
    values = [(int(number), city, float(amount)) for number, city, amount in rows]
    file.put("d1", "file:///orders.csv", [TableData("orders", ("Order ID", "City", "Amount"), values)])
    file.put("d2", "file:///员工.xlsx", [TableData("员工", ("姓名", "部门", "工资", "年龄"), PEOPLE)])
    return file, rows


def ask(file: TableFile, question: str) -> str:
    tools = {entry.name: entry.tool for entry in table_tools(lambda _name: file.path, Scope())}
    return str(tools["ask_tables"].invoke({"question": question}))


def test_sums_averages_and_counts_over_a_hundred_thousand_rows_are_exact(orders: Orders) -> None:
    file, rows = orders
    total = sum(Decimal(amount) for _, _, amount in rows)
    paris = [Decimal(amount) for _, city, amount in rows if city == "Paris"]
    assert Decimal(ask(file, "What is the total amount?")) == total
    assert Decimal(ask(file, "金额总和是多少？")) == total
    assert float(ask(file, "average amount in Paris")) == float(sum(paris) / len(paris))
    assert ask(file, "How many orders are there from Paris?") == str(len(paris))
    by_city = Counter(city for _, city, _ in rows)
    assert dict(line.split(" | ") for line in ask(file, "how many orders per city").splitlines()[1:]) == {
        city: str(count) for city, count in by_city.items()
    }


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("研发部门的平均工资是多少？", "11000"),
        ("研发部门有多少人？", "2"),
        ("年龄大于28的有几个人", "2"),
        ("工资最高的是谁？", "姓名 | 工资\n李四 | 12,000"),
        ("How many different cities are there in orders?", "4"),
    ],
)
def test_questions_are_read_in_both_languages(orders: Orders, question: str, answer: str) -> None:
    assert ask(orders[0], question) == answer


@pytest.mark.parametrize("question", ["What is the weather like?", "Who wrote Hamlet?", "How many moons has Jupiter?"])
def test_what_no_column_answers_is_not_guessed(orders: Orders, question: str) -> None:
    path = orders[0].path
    assert plan_question(question, tables_in(path), path) is None


def test_a_document_outside_the_scope_is_not_asked(orders: Orders) -> None:
    assert [table.label for table in tables_in(orders[0].path, ("d2",))] == ["员工"]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM catalogue",
        "SELECT 1; DROP TABLE catalogue",
        "ATTACH DATABASE '/etc/passwd' AS x",
        "PRAGMA query_only=OFF",
        "SELECT * FROM pragma_database_list",
        "SELECT load_extension('x')",
        "SELECT readfile('/etc/passwd')",
        "CREATE TEMP TABLE x (y)",
        "VACUUM INTO '/tmp/stolen.db'",
        "SELECT zeroblob(1000000000)",
        "SELECT printf('%.*c', 2000000000, 'x')",
        "SELECT format('%.*c', 2000000000, 'x')",
        "UPDATE catalogue SET rows = 1 RETURNING rows",
        "CREATE VIRTUAL TABLE z USING csv(filename='/etc/passwd')",
    ],
)
def test_sql_can_only_read_and_only_for_a_while(orders: Orders, sql: str) -> None:
    before = orders[0].path.read_bytes()
    with pytest.raises(ToolError):
        run_query(orders[0].path, sql, seconds=0.3)
    assert orders[0].path.read_bytes() == before
