"""Binary COPY of many rows at once, with the rows that PostgreSQL refuses found and named."""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, NamedTuple

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types.array import ListDumper
from sqlalchemy import Connection
from sqlalchemy.exc import InternalError

from tidegate.store.driver import driver

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


_SENT_AS = {
    "text": "text",
    "bigint": "int8",
    "int": "int4",
    "smallint": "int2",
    "boolean": "bool",
    "timestamptz": "int8",
    "jsonb": "text",
    "text[]": "bytea",
}
"""Per type of a column the type as which psycopg sends its values; `moment`, `jsonb` and `texts` make such values."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows are copied to: the statement, and the types (oids) as which the values are sent."""

    statement: bytes
    sent_as: tuple[int, ...]


def target(table: str, columns: dict[str, str]) -> Target:
    """The COPY of rows into these columns (name → SQL type, one of `_SENT_AS`) of a table."""
    statement = f"copy {table} ({', '.join(columns)}) from stdin (format binary)"
    return Target(statement.encode(), tuple(psycopg.adapters.types[_SENT_AS[type_]].oid for type_ in columns.values()))


EPOCH = 946_684_800
"""2000-01-01 UTC in epoch seconds: PostgreSQL counts from there."""


def moment(seconds: int) -> int:
    """Epoch seconds as a binary `timestamptz`: microseconds since 2000-01-01 UTC."""
    return (seconds - EPOCH) * 1_000_000


def jsonb(body: str) -> str:
    """JSON text as a binary `jsonb`: the format's version, then the text."""
    return "\x01" + body


_EMPTY = Struct("!iii").pack(0, 0, 25)
_ONE_DIMENSION = Struct("!iiiii").pack
_LENGTH = Struct("!i").pack


def texts(values: Sequence[str]) -> bytes:
    """A binary `text[]`: dimensions, nulls (none), the type's oid; length, lower bound; each value with its length."""
    if not values:
        return _EMPTY
    encoded = [value.encode() for value in values]
    return _ONE_DIMENSION(1, 0, 25, len(encoded), 1) + b"".join(_LENGTH(len(one)) + one for one in encoded)


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of long texts as a statement's parameter of type `text[]`; psycopg's own way of a list is to escape every
    character, which takes it half a millisecond for an event.
    """

    values: Sequence[str]


class _TextsDumper(Dumper):
    format = Format.BINARY
    oid = psycopg.adapters.types["text"].array_oid

    def dump(self, obj: Texts) -> bytes:
        return texts(obj.values)


psycopg.adapters.register_dumper(Texts, _TextsDumper)


class _ListsDumper(ListDumper):
    """Lists of nothing but texts, or whole numbers, written at once: psycopg looks at each value by itself, which was a
    fifth of what a refresh did in Python. What comes out means the same; everything else is left to psycopg.
    """

    def dump(self, obj: list[Any]) -> Buffer | None:
        kinds = set(map(type, obj))
        if kinds == {int}:
            return f"{{{','.join(map(str, obj))}}}".encode()
        if kinds != {str}:
            return super().dump(obj)
        if "\0" in (whole := "".join(obj)):
            return super().dump(obj)  # which says what is wrong
        if '"' in whole or "\\" in whole:
            obj = [one.replace("\\", "\\\\").replace('"', '\\"') for one in obj]
        return '{{"{}"}}'.format('","'.join(obj)).encode()


psycopg.adapters.register_dumper(list, _ListsDumper)


def copy_rows(connection: Connection, into: Target, rows: Sequence[Row]) -> None:
    """Writes rows by `COPY … FROM STDIN` inside the connection's transaction.

    Raises psycopg.Error when any row is refused (the transaction is then aborted), OverflowError and ValueError for a
    value that cannot be sent, SQLAlchemy's OperationalError for trouble of the database.
    """
    with driver(connection, into.statement.decode()) as raw:
        _copy(raw, into, rows)


def _copy(raw: psycopg.Connection[Any], into: Target, rows: Sequence[Row]) -> None:
    with raw.cursor() as cursor, cursor.copy(into.statement) as copy:
        copy.set_types(into.sent_as)
        write = copy.write_row
        for row in rows:
            write(row)


UNFIT = (
    psycopg.DataError, psycopg.errors.CheckViolation, psycopg.errors.ProgramLimitExceeded, OverflowError, ValueError,
)  # fmt: skip
"""What is said of a row that the table does not take: by PostgreSQL, or by the driver on the way there."""


def copied_new_rows(connection: Connection, batches: Sequence[tuple[Target, Sequence[Row]]]) -> bool:
    """Writes rows that nobody has yet straight into their tables; False, and nothing written, when any is refused or
    there already.
    """
    with driver(connection, "copy new rows") as raw:
        raw.execute("savepoint new_rows")
        try:
            for into, rows in batches:
                _copy(raw, into, rows)
        except (*UNFIT, psycopg.IntegrityError):
            raw.execute("rollback to new_rows; release new_rows")
            return False
        raw.execute("release new_rows")
    return True


def copy_sound_rows(connection: Connection, into: Target, rows: Sequence[Row]) -> list[Refused]:
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
            copy_rows(connection, into, batch)
            connection.exec_driver_sql("release sound_rows")
        except (*UNFIT, InternalError) as error:
            connection.exec_driver_sql("rollback to sound_rows; release sound_rows")
            if len(batch) == 1:
                refused.append(Refused(start, str(error).strip().splitlines()[0]))
                continue
            half = len(batch) // 2
            pending += [(start + half, batch[half:]), (start, batch[:half])]
    return sorted(refused)
