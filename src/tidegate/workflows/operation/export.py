"""Writes a connection's mirror, contacts, ledger and billing events to files, Parquet or CSV, one per table, read at
one instant.
"""

import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, LiteralString, NamedTuple, cast

import psycopg
from psycopg import sql
from sqlalchemy import ARRAY, BigInteger, Boolean, Column, Connection, Date, DateTime, Engine, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from tidegate.connections.accounts import Account
from tidegate.contacts import tables as of_contacts
from tidegate.errors import UsageError
from tidegate.mirror.tables import STRIPE_TABLES
from tidegate.revenue import exported
from tidegate.revenue.tables import billing_events, contact_facts

Format = Literal["parquet", "csv"]
Driver = psycopg.Connection[tuple[Any, ...]]
MARK = "connection.txt"
"""The file that says whose export a directory holds."""
BATCH_ROWS = 5000
"""Rows in memory at a time; one row group of Parquet."""
LEDGER_ROWS = 50_000
"""The same of the ledger, whose rows are short."""
FORMULA = r"^[=+\-@\t\r]"
"""With what a text begins that a spreadsheet takes for a formula, as `web.csv_lines` has it."""


class Source(NamedTuple):
    """What fills a file: its name without ending, its columns in order, the query, and rows in memory at a time."""

    name: str
    columns: list[Column[Any]]
    query: sql.Composed
    batch: int


def untold(table: str, rows: int, done: bool) -> None:
    """Progress that nobody watches."""


Tell = Callable[[str, int, bool], None]


class Written(NamedTuple):
    """A table that was exported; `bytes` of its file."""

    table: str
    rows: int
    bytes: int
    file: str


def export(
    engine: Engine,
    account: Account,
    directory: Path,
    form: Format,
    progress: Tell = untold,
) -> dict[str, Any]:
    """Writes every table of schema `stripe`, that connection's rows, deleted ones too, to `directory/TABLE.FORM`.

    So are its billing events and links, and the contacts that it may link to: those of live or of test data. Of its
    ledger, where there is one: `spans`, `movements`, and by what it is kept (`revenue.exported`).

    All tables are read in one snapshot. A file replaces an earlier one only when it is whole. `progress` is told
    (table, rows, done). Returns {connection, directory, format, seconds, tables: [{table, rows, bytes, file}]}. Raises
    UsageError when the directory cannot be written or holds the export of another connection.
    """
    began = time.monotonic()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _claim(directory, account.name)
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as db, db.begin():
            driver: Driver = db.connection.driver_connection  # pyright: ignore[reportAssignmentType]
            ledger = list(_ledger(db, account.name))
            mirrored = [_rows(table, _mine(account)) for table in _of_connection().values()]
            sources = [*mirrored, *_contacts(account), *ledger]
            terms = directory / exported.TERMS
            terms.unlink(missing_ok=True)  # who reads the ledger must not take half an export for a whole one
            written = [_write(driver, one, directory, form, progress) for one in sources]
            if ledger:
                exported.write_terms(db, account.name, terms)
    except OSError as error:
        raise UsageError(problem=f"The export cannot be written to {directory}: {error.strerror or error}.") from error
    return {
        "connection": account.name,
        "directory": str(directory),
        "format": form,
        "seconds": round(time.monotonic() - began, 3),
        "tables": [one._asdict() for one in written],
    }


def tables() -> list[str]:
    """The tables that `lines` writes: all of schema `stripe`, links and billing events."""
    return list(_of_connection())


def lines(engine: Engine, account: Account, table: str) -> Iterator[bytes]:
    """One of the tables, that connection's rows, as CSV with a header, block by block, for whoever opens it in a
    spreadsheet: a text that would be taken for a formula is marked as text. Raises UsageError.
    """
    found = _of_connection().get(table)
    if found is None:
        raise UsageError(problem=f"There is no table {table[:60]!r} to export. Known: {', '.join(tables())}.")
    return _copied(engine, _rows(found, _mine(account), _as_text))


def _of_connection() -> dict[str, Table]:
    return {table.name: table for table in (*STRIPE_TABLES.values(), of_contacts.links, billing_events)}


def _mine(account: Account) -> sql.Composed:
    return sql.SQL("connection = {}").format(sql.Literal(account.name))


def _copied(engine: Engine, source: Source) -> Iterator[bytes]:
    with engine.connect() as db, db.begin():
        driver: Driver = db.connection.driver_connection  # pyright: ignore[reportAssignmentType]
        with driver.cursor() as cursor:
            yield from _as_csv(cursor, source)


def _claim(directory: Path, connection: str) -> None:
    """Marks the directory as this connection's. Raises UsageError when it holds another one's export."""
    mark = directory / MARK
    holder = mark.read_text().strip() if mark.exists() else connection
    if holder != connection:
        raise UsageError(problem=f"{directory} holds the export of {holder}; give {connection} a directory of its own.")
    mark.write_text(f"{connection}\n")


