"""The driver's own connection under SQLAlchemy's, for COPY and for statements that run a hundred times a second."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError


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
