"""Queries by people: one read-only statement with a time-out, rows streamed."""

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any, NamedTuple, cast

import psycopg
from psycopg.pq import ExecStatus
from sqlalchemy import Connection, CursorResult, Engine, text
from sqlalchemy.exc import DBAPIError

from tidegate.errors import DatabaseUnreachable, NotReadOnly, QueryRefused, TidegateError
from tidegate.store.engine import shown

BATCH = 500
"""Rows that are fetched, and then handed out, at a time."""
TOLD = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*(?:show|explain)\b", re.IGNORECASE | re.DOTALL)
"""Statements that answer with rows and have no cursor."""

HIDDEN = (
    "Queries read everything in stripe and tidegate but stored credentials and the digests of tokens; of a table that "
    "has such a column name those you want instead of *."
)


NOTHING: Mapping[str, str] = {}


class Answer(NamedTuple):
    """Column names, and the rows as they arrive."""

    columns: Sequence[str]
    rows: Iterator[Sequence[Any]]


@contextmanager
def query(engine: Engine, sql: str, *, seconds: int = 30, guarded: Mapping[str, str] = NOTHING) -> Generator[Answer]:
    """Runs one statement in a read-only transaction that is rolled back, with `stripe` and `tidegate` on the search
    path.

    No row of a statement that touches a `guarded` table (with its schema; with the reason), by whatever way, is
    answered. Raises NotReadOnly when the statement would write or answers without rows, QueryRefused for every other
    refusal, in PostgreSQL's words, and DatabaseUnreachable.
    """
    with ExitStack() as opened:
        connection = opened.enter_context(engine.connect())
        connection.execute(text("set transaction read only"))
        connection.exec_driver_sql(f"set local statement_timeout = '{seconds}s'")
        connection.exec_driver_sql("set local search_path = stripe, tidegate, public")
        try:
            _parse(connection, sql)
            _refuse(connection, guarded)
            answer = _told(connection, sql) if TOLD.match(sql) else _streamed(connection, sql, opened)
            yield answer._replace(rows=_checked(connection, answer.rows, guarded))
        except (DBAPIError, psycopg.Error) as error:
            said = error.orig if isinstance(error, DBAPIError) else error
            raise _refusal(engine, said or error, sql, seconds) from error


def _checked(
    connection: Connection, rows: Iterator[Sequence[Any]], guarded: Mapping[str, str]
) -> Iterator[Sequence[Any]]:
    while some := list(islice(rows, BATCH)):
        _refuse(connection, guarded)
        yield from some


def _refuse(connection: Connection, guarded: Mapping[str, str]) -> None:
    """Raises QueryRefused when this transaction has touched one of the tables.

    Whatever reads a table locks it until the transaction's end: a view over it, and a function that is handed its
    query as text, when it runs.
    """
    if not guarded:
        return
    touched = connection.execute(
        text("""
select t.name, cast(l.relation as regclass) as relation
from unnest(cast(:guarded as text[])) as t(name) join pg_locks l on l.relation = cast(t.name as regclass)
where l.locktype = 'relation' and l.pid = pg_backend_pid() order by 1 limit 1"""),
        {"guarded": list(guarded)},
    ).first()
    if touched:
        raise QueryRefused(problem=f"the table {touched.relation} {guarded[touched.name]}.")


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


def _parse(connection: Connection, sql: str) -> None:
    """Lets PostgreSQL say what is wrong with the statement as it was written. It refuses more than one statement here.

    Raises psycopg's errors, and NotReadOnly when there will be no rows.
    """
    driver = _driver(connection).pgconn
    parsed = driver.prepare(b"", sql.encode())
    if parsed.status != ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(parsed)
    if not driver.describe_prepared(b"").nfields:
        raise NotReadOnly(problem="the statement answers without rows; use select, show or explain.")


def _streamed(connection: Connection, sql: str, opened: ExitStack) -> Answer:
    """The answer of a query, by a cursor of the server's that is closed with `opened`."""
    streaming = connection.execution_options(stream_results=True, max_row_buffer=1000)
    try:
        result: CursorResult[Any] = streaming.exec_driver_sql(sql.replace("%", "%%"))
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.SyntaxError):  # although it was parsed: it is no query
            raise NotReadOnly(problem="the statement is no query; use select, show or explain.") from error
        raise
    opened.callback(result.close)
    return Answer(list(result.keys()), (tuple(row) for row in result))


def _told(connection: Connection, sql: str) -> Answer:
    """The answer to show or explain. Prepared, because the simple protocol would take several statements."""
    cursor = _driver(connection).execute(sql.encode(), prepare=True)
    return Answer([column.name for column in cursor.description or ()], iter(cursor.fetchall()))


def _refusal(engine: Engine, error: BaseException, sql: str, seconds: int) -> TidegateError:
    """What PostgreSQL said, as an error of ours."""
    if not isinstance(error, psycopg.Error) or error.sqlstate is None or error.sqlstate.startswith(("08", "57P")):
        return DatabaseUnreachable(url=shown(str(engine.url)), problem=str(error).strip().splitlines()[0])
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return NotReadOnly(problem=f"{error.diag.message_primary}.")
    if isinstance(error, psycopg.errors.QueryCanceled):
        return QueryRefused(problem=f"it took longer than {seconds}s; allow it more time (`--timeout`).")
    said = error.diag.message_primary or str(error)
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return QueryRefused(problem=f"{said}. {HIDDEN}")
    if "multiple commands" in said:
        return NotReadOnly(problem="give one statement at a time.")
    if "data-modifying" in said:
        return NotReadOnly(problem="the statement changes data within with.")
    place = error.diag.statement_position
    line = sql.count("\n", 0, int(place) - 1) + 1 if place else 0
    where = f" (line {line})" if "\n" in sql.strip() and line else ""
    hint = f" {error.diag.message_hint}" if error.diag.message_hint else ""
    return QueryRefused(problem=f"{said}{where}.{hint}")
