"""BM25 in SQL over a table of postings: the formula and constants of the embedded index (k1 1.2, b 0.75).

BM25 after Robertson & Zaragoza 2009, "The Probabilistic Relevance Framework", with the rarity that tantivy uses.
"""

from collections.abc import Collection, Sequence
from typing import Any

import psycopg
from psycopg import sql

from retrieval.lexical_index import FIELD_WEIGHTS, Field, LexicalHit, LexicalQuery

FIELDS: tuple[Field, ...] = tuple(FIELD_WEIGHTS)
# Chunks, then terms by field.
NO_TOTALS = [0] * (1 + len(FIELDS))

_SEARCH = """
WITH wanted AS (
    SELECT * FROM unnest(%(fields)s::smallint[], %(terms)s::text[], %(weights)s::float8[]) AS w (field, term, weight)
), found AS (
    SELECT p.number, p.count, p.length, p.field, p.term, w.weight,
           count(*) OVER (PARTITION BY p.field, p.term) AS frequency
    FROM {postings} AS p JOIN wanted AS w USING (field, term)
)
SELECT number, sum(
    weight * ln(1 + (%(rows)s - frequency + 0.5) / (frequency + 0.5))
    * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * length / (%(means)s::float8[])[field + 1]))
) AS score
FROM found WHERE {filters} GROUP BY number ORDER BY score DESC, number LIMIT %(top_k)s
"""
_FREQUENCIES = """
SELECT field, term, count(*) FROM {postings}
JOIN unnest(%s::smallint[], %s::text[]) AS w (field, term) USING (field, term) GROUP BY field, term
"""


class WordSearch:
    """Keyword search over the tables of one collection."""

    def __init__(self, collection: int, chunks: sql.Identifier, postings: sql.Identifier) -> None:
        self._id = collection
        self._chunks = chunks
        self._postings = postings

    def lengths(self, connection: psycopg.Connection[Any]) -> tuple[int, dict[Field, int]]:
        """How many chunks there are, and how many terms each field holds in all, as they were noted."""
        row = connection.execute("SELECT totals FROM fourfold.collections WHERE id = %s", (self._id,)).fetchone()
        rows, *lengths = row[0] if row else NO_TOTALS
        return rows, dict(zip(FIELDS, lengths, strict=True))

    def count(self, connection: psycopg.Connection[Any], numbers: Sequence[int]) -> list[int]:
        """The same, counted, for some chunks."""
        sums = sql.SQL(", ").join(
            sql.SQL("coalesce(sum(lengths[{}]), 0)").format(place) for place in range(1, len(FIELDS) + 1)
        )
        query = sql.SQL("SELECT count(*), {} FROM {} WHERE number = ANY(%s)").format(sums, self._chunks)
        row = connection.execute(query, (list(numbers),)).fetchone()
        return [int(value) for value in row or NO_TOTALS]

    def note(self, connection: psycopg.Connection[Any], before: Sequence[int], after: Sequence[int]) -> None:
        """Add to the totals what became of some chunks."""
        known, lengths = self.lengths(connection)
        totals = [known, *lengths.values()]
        changed = [total + new - old for total, new, old in zip(totals, after, before, strict=True)]
        connection.execute("UPDATE fourfold.collections SET totals = %s WHERE id = %s", (changed, self._id))

    def frequencies(
        self, connection: psycopg.Connection[Any], terms: Collection[tuple[Field, str]]
    ) -> dict[tuple[Field, str], int]:
        """In how many chunks each term stands in its field."""
        wanted = sorted(terms)
        rows = connection.execute(
            sql.SQL(_FREQUENCIES).format(postings=self._postings),
            ([FIELDS.index(field) for field, _ in wanted], [term for _, term in wanted]),
        )
        return {(FIELDS[field], term): int(count) for field, term, count in rows}

    def search(
        self, connection: psycopg.Connection[Any], query: LexicalQuery, top_k: int, documents: Collection[int] | None
    ) -> list[LexicalHit]:
        """The best `top_k` chunks holding any of the terms and all of the phrases, best first."""
        wanted = [
            (FIELDS.index(field), term, FIELD_WEIGHTS[field] * count)
            for field, counts in query.by_field.items()
            for term, count in counts.items()
        ]
        rows, lengths = self.lengths(connection)
        if not wanted or not rows:
            return []
        parameters: dict[str, Any] = {
            "fields": [field for field, _, _ in wanted],
            "terms": [term for _, term, _ in wanted],
            "weights": [weight for _, _, weight in wanted],
            "rows": rows,
            "means": [max(1e-9, lengths[field] / rows) for field in FIELDS],
            "top_k": top_k,
        }
        filters = self._filters(query, documents, parameters)
        found = connection.execute(sql.SQL(_SEARCH).format(postings=self._postings, filters=filters), parameters)
        return [LexicalHit(row[0], float(row[1])) for row in found]

    def _filters(
        self, query: LexicalQuery, documents: Collection[int] | None, parameters: dict[str, Any]
    ) -> sql.Composable:
        parts: list[sql.Composable] = [sql.SQL("true")]
        if documents is not None:
            parameters["documents"] = list(documents)
            chosen = sql.SQL("number IN (SELECT number FROM {} WHERE document = ANY(%(documents)s))")
            parts.append(chosen.format(self._chunks))
        for place, phrase in enumerate(query.phrases):
            parts.append(sql.SQL("number IN ({})").format(self._phrase(f"p{place}", phrase, parameters)))
        return sql.SQL(" AND ").join(parts)

    def _phrase(self, name: str, phrase: Sequence[str], parameters: dict[str, Any]) -> sql.Composable:
        """The chunks where the terms follow one another, in the body or in the heading."""
        parameters[name] = list(phrase)
        searched = [FIELDS.index("body"), FIELDS.index("heading")]
        # A place counts once for each term of the phrase that starts it there: all of them, and the phrase stands.
        query = """
            SELECT p.number FROM {postings} AS p
            JOIN unnest(%({name})s::text[]) WITH ORDINALITY AS w (term, step) USING (term), unnest(p.places) AS place
            WHERE p.field = ANY({searched}) GROUP BY p.number, p.field, place - w.step
            HAVING count(DISTINCT w.step) = {size}"""
        return sql.SQL(query.replace("{name}", name)).format(
            postings=self._postings, searched=searched, size=sql.Literal(len(phrase))
        )
