"""COPY of many rows at once, with the rows that PostgreSQL refuses found and named."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import InternalError

Row = Sequence[Any]


class Refused(NamedTuple):
    """A row that PostgreSQL would not take, by its place in what was given, and why."""

    place: int
    reason: str


def copy_rows(connection: Connection, statement: str, rows: Sequence[Row]) -> None:
    """Writes rows by `COPY … FROM STDIN` (text format) inside the connection's transaction.

    Raises psycopg.Error when any row is refused; the transaction is then aborted.
    """
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # pyright: ignore[reportAssignmentType]
    with driver.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        write = copy.write_row
        for row in rows:
            write(row)


def copy_sound_rows(connection: Connection, statement: str, rows: Sequence[Row]) -> list[Refused]:
    """Writes the rows that PostgreSQL takes and returns those it does not.

    A batch that fails is halved until the culprit is alone, each half under a savepoint, so one bad row costs
    2 × log2(n) further COPYs and never the batch.
    """
    refused: list[Refused] = []
    pending: list[tuple[int, Sequence[Row]]] = [(0, rows)] if rows else []
    while pending:
        start, batch = pending.pop()
        try:
            with connection.begin_nested():
                copy_rows(connection, statement, batch)
        except (psycopg.DataError, psycopg.errors.ProgramLimitExceeded, InternalError, ValueError) as error:
            if len(batch) == 1:
                refused.append(Refused(start, str(error).strip().splitlines()[0]))
                continue
            half = len(batch) // 2
            pending += [(start + half, batch[half:]), (start, batch[:half])]
    return sorted(refused)
