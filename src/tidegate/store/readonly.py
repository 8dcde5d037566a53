"""Queries by people: one read-only statement with a time-out, rows streamed."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from tidegate.errors import NotReadOnly

TIMEOUT = "30s"


class Answer(NamedTuple):
    """Column names, and the rows as they arrive."""

    columns: Sequence[str]
    rows: Iterator[Sequence[Any]]


@contextmanager
def query(engine: Engine, sql: str, *, timeout: str = TIMEOUT) -> Generator[Answer]:
    """Runs one statement in a read-only transaction that is rolled back, with `stripe` and `tidegate` on the search
    path.

    Raises NotReadOnly when the statement would write or is none; every other refusal of PostgreSQL's too, in its words.
    """
    with engine.connect() as connection:
        connection.execute(text("set transaction read only"))
        connection.exec_driver_sql(f"set local statement_timeout = '{timeout}'")
        connection.exec_driver_sql("set local search_path = stripe, tidegate, public")
        try:
            result = connection.execution_options(stream_results=True, max_row_buffer=1000).exec_driver_sql(
                sql.replace("%", "%%")
            )
            if not result.returns_rows:
                raise NotReadOnly(problem="the statement returns no rows; use select.")
            yield Answer(list(result.keys()), (tuple(row) for row in result))
        except DBAPIError as error:
            raise NotReadOnly(problem=str(error.orig).strip()) from error
        finally:
            connection.rollback()
