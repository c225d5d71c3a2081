"""PostgreSQL with pgvector: vectors and keywords of a collection in one database, changed in one transaction.

psycopg is imported here and in `core.postgres`. LangChain's own integration splits words by the server's dictionaries,
which have none for Chinese, and commits vectors and bookkeeping apart; so the tables are ours: the terms come from
`retrieval.analysis`, and BM25 is counted over a table of postings, by the formula of the embedded index.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolTimeout

from core.errors import BackendError
from retrieval.backends.contract import Change, CollectionKey, Row, Watermark
from retrieval.backends.messages import describe_failure, describe_mismatch
from retrieval.backends.postgres_words import FIELDS, NO_TOTALS, WordSearch
from retrieval.legs import DenseHit
from retrieval.lexical_index import Field, LexicalHit, LexicalQuery, rounded_length
from retrieval.protocol import Vectors

_SECONDS_TO_CONNECT = 10.0
# So few chunks are compared one by one: exact, and where a filter leaves them quicker than a graph led astray by it.
_EXACT_BELOW = 50_000
_SEARCH_WIDTH = 200
# So much further than what is wanted goes the walk, as here; pgvector takes no more than 1,000.
_WALK, _GREATEST_WIDTH = 12, 1_000

_CATALOGUE = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE SCHEMA IF NOT EXISTS fourfold;
CREATE TABLE IF NOT EXISTS fourfold.collections (
    id serial PRIMARY KEY,
    tenant text NOT NULL,
    name text NOT NULL,
    identity text NOT NULL,
    encoder text NOT NULL,
    dimension int NOT NULL,
    chunks bigint NOT NULL DEFAULT 0,
    vectors bigint NOT NULL DEFAULT 0,
    removed bigint NOT NULL DEFAULT 0,
    -- Chunks, then terms by field: what BM25 asks for every question, so it is kept and not counted.
    totals bigint[] NOT NULL,
    UNIQUE (tenant, name)
);
"""
_TABLES = """
CREATE TABLE IF NOT EXISTS {chunks} (
    number bigint PRIMARY KEY, document bigint NOT NULL, lengths int[] NOT NULL, embedding vector({dimension})
);
CREATE INDEX IF NOT EXISTS {by_document} ON {chunks} (document);
CREATE INDEX IF NOT EXISTS {by_vector} ON {chunks}
    USING hnsw (embedding vector_ip_ops) WITH (m = 24, ef_construction = 300);
CREATE TABLE IF NOT EXISTS {postings} (
    field smallint NOT NULL, term text NOT NULL, number bigint NOT NULL, count smallint NOT NULL, length int NOT NULL,
    places int[] NOT NULL, PRIMARY KEY (field, term, number)
);
CREATE INDEX IF NOT EXISTS {by_number} ON {postings} (number);
"""


