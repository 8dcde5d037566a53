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


STAGED = "tidegate.staged"
"""Where a session counts how often it used each of its staging tables."""
EMPTIED_AFTER = 8
"""Uses of a staging table before it is emptied. Emptying costs a millisecond; ON COMMIT DELETE ROWS would do it to
every temporary table of the session at every commit.
"""


def open_stage(connection: Connection, name: str, definition: str) -> None:
    """Makes the session's staging table where it is missing, and empties it now and then.

    `definition` follows the name in CREATE TABLE. Rows of earlier uses may still be there: number them. A rollback
    takes tables of the same transaction with it, so `store.engine` forgets the counts at every one.
    """
    uses: dict[str, int] = connection.info.setdefault(STAGED, {})
    if name not in uses:
        connection.exec_driver_sql(f"create temp table if not exists {name} {definition}")
    elif uses[name] % EMPTIED_AFTER == 0:
        connection.exec_driver_sql(f"truncate {name}")
    uses[name] = uses.get(name, 0) + 1


def copy_rows(connection: Connection, statement: str, rows: Sequence[Row]) -> None:
    """Writes rows by `COPY … FROM STDIN` (text format) inside the connection's transaction.

    Raises psycopg.Error when any row is refused; the transaction is then aborted.
    """
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # pyright: ignore[reportAssignmentType]
    with driver.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        write = copy.write_row
        for row in rows:
            write(row)


UNFIT = (psycopg.DataError, psycopg.errors.CheckViolation, psycopg.errors.ProgramLimitExceeded)
"""What PostgreSQL says of a row that the table does not take."""


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
            connection.exec_driver_sql("savepoint sound_rows")
            copy_rows(connection, statement, batch)
            connection.exec_driver_sql("release sound_rows")
        except (*UNFIT, InternalError, ValueError) as error:
            connection.exec_driver_sql("rollback to sound_rows; release sound_rows")
            if len(batch) == 1:
                refused.append(Refused(start, str(error).strip().splitlines()[0]))
                continue
            half = len(batch) // 2
            pending += [(start + half, batch[half:]), (start, batch[:half])]
    return sorted(refused)
