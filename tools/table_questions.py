"""Plain questions to tables made into SQL by rules: total, average, how many, highest, top n, per column, with filters.

English and Chinese. What the rules do not understand is not guessed: the plan is None, and the person or the model
may write the SQL. The query is always shown.
"""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tools.sql import reading
from tools.table_catalog import Column, Table, literal
from tools.table_words import (
    AGGREGATES,
    BOTTOM,
    COMPARISONS,
    DISTINCT,
    NUMBER,
    PER,
    ROWS,
    TOP,
    WHICH,
    number_of,
    place_of,
    stands_in,
    words_of,
)

MOST_VALUES = 5_000
NEAR = 12
_PATTERN = dict(AGGREGATES)


@dataclass(frozen=True)
class _Understood:
    """A lower-case question as far as it was understood for one table. `group` is the column after `per` or `by`."""

    text: str
    table: Table
    mentioned: tuple[Column, ...]
    filters: tuple[str, ...]
    group: Column | None

    @property
    def score(self) -> float:
        """How much of the question is about this table."""
        words = words_of(self.table.label)
        named = sum(len(word) > 1 and place_of(word, self.text) is not None for word in words)
        # A heading of three words that all stand there says more than one of a single word.
        headings = sum(1.5 + 0.5 * len(words_of(column.name)) for column in self.mentioned)
        return headings + 1.5 * len(self.filters) + named

    @property
    def values(self) -> tuple[Column, ...]:
        """The numeric columns asked for."""
        return tuple(column for column in self.mentioned if column.numeric and column is not self.group)

    @property
    def labels(self) -> tuple[Column, ...]:
        """The other columns asked for."""
        return tuple(column for column in self.mentioned if not column.numeric)

    def select(self, columns: str, *conditions: str, tail: str = "") -> str:
        """The query; `columns`, `conditions` and `tail` are SQL made of quoted names."""
        every = (*self.filters, *conditions)
        where = " WHERE " + " AND ".join(every) if every else ""
        return f"SELECT {columns} FROM {self.table.key}{where}{tail}"  # noqa: S608


def plan_question(question: str, tables: tuple[Table, ...], path: Path) -> str | None:
    """The SELECT that answers the question, or None where the rules cannot tell."""
    understood = [_understand(question.lower(), table, path) for table in tables if table.columns]
    # A stable order: of two tables that say as much, the first.
    understood.sort(key=lambda candidate: -candidate.score)
    alike = [candidate for candidate in understood if candidate.score == understood[0].score]
    return next((plan for asked in alike if (plan := _ranking(asked) or _aggregate(asked))), None)


def looks_like_table_question(question: str) -> bool:
    """Whether a question asks for a total, an average, a count, an extreme or a ranking."""
    text = question.lower()
    return bool(TOP.search(text)) or any(pattern.search(text) for _, pattern in AGGREGATES)


def _understand(text: str, table: Table, path: Path) -> _Understood:
    filters: list[str] = []
    rest = text
    for column, value in _values_of(table, path):
        if stands_in(value.lower(), rest):
            filters.append(f"{column.key} = {literal(value)}")
            rest = rest.replace(value.lower(), " " * len(value))
    mentioned = _mentioned(rest, table.columns)
    filters += _comparisons(rest, mentioned)
    return _Understood(text, table, mentioned, tuple(filters), _group(rest, mentioned))


def _aggregate(asked: _Understood) -> str | None:
    kind = next((name for name, pattern in AGGREGATES if pattern.search(asked.text)), None)
    value = next(iter(asked.values), None)
    if kind is None:
        return None
    if kind in ("max", "min") and value is not None and asked.group is None and WHICH.search(asked.text):
        return _extreme_row(asked, value, "DESC" if kind == "max" else "ASC")
    measure = _measure(asked, kind, value)
    if measure is None or asked.group is None:
        return measure and asked.select(measure)
    group = asked.group.key
    return asked.select(f"{group}, {measure}", tail=f" GROUP BY {group} ORDER BY 2 DESC, 1")


def _measure(asked: _Understood, kind: str, value: Column | None) -> str | None:
    """The aggregate; "the total number of orders" counts, and so does 一共多少个."""
    counts = bool(_PATTERN["count"].search(asked.text))
    if kind != "count" and value is not None and not (counts and kind == "sum" and value not in asked.values):
        return f"{kind}({value.key if kind in ('sum', 'avg') else value.sql})"
    other = next((column for column in asked.mentioned if column is not asked.group), None)
    if kind in ("max", "min"):
        return f"{kind}({other.sql})" if other else None
    # Without a word about this table a count would answer another question.
    if not counts or not (asked.score or ROWS.search(asked.text)):
        return None
    return f"count(DISTINCT {other.key})" if other and DISTINCT.search(asked.text) else "count(*)"