class PostgresBackend:
    """A PostgreSQL server (16 or newer, pgvector 0.8 or newer). Thread-safe."""

    def __init__(self, url: str, exact_below: int = _EXACT_BELOW) -> None:
        """`url` as libpq reads it: postgresql://user:password@host:port/database.

        At most `exact_below` chunks, of the whole or left by a filter, are compared one by one.
        """
        self.exact_below = exact_below
        known = conninfo_to_dict(url)
        self._name = (
            f"postgresql://{known.get('host', 'localhost')}:{known.get('port', 5432)}/{known.get('dbname', '')}"
        )
        self._pool = ConnectionPool(
            url, min_size=0, max_size=8, timeout=_SECONDS_TO_CONNECT, open=True, kwargs={"autocommit": True}
        )
        self._is_prepared = False

    @property
    def name(self) -> str:
        """Address of the server, without user and password."""
        return self._name

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection of the pool; what goes wrong on it becomes a BackendError."""
        try:
            with self._pool.connection() as connection:
                yield connection
        except (psycopg.Error, PoolTimeout) as error:
            raise BackendError(describe_failure(self._name, error)) from error

    def health(self) -> str:
        """Versions of the server and of pgvector."""
        with self.connection() as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            server = connection.execute("SHOW server_version").fetchone()
            vector = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
        return f"PostgreSQL {server[0] if server else '?'}, pgvector {vector[0] if vector else '?'}"

    def open(self, key: CollectionKey) -> "PostgresCollection":
        """The collection of this key, made where it is missing; a copy of one that was deleted since is emptied."""
        with self.connection() as connection, connection.transaction():
            if not self._is_prepared:
                # Two processes at their first start would make the schema at one time.
                connection.execute("SELECT pg_advisory_xact_lock(4104)")
                connection.execute(_CATALOGUE)
            number, identity, encoder, dimension = _entry(connection, key)
            if (encoder, dimension) != (key.encoder, key.dimension):
                raise BackendError(describe_mismatch(self._name, key, encoder))
            connection.execute(_tables(number, dimension))
        self._is_prepared = True
        collection = PostgresCollection(self, number)
        if identity != key.identity:
            collection.clear(key.identity)
        return collection

    def forget(self, key: CollectionKey) -> bool:
        """Delete the copy of this tenant's collection, whatever made it; False where there is none."""
        query = "SELECT id FROM fourfold.collections WHERE tenant = %s AND name = %s"
        with self.connection() as connection:
            connection.execute(_CATALOGUE)
            row = connection.execute(query, (key.tenant, key.name)).fetchone()
        if row is not None:
            PostgresCollection(self, row[0]).drop()
        return row is not None

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class PostgresCollection:
    """One collection on a PostgreSQL server."""

    rows_at_once = 500

    def __init__(self, backend: PostgresBackend, number: int) -> None:
        self._backend = backend
        self._id = number
        self._chunks = sql.Identifier("fourfold", f"chunks_{number}")
        self._postings = sql.Identifier("fourfold", f"postings_{number}")
        self._words = WordSearch(number, self._chunks, self._postings)

    def watermark(self) -> Watermark:
        """How far the copy goes."""
        with self._backend.connection() as connection:
            row = connection.execute(
                "SELECT chunks, vectors, removed FROM fourfold.collections WHERE id = %s", (self._id,)
            ).fetchone()
        return Watermark(*row) if row else Watermark()

    def apply(self, change: Change) -> None:
        """Rows, vectors, removals and the watermark in one transaction."""
        with self._backend.connection() as connection, connection.transaction():
            touched = [*(row.number for row in change.rows), *change.removed]
            before = self._words.count(connection, touched)
            self._put_rows(connection, change.rows)
            self._put_vectors(connection, change)
            for table in (self._chunks, self._postings):
                self._delete(connection, table, change.removed)
            self._words.note(connection, before, self._words.count(connection, touched))
            until = change.until
            connection.execute(
                "UPDATE fourfold.collections SET chunks = %s, vectors = %s, removed = %s WHERE id = %s",
                (until.chunks, until.vectors, until.removed, self._id),
            )

    def settle(self) -> None:
        """Nothing: the graph grows with the rows."""

    def counts(self) -> dict[str, int]:
        """How many `chunks` and `vectors` there are."""
        query = sql.SQL("SELECT count(*), count(embedding) FROM {}").format(self._chunks)
        with self._backend.connection() as connection:
            row = connection.execute(query).fetchone() or (0, 0)
        return {"chunks": int(row[0]), "vectors": int(row[1])}

    def search_vectors(self, vector: Vectors, top_k: int, documents: Collection[int] | None = None) -> list[DenseHit]:
        """The nearest chunks, best first: one by one where there are few, or a filter leaves few, else by the graph."""
        asked = {"vector": _as_text(vector), "top_k": top_k, "documents": None if documents is None else [*documents]}
        chosen = sql.SQL("embedding IS NOT NULL" + ("" if documents is None else " AND document = ANY(%(documents)s)"))
        query = sql.SQL(
            "SELECT number, -(embedding <#> %(vector)s::vector) FROM {} WHERE {}"
            " ORDER BY embedding <#> %(vector)s::vector, number LIMIT %(top_k)s"
        ).format(self._chunks, chosen)
        with self._backend.connection() as connection, connection.transaction():
            if self._leaves_few(connection, chosen, asked):
                # Only the graph is read by an index scan of this kind.
                connection.execute("SET LOCAL enable_indexscan = off")
            width = max(_SEARCH_WIDTH, min(_GREATEST_WIDTH, _WALK * top_k))
            connection.execute(f"SET LOCAL hnsw.ef_search = {width}")
            connection.execute("SET LOCAL hnsw.iterative_scan = strict_order")
            rows = connection.execute(query, asked).fetchall()
        return sorted((DenseHit(row[0], float(row[1])) for row in rows), key=lambda hit: (-hit.score, hit.number))

    def search_words(
        self, query: LexicalQuery, top_k: int, documents: Collection[int] | None = None
    ) -> list[LexicalHit]:
        """The best chunks by BM25, all phrases in them."""
        with self._backend.connection() as connection:
            return self._words.search(connection, query, top_k, documents)

    def frequencies(self, terms: Collection[tuple[Field, str]]) -> dict[tuple[Field, str], int]:
        """In how many chunks each term stands in its field."""
        with self._backend.connection() as connection:
            return self._words.frequencies(connection, terms)

    def field_lengths(self) -> tuple[int, dict[Field, int]]:
        """How many chunks there are, and how many terms each field holds in all."""
        with self._backend.connection() as connection:
            return self._words.lengths(connection)

    def clear(self, identity: str | None = None) -> None:
        """Forget everything, the watermark too; `identity` is the collection's from now on."""
        with self._backend.connection() as connection, connection.transaction():
            connection.execute(sql.SQL("TRUNCATE {}, {}").format(self._chunks, self._postings))
            connection.execute(
                "UPDATE fourfold.collections SET chunks = 0, vectors = 0, removed = 0, totals = %s,"
                " identity = coalesce(%s, identity) WHERE id = %s",
                (NO_TOTALS, identity, self._id),
            )

    def drop(self) -> None:
        """Delete the copy."""
        with self._backend.connection() as connection, connection.transaction():
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}, {}").format(self._chunks, self._postings))
            connection.execute("DELETE FROM fourfold.collections WHERE id = %s", (self._id,))

    def _leaves_few(self, connection: psycopg.Connection[Any], chosen: sql.SQL, asked: Mapping[str, Any]) -> bool:
        """Whether so few chunks are looked at that each can be compared."""
        if asked["documents"] is None:
            # The watermark is at least the number of vectors, and need not be counted.
            row = connection.execute("SELECT vectors FROM fourfold.collections WHERE id = %s", (self._id,)).fetchone()
        else:
            counted = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(self._chunks, chosen)
            row = connection.execute(counted, asked).fetchone()
        return row is None or row[0] <= self._backend.exact_below

    def _put_rows(self, connection: psycopg.Connection[Any], rows: Sequence[Row]) -> None:
        if not rows:
            return
        inserted = sql.SQL(
            "INSERT INTO {} (number, document, lengths) VALUES (%s, %s, %s) ON CONFLICT (number)"
            " DO UPDATE SET document = excluded.document, lengths = excluded.lengths"
        ).format(self._chunks)
        lengths = [[len(row.terms.get(field, ())) for field in FIELDS] for row in rows]
        with connection.cursor() as cursor:
            cursor.executemany(
                inserted, [(row.number, row.document, found) for row, found in zip(rows, lengths, strict=True)]
            )
        self._delete(connection, self._postings, [row.number for row in rows])
        copied = sql.SQL("COPY {} (field, term, number, count, length, places) FROM STDIN").format(self._postings)
        with connection.cursor() as cursor, cursor.copy(copied) as copy:
            for row in rows:
                for posting in _postings(row):
                    copy.write_row(posting)

    def _put_vectors(self, connection: psycopg.Connection[Any], change: Change) -> None:
        query = sql.SQL("UPDATE {} SET embedding = %s::vector WHERE number = %s").format(self._chunks)
        rows = [(_as_text(vector), int(number)) for number, vector in zip(change.numbers, change.vectors, strict=True)]
        if rows:
            with connection.cursor() as cursor:
                cursor.executemany(query, rows)

    @staticmethod
    def _delete(connection: psycopg.Connection[Any], table: sql.Identifier, numbers: Sequence[int]) -> None:
        if numbers:
            connection.execute(sql.SQL("DELETE FROM {} WHERE number = ANY(%s)").format(table), (list(numbers),))


