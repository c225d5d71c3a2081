"""Tables of the application on a PostgreSQL server, a schema for each owner: no query of one can name a row of another.

psycopg is imported here and in `retrieval.backends.postgres`, when a setting names a server.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from core.database import Rows, Statements
from core.errors import DatabaseError, MissingExtraError
from core.language import Bilingual

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg_pool import ConnectionPool

_SECONDS_TO_CONNECT = 10.0
_MOST_CONNECTIONS = 16


class PostgresSchema:
    """One schema, made with its tables where it is missing. Thread-safe."""

    def __init__(self, url: str, owner: str, steps: Mapping[int, str]) -> None:
        """`url` as libpq reads it; `steps` lead from each version of the tables to the next, from 1."""
        self._pool = _pool(url)
        self._schema = schema_of(owner)
        with _connection(self._pool) as connection:
            _prepare(connection, self._schema, steps)

    @contextmanager
    def transaction(self) -> Iterator[Statements]:
        """Statements in this schema, committed at the end of the block or undone where it raises."""
        with _connection(self._pool) as connection:
            _enter(connection, self._schema)
            yield _Statements(connection)


class _Statements:
    def __init__(self, connection: "Connection[Any]") -> None:
        self._connection = connection

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Rows:
        """Run one statement of the shared SQL."""
        text = sql.replace("?", "%s").replace("rowid", "number").replace(" LIKE ", " ILIKE ")
        kept = [value.replace("\x00", "") if isinstance(value, str) else value for value in values]
        return cast(Rows, self._connection.execute(cast(Any, text), kept))


def drop_schema(url: str, owner: str) -> None:
    """Delete everything that the server at `url` keeps of an owner. Raises DatabaseError."""
    from psycopg import sql

    with _connection(_pool(url)) as connection:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema_of(owner))))


def schema_of(owner: str) -> str:
    """The name of an owner's schema."""
    return f"fourfold_{owner or 'home'}"


@contextmanager
def _connection(pool: "ConnectionPool[Any]") -> Iterator["Connection[Any]"]:
    """A connection in a transaction; what goes wrong on it becomes a DatabaseError."""
    import psycopg
    from psycopg_pool import PoolTimeout

    try:
        with pool.connection() as connection, connection.transaction():
            yield connection
    except (psycopg.Error, PoolTimeout) as error:
        raise DatabaseError(_describe(error)) from error


@functools.cache
def _pool(url: str) -> "ConnectionPool[Any]":
    """One pool a server, for all owners in this process."""
    try:
        from psycopg_pool import ConnectionPool
    except ModuleNotFoundError:
        raise MissingExtraError(
            Bilingual("Keeping conversations in PostgreSQL", "将对话保存到 PostgreSQL "), "postgres"
        ) from None
    return ConnectionPool(url, min_size=0, max_size=_MOST_CONNECTIONS, timeout=_SECONDS_TO_CONNECT, open=True)


def _prepare(connection: "Connection[Any]", schema: str, steps: Mapping[int, str]) -> None:
    from psycopg import sql

    # Two processes at their first start would make the schema at one time.
    connection.execute("SELECT pg_advisory_xact_lock(4105)")
    connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
    _enter(connection, schema)
    connection.execute("CREATE TABLE IF NOT EXISTS version (known int NOT NULL)")
    row = connection.execute("SELECT max(known) FROM version").fetchone()
    known = int(row[0] or 0) if row else 0
    for number in range(known + 1, max(steps, default=0) + 1):
        connection.execute(cast(Any, _translated(steps[number])))
        connection.execute("INSERT INTO version VALUES (%s)", (number,))


def _translated(step: str) -> str:
    """Tables of SQLite as PostgreSQL knows them: numbers of eight bytes, and a column for the order of the rows."""
    plain = step.replace(" REAL", " double precision")
    return plain.replace("id TEXT PRIMARY KEY,", "id TEXT PRIMARY KEY, number bigserial,")


def _enter(connection: "Connection[Any]", schema: str) -> None:
    # For this transaction alone: a pooler between us and the server may give the connection to somebody else.
    connection.execute("SELECT set_config('search_path', quote_ident(%s), true)", (schema,))


def _describe(error: Exception) -> Bilingual:
    # The reason only: libpq repeats the address, and with it a user's name.
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return Bilingual(
        en=f"The server that keeps the conversations (setting database_url) does not do its work: {reason}. Start it.",
        zh=f"保存对话的服务器（设置项 database_url）无法工作：{reason}。请启动该服务器。",
    )