def _ranking(asked: _Understood) -> str | None:
    """`top 3 products by sales`: rows; with a word of summing, groups."""
    bottom = BOTTOM.search(asked.text)
    match = bottom or TOP.search(asked.text)
    by = next((column for column in reversed(asked.mentioned) if column.numeric), None)
    if match is None or by is None:
        return None
    count = number_of(next(part for part in match.groups() if part))
    tail = f" {'ASC' if bottom else 'DESC'} LIMIT {count}"
    value, label = by.sql, next(iter(asked.labels), None)
    if label is None:
        return asked.select("*", f"{value} IS NOT NULL", tail=f" ORDER BY {value}{tail}")
    if _PATTERN["sum"].search(asked.text):
        return asked.select(f"{label.key}, sum({by.key})", tail=f" GROUP BY 1 ORDER BY 2{tail}")
    return asked.select(f"{label.key}, {value}", f"{value} IS NOT NULL", tail=f" ORDER BY {value}{tail}")


def _extreme_row(asked: _Understood, value: Column, direction: str) -> str:
    first = tuple(column for column in asked.table.columns if not column.numeric)[:1]
    columns = ", ".join(column.key for column in (*(asked.labels or first), value))
    name = value.sql
    return asked.select(columns, f"{name} IS NOT NULL", tail=f" ORDER BY {name} {direction} LIMIT 1")


def _group(text: str, mentioned: tuple[Column, ...]) -> Column | None:
    """The column named right after `per`, `by`, `for each`, 每, 按, 各; in a ranking, `by` names the measure."""
    for match in PER.finditer(text):
        after = match["en"] or match["zh"]
        places = {column: place for column in mentioned if (place := place_of(column.name, after)) is not None}
        nearest = min(places, key=lambda column: places[column], default=None)
        if nearest is not None and places[nearest] <= NEAR and not (TOP.search(text) and nearest.numeric):
            return nearest
    return None


def _mentioned(text: str, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """The columns named in the text, in its order; where two begin at one place, the one with more words.

    A heading that stands in the text word for word is named before those that share words with it.
    """
    best: dict[int, Column] = {}
    whole = [column for column in columns if column.name.lower() in text]
    longest = [column for column in whole if not any(_is_within(column, other) for other in whole)]
    said = " ".join(column.name.lower() for column in longest)
    for column in columns:
        if column not in longest and longest and words_of(column.name) <= words_of(said):
            continue
        place = place_of(column.name, text)
        if place is not None and (place not in best or len(words_of(column.name)) > len(words_of(best[place].name))):
            best[place] = column
    return tuple(best[place] for place in sorted(best))


def _is_within(column: Column, other: Column) -> bool:
    return column is not other and column.name.lower() in other.name.lower()


def _values_of(table: Table, path: Path) -> Iterator[tuple[Column, str]]:
    """The distinct values of the text columns, longest first within a column."""
    headings = frozenset[str]().union(*(words_of(column.name) for column in table.columns))
    with reading(path) as connection:
        for column in table.columns:
            if column.numeric:
                continue
            sql = f"SELECT DISTINCT {column.key} FROM {table.key} LIMIT {MOST_VALUES}"  # noqa: S608
            with closing(connection.execute(sql)) as cursor:
                values = [value for (value,) in cursor if isinstance(value, str) and 1 < len(value) <= 60]
            for value in sorted(values, key=len, reverse=True):
                # A value that is itself a heading ("Total") says nothing about rows.
                if value.lower() not in headings:
                    yield column, value


def _comparisons(text: str, mentioned: tuple[Column, ...]) -> list[str]:
    """`price over 100`: a condition on the numeric column named last before it, else on the first."""
    conditions: list[str] = []
    numeric = [column for column in mentioned if column.numeric]
    for sign, pattern in COMPARISONS:
        for match in re.finditer(pattern + NUMBER, text):
            before = [column for column in numeric if place_of(column.name, text[: match.start()]) is not None]
            column = before[-1] if before else next(iter(numeric), None)
            if column is not None:
                conditions.append(f"{column.sql} {sign} {match[1].replace(',', '')}")
        text = re.sub(pattern + NUMBER, " ", text)
    return conditions