def _entry(connection: psycopg.Connection[Any], key: CollectionKey) -> tuple[int, str, str, int]:
    """Number, identity, encoder and dimension of a collection in the catalogue, written there where it is missing."""
    row = connection.execute(
        "INSERT INTO fourfold.collections (tenant, name, identity, encoder, dimension, totals)"
        " VALUES (%s, %s, %s, %s, %s, %s)"
        # An update that changes nothing: a row that is there already is returned too.
        " ON CONFLICT (tenant, name) DO UPDATE SET name = excluded.name RETURNING id, identity, encoder, dimension",
        (key.tenant, key.name, key.identity, key.encoder, key.dimension, NO_TOTALS),
    ).fetchone()
    if row is None:
        raise psycopg.DataError("no row came back")
    return (row[0], row[1], row[2], row[3])


def _postings(row: Row) -> Iterator[tuple[int, str, int, int, int, list[int]]]:
    for place, field in enumerate(FIELDS):
        words = row.terms.get(field, ())
        places: dict[str, list[int]] = {}
        for position, term in enumerate(words):
            places.setdefault(term, []).append(position)
        for term, count in Counter(words).items():
            # Phrases are looked for among words only.
            kept = [] if field == "letters" else places[term]
            yield place, term.replace("\x00", ""), row.number, min(count, 32_767), rounded_length(len(words)), kept


def _tables(number: int, dimension: int) -> sql.Composed:
    names = {
        "chunks": sql.Identifier("fourfold", f"chunks_{number}"),
        "postings": sql.Identifier("fourfold", f"postings_{number}"),
        "by_document": sql.Identifier(f"chunks_{number}_by_document"),
        "by_vector": sql.Identifier(f"chunks_{number}_by_vector"),
        "by_number": sql.Identifier(f"postings_{number}_by_number"),
    }
    return sql.SQL(_TABLES).format(dimension=sql.Literal(int(dimension)), **names)


def _as_text(vector: Vectors) -> str:
    return "[" + ",".join(map(repr, np.asarray(vector, np.float32).tolist())) + "]"
