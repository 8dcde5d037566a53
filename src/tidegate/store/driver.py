"""The driver's own connection under SQLAlchemy's, for COPY and for statements that run a hundred times a second."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, TextClause
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError, OperationalError


@contextmanager
def driver(connection: Connection, statement: str) -> Generator[psycopg.Connection[Any]]:
    """psycopg's connection, inside the transaction of SQLAlchemy's.

    A psycopg.OperationalError (disk full, deadlock, lock time-out, connection lost) is raised as SQLAlchemy's, so that
    everybody who handles trouble of the database handles it here too; `statement` is what it will say was running.
    What is wrong with the data stays psycopg's own.
    """
    if not connection.in_transaction():  # SQLAlchemy itself sees to it only at a statement that it runs
        connection.begin()
    raw: psycopg.Connection[Any] = connection.connection.driver_connection  # pyright: ignore[reportAssignmentType]
    try:
        yield raw
    except psycopg.OperationalError as error:
        if lost := raw.broken:
            connection.invalidate(error)
        raise OperationalError(statement, None, error, connection_invalidated=lost) from error


def run(connection: Connection, statement: bytes, values: Mapping[str, Any]) -> psycopg.Cursor[Any]:
    """Runs a statement with psycopg's placeholders (`%(name)s`): SQLAlchemy's way takes twice the time of Python.

    Errors are those of `driver`.
    """
    with driver(connection, statement.decode()) as raw:
        return raw.execute(statement, values)


KEPT = "tidegate.cursor"
"""Where a session keeps the cursor of `rows`."""


def rows(connection: Connection, statement: TextClause, values: Mapping[str, Any]) -> list[Any]:
    """What a statement returns, as named tuples; none where it returns nothing.

    It is prepared, and runs on a cursor that the connection keeps: that takes a quarter of the processor's time that
    SQLAlchemy takes for it, which is more than PostgreSQL itself needs for a row by its key. Errors are SQLAlchemy's,
    as of `Connection.execute`.
    """
    kept: dict[str, Any] = connection.info
    if KEPT not in kept:
        kept[KEPT] = _driver(connection).cursor(row_factory=namedtuple_row)
    cursor = _executed(connection, kept[KEPT], statement, values)
    return cursor.fetchall() if cursor.pgresult.nfields else []


def each(connection: Connection, statement: TextClause, values: Mapping[str, Any]) -> Iterator[Any]:
    """The same one by one, for what is large and not kept: other statements may run in between."""
    return iter(_executed(connection, _driver(connection).cursor(row_factory=namedtuple_row), statement, values))


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    return connection.connection.driver_connection  # pyright: ignore[reportReturnType]


def _executed(connection: Connection, cursor: Any, statement: TextClause, values: Mapping[str, Any]) -> Any:
    if not connection.in_transaction():
        connection.begin()
    try:
        cursor.execute(_sent(statement), values, prepare=True)
    except psycopg.Error as error:
        if lost := cursor.connection.broken:
            connection.invalidate(error)
        raise DBAPIError.instance(
            str(statement), None, error, psycopg.Error, hide_parameters=True, connection_invalidated=lost
        ) from error
    return cursor


@lru_cache(512)
def _sent(statement: TextClause) -> bytes:
    """A statement as the driver takes it."""
    return str(statement.compile(dialect=_DIALECT)).encode()


_DIALECT = PGDialect_psycopg()