def _as_it_is(column: Column[Any]) -> sql.Composed:
    """A column; JSON as text, which is what both forms hold."""
    told = "{0}::text as {0}" if isinstance(column.type, JSONB) else "{0}"
    return sql.SQL(told).format(sql.Identifier(column.name))


def _as_text(column: Column[Any]) -> sql.Composed:
    """The same, with a mark before what a spreadsheet would take for a formula, as pages mark it in CSV."""
    if not isinstance(column.type, Text):
        return _as_it_is(column)
    told = sql.SQL("case when {0} ~ {1} then '''' || {0} else {0} end as {0}")
    return told.format(sql.Identifier(column.name), sql.Literal(FORMULA))


def _rows(table: Table, where: sql.Composed, told: Callable[[Column[Any]], sql.Composed] = _as_it_is) -> Source:
    """Rows of a table by primary key."""
    columns = [told(column) for column in table.columns]
    query = sql.SQL("select {} from {} where {} order by {}").format(
        sql.SQL(", ").join(columns),
        sql.Identifier(table.schema or "", table.name),
        where,
        sql.SQL(", ").join(sql.Identifier(column.name) for column in table.primary_key.columns),
    )
    return Source(table.name, [*table.columns], query, BATCH_ROWS)


def _contacts(account: Account) -> Iterator[Source]:
    """The contacts of the connection's mode, merged and forgotten ones too, and what is kept of each."""
    same = sql.SQL("livemode = {}").format(sql.Literal(account.livemode))
    yield _rows(of_contacts.contacts, same)
    yield _rows(of_contacts.contact_ids, same)
    theirs = sql.SQL("{} in (select key from tidegate.contacts where {})")
    for table in (of_contacts.contact_emails, of_contacts.contact_domains, contact_facts):
        yield _rows(table, theirs.format(sql.Identifier("contact"), same))
    yield _rows(of_contacts.contact_members, theirs.format(sql.Identifier("account"), same))


def _ledger(db: Connection, connection: str) -> Iterator[Source]:
    for part in exported.parts(db, connection):
        told = cast(LiteralString, part.sql.replace(":connection", "{connection}"))
        query = sql.SQL(told).format(connection=sql.Literal(connection))
        yield Source(part.name, part.columns, query, LEDGER_ROWS)


def _write(driver: Driver, source: Source, directory: Path, form: Format, tell: Tell) -> Written:
    final = directory / f"{source.name}.{form}"
    draft = final.with_name(final.name + ".part")
    write = _write_parquet if form == "parquet" else _write_csv
    rows = 0
    for rows in write(driver, source, draft):
        tell(source.name, rows, False)
    tell(source.name, rows, True)
    draft.replace(final)
    return Written(source.name, rows, final.stat().st_size, str(final))


def _write_csv(driver: Driver, source: Source, path: Path) -> Iterator[int]:
    """The file of `_as_csv`. Tells the rows so far."""
    with path.open("wb") as file, driver.cursor() as cursor:
        for block in _as_csv(cursor, source):
            file.write(block)
        rows = cursor.rowcount
    yield rows


def _as_csv(cursor: "psycopg.Cursor[tuple[Any, ...]]", source: Source) -> Iterator[bytes]:
    """PostgreSQL's own CSV, with a header, block by block; times in UTC."""
    cursor.execute("set local timezone = 'UTC'")
    with cursor.copy(sql.SQL("copy ({}) to stdout (format csv, header)").format(source.query)) as copy:
        yield from map(bytes, copy)


def _write_parquet(driver: Driver, source: Source, path: Path) -> Iterator[int]:
    """Parquet by batches, zstd-compressed. Tells the rows so far."""
    arrow: Any = import_module("pyarrow")  # untyped, and too heavy to import before it is needed
    parquet: Any = import_module("pyarrow.parquet")
    fields = [
        arrow.field(column.name, _arrow_type(arrow, column.type), nullable=bool(column.nullable))
        for column in source.columns
    ]
    schema = arrow.schema(fields)
    rows = 0
    with (
        parquet.ParquetWriter(path, schema, compression="zstd") as file,
        driver.cursor(f"export_{source.name}") as cursor,
    ):
        cursor.execute(source.query)
        while batch := cursor.fetchmany(source.batch):
            columns = zip(*batch, strict=True)
            arrays = [arrow.array(values, field.type) for values, field in zip(columns, fields, strict=True)]
            file.write_batch(arrow.RecordBatch.from_arrays(arrays, schema=schema))
            rows += len(batch)
            yield rows


def _arrow_type(arrow: Any, kind: Any) -> Any:
    """A column's type as Parquet has it: times are microseconds UTC, JSON is text."""
    match kind:
        case ARRAY():
            return arrow.list_(arrow.string())
        case DateTime():
            return arrow.timestamp("us", "UTC")
        case Boolean():
            return arrow.bool_()
        case BigInteger():
            return arrow.int64()
        case Integer():
            return arrow.int32()
        case Date():
            return arrow.date32()
        case _:
            return arrow.string()
