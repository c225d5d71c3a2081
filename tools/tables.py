"""Questions to the tables that ingestion stored: totals, averages, counts and rankings come from the rows, by SQL."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.errors import ToolError
from core.language import Bilingual
from core.types import Scope
from tools.base import ToolEntry, built_in
from tools.sql import SqlAnswer, run_query
from tools.table_catalog import Table, tables_in
from tools.table_questions import plan_question

TablesOf = Callable[[str], Path | None]
WithDetails = tuple[str, dict[str, Any]]
MOST_SHOWN = 30
ASK_TABLES = "ask_tables"


def table_tools(tables_of: TablesOf, scope: Scope) -> tuple[ToolEntry, ...]:
    """The three tools over the tables of a collection."""

    def list_tables() -> str:
        """List the tables with their columns."""
        return "\n".join(table.described() for table in tables_in(_path(tables_of, scope), scope.document_ids))

    def ask_tables(question: str) -> WithDetails:
        """Answer a question from the rows.

        Args:
            question: the question in plain words, such as: total amount per city

        """
        path = _path(tables_of, scope)
        tables = tables_in(path, scope.document_ids)
        plan = plan_question(question, tables, path)
        if plan is None:
            raise ToolError(_unclear(tables))
        return _reported(run_query(path, plan))

    def query_tables(sql: str) -> WithDetails:
        """Run a query.

        Args:
            sql: one SELECT statement of SQLite

        """
        return _reported(run_query(_path(tables_of, scope), sql))

    return (
        built_in(ask_tables, Bilingual("Ask the tables", "询问表格"), _ASK, with_details=True, quotes=True),
        built_in(
            query_tables, Bilingual("Query the tables (SQL)", "查询表格（SQL）"), _QUERY, with_details=True, quotes=True
        ),
        built_in(list_tables, Bilingual("List the tables", "列出表格"), _LIST, quotes=True),
    )


def can_answer(question: str, tables_of: TablesOf, scope: Scope) -> bool:
    """Whether the rules make a query of the question over the tables of the scope."""
    path = tables_of(scope.collection)
    if path is None or not path.is_file():
        return False
    return plan_question(question, tables_in(path, scope.document_ids), path) is not None


_ASK = Bilingual(
    "Answer a question about totals, averages, counts, minimum, maximum or top rows from the user's spreadsheets.",
    "根据用户的表格回答总和、平均、数量、最大、最小、排名等问题。",
)
_QUERY = Bilingual("Run one SQL SELECT over the user's spreadsheets.", "对用户的表格执行一条 SQL SELECT 查询。")
_LIST = Bilingual("List the user's spreadsheets and their columns.", "列出用户的表格及其列名。")


def _path(tables_of: TablesOf, scope: Scope) -> Path:
    path = tables_of(scope.collection)
    if path is None or not path.is_file():
        raise ToolError(
            Bilingual(
                en="There are no tables yet. Add a CSV or Excel file to the collection.",
                zh="还没有表格。请向集合添加 CSV 或 Excel 文件。",
            )
        )
    return path


def _reported(answer: SqlAnswer) -> WithDetails:
    """The rows as text, one line each under the names of the columns; a single cell stands alone."""
    details = {"sql": answer.sql, "columns": list(answer.columns), "rows": [list(row) for row in answer.rows]}
    if len(answer.rows) == 1 and len(answer.columns) == 1:
        text = shown(answer.rows[0][0])
    else:
        lines = [" | ".join(answer.columns), *(" | ".join(map(shown, row)) for row in answer.rows[:MOST_SHOWN])]
        text = "\n".join(lines) if answer.rows else "no rows"
    if answer.more or len(answer.rows) > MOST_SHOWN:
        text += f"\n(first {min(MOST_SHOWN, len(answer.rows))} rows)"
    if answer.ignored:
        text += f"\n({answer.ignored} cells are not numbers and were left out)"
    return text, details


def shown(value: Any) -> str:
    """A cell as text: no trailing `.0`, no exponent for ordinary sizes, nothing for NULL."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)


def _unclear(tables: tuple[Table, ...]) -> Bilingual:
    known = "; ".join(table.described() for table in tables[:5])
    return Bilingual(
        en=f"The question names no column that I can find. Tables: {known}",
        zh=f"问题中没有可识别的列名。表格：{known}",
    )
