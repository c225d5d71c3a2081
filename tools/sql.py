"""One read-only question to a SQLite file of tables, fenced four times: mode, authorizer, clock, size limits."""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ToolError
from core.language import Bilingual
from tools.decimal_sums import sum_exactly

SECONDS = 5.0
MOST_ROWS = 200
LONGEST_SQL = 5_000
LONGEST_VALUE = 1_000_000
STEPS_BETWEEN_CHECKS = 10_000
_ALLOWED = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE))
# Functions that touch more than the row before them, or make something huge of nothing:
# `printf('%.*c', 2000000000, 'x')` works for minutes inside one step, where no clock is looked at.
_FORBIDDEN_FUNCTIONS = frozenset(
    re.findall(
        r"\w+",
        "load_extension readfile writefile edit fts3_tokenizer zeroblob randomblob sqlite_dbpage printf format",
    )
)


@dataclass(frozen=True)
class SqlAnswer:
    """The rows of a query, at most MOST_ROWS (`more`: there were others); `ignored` cells were not numbers in a sum."""

    sql: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    more: bool
    ignored: int


def run_query(path: Path, sql: str, seconds: float = SECONDS) -> SqlAnswer:
    """Run one SELECT. Raises ToolError with SQLite's reason for a mistake, and for anything that is not reading."""
    if len(sql) > LONGEST_SQL:
        raise ToolError(Bilingual(en="The query is too long.", zh="查询语句过长。"))
    ignored: list[str] = []
    try:
        with reading(path, seconds, ignored) as connection:
            cursor = connection.execute(sql)
            rows = cursor.fetchmany(MOST_ROWS + 1)
            columns = tuple(column[0] for column in cursor.description or ())
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise ToolError(_reason(error)) from error
    return SqlAnswer(sql, columns, tuple(rows[:MOST_ROWS]), len(rows) > MOST_ROWS, len(ignored))


@contextmanager
def reading(path: Path, seconds: float = SECONDS, ignored: list[str] | None = None) -> Iterator[sqlite3.Connection]:
    """A connection that can do nothing but read, for `seconds`. Cells that are no numbers in a sum go to `ignored`."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA trusted_schema=OFF")
        for limit, value in (
            (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
            (sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE),
            (sqlite3.SQLITE_LIMIT_SQL_LENGTH, LONGEST_SQL + 1),
            (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 100),
            (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 20),
        ):
            connection.setlimit(limit, value)
        sum_exactly(connection, ignored if ignored is not None else [])
        deadline = time.monotonic() + seconds
        connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS_BETWEEN_CHECKS)
        connection.set_authorizer(_authorize)
        yield connection


def _authorize(action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if (second or "").lower() in _FORBIDDEN_FUNCTIONS else sqlite3.SQLITE_OK
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _reason(error: Exception) -> Bilingual:
    text = str(error)
    if "interrupted" in text:
        return Bilingual(en=f"The query took longer than {SECONDS:g} s.", zh=f"查询超过 {SECONDS:g} 秒，已停止。")
    if "not authorized" in text or "readonly" in text or "prohibited" in text or "one statement" in text:
        return Bilingual(
            en=f"Only one SELECT over the tables is allowed ({text}).", zh=f"只允许对表执行一条 SELECT（{text}）。"
        )
    return Bilingual(en=f"SQLite refused the query: {text}.", zh=f"SQLite 拒绝了该查询：{text}。")
