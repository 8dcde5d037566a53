"""Derives all movements of a ledger at once: spans out of PostgreSQL, DuckDB on them, what differs back in."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow leaves its functions without types.

import tempfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

from tidegate.revenue import duck
from tidegate.revenue.editions import Ledger
from tidegate.revenue.movements import Written, spans_sql
from tidegate.revenue.spans import Whose
from tidegate.store.driver import driver

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "1GB"
"""What DuckDB may take before it goes on on disk."""

MANY = 10_000
"""Rows written from which on the planner has to hear of it at once."""

SPANS = {
    "unit": "varchar", "connection": "varchar", "customer": "varchar", "subscription": "varchar", "item": "varchar",
    "currency": "varchar", "starts_at": "bigint", "ends_at": "bigint", "mrr": "bigint", "counts": "boolean",
    "price": "varchar", "product": "varchar",
}  # fmt: skip
KEY = ("subscription", "item", "currency", "at")
ROW = {
    "subscription": "varchar", "item": "varchar", "currency": "varchar", "at": "bigint", "unit": "varchar",
    "customer": "varchar", "moved_at": "bigint", "day": "date", "kind": "varchar", "amount": "bigint",
    "opening": "bigint", "closing": "bigint", "price": "varchar", "product": "varchar",
}  # fmt: skip


@contextmanager
def opened() -> Generator["Rebuild"]:
    """DuckDB with a directory of its own, gone afterwards."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="tidegate-ledger-") as directory:
        settings: dict[str, Any] = {
            "memory_limit": MEMORY,
            "temp_directory": directory,
            "preserve_insertion_order": "false",
        }
        with duckdb.connect(config=settings) as db:
            yield Rebuild(db, Path(directory))


class Rebuild:
    """A rebuild under way: tables ledger_spans and ledger_movements of a DuckDB in memory."""

    def __init__(self, db: "DuckDBPyConnection", directory: Path) -> None:
        self.db = db
        self._directory = directory

    def read_spans(self, db: Connection, ledger: Ledger) -> None:
        """Takes the spans of the connection as they are stored, the excluded left out."""
        sql = spans_sql(ledger.policy, "is not null").replace(":connection", f"'{ledger.connection}'")
        self._read(db, sql, "ledger_spans", SPANS)

    def begin_spans(self) -> None:
        """Makes room for spans that `add_spans` brings."""
        self.db.execute(f"create table ledger_spans ({_columns(SPANS)})")

    def add_spans(self, ledger: Ledger, units: dict[str, str], spans: Iterable[Whose]) -> None:
        """Takes spans that are stored nowhere; `units`: whose movements they are, by customer (the others are
        excluded).
        """
        import pyarrow

        rows = [
            (units[one.customer], ledger.connection, one.customer, one.subscription, one.span.item, one.span.currency,
             one.span.starts_at, one.span.ends_at, one.span.mrr, not one.span.why_not, one.span.price, one.span.product)
            for one in spans if one.customer in units
        ]  # fmt: skip
        if rows:
            given: Any = pyarrow.table(dict(zip(SPANS, zip(*rows, strict=True), strict=True)))
            self.db.register("given", given)
            self.db.execute("insert into ledger_spans select * from given")
            self.db.unregister("given")

    def derive(self, ledger: Ledger) -> None:
        """Derives the movements of the spans."""
        duck.derive(self.db, ledger.policy, ledger.zone)

    def sums(self, period: str = "day") -> list[tuple[Any, ...]]:
        """(currency, day or first day of the month, kind, amount, rows) of the movements."""
        return self.db.execute(f"""
select currency, cast(date_trunc('{period}', "day") as date), kind, cast(sum(amount) as bigint), count(*)
from ledger_movements group by all order by all""").fetchall()

    def write(self, db: Connection, ledger: Ledger) -> Written:
        """Brings the ledger's movements up to the derived ones: what differs is superseded, what is missing is added.

        In the caller's transaction. The sums by day are written anew.
        """
        self._read(db, _STANDING.format(connection=ledger.connection, edition=ledger.edition), "standing", _OLD)
        self.db.execute(_DIFFERS)
        gone = self._write(db, "ledger_gone", {"id": "bigint"}, "select id from differs where id is not null")
        come = self._write(db, "ledger_come", ROW, f"select {_listed(ROW)} from differs where item is not null")
        values = {"connection": ledger.connection, "edition": ledger.edition}
        if gone:
            db.execute(_SUPERSEDE)
        if come:
            db.execute(_ADD, values)
        if gone + come > MANY:
            db.execute(text("analyze tidegate.movements"))  # else refreshes go by what stood there before
        db.execute(text("drop table pg_temp.ledger_gone, pg_temp.ledger_come"))
        sums = [dict(zip(_SUMS, row, strict=True)) | values for row in self.sums()]
        db.execute(_FORGET_DAYS, values)
        if sums:
            db.execute(_PUT_DAYS, sums)
        return Written(come, gone)

    def _read(self, db: Connection, sql: str, table: str, columns: dict[str, str]) -> None:
        file = self._directory / f"{table}.csv"
        copied = f"copy ({sql}) to stdout (format csv, null '\\N')".encode()
        with (
            driver(db, f"read {table}") as raw,
            file.open("wb") as into,
            raw.cursor() as cursor,
            cursor.copy(copied) as blocks,
        ):
            for block in blocks:
                into.write(block)
        told = "{" + ", ".join(f"'{name}': '{type_}'" for name, type_ in columns.items()) + "}"
        self.db.execute(f"""
create or replace table {table} as
select * from read_csv('{file}', columns = {told}, auto_detect = false, delim = ',', quote = '"', escape = '"',
  header = false, nullstr = '\\N')""")
        file.unlink()

    def _write(self, db: Connection, table: str, columns: dict[str, str], sql: str) -> int:
        """Writes what DuckDB selects into a temporary table; returns how many rows."""
        file = self._directory / f"{table}.csv"
        self.db.execute(f"copy ({sql}) to '{file}' (format csv, header false, nullstr '\\N')")
        db.execute(text(f"create temp table {table} ({_columns(columns)}) on commit drop"))
        copied = f"copy pg_temp.{table} from stdin (format csv, null '\\N')".encode()
        with driver(db, f"write {table}") as raw, file.open("rb") as source, raw.cursor() as cursor:
            with cursor.copy(copied) as copy:
                while block := source.read(1 << 20):
                    copy.write(block)
            rows = cursor.rowcount
        file.unlink()
        return rows


def _listed(names: Iterable[str], of: str = "") -> str:
    return ", ".join(f'{of}"{name}"' for name in names)


def _columns(columns: dict[str, str]) -> str:
    return ", ".join(f'"{name}" {type_}' for name, type_ in columns.items())


_OLD = {"id": "bigint", **ROW}
_SUMS = ("currency", "day", "kind", "amount", "movements")


def _sql(name: str) -> str:
    return f"extract(epoch from {name})::bigint" if name in {"at", "moved_at"} else name


_STANDING = f"""
select id, {", ".join(_sql(name) for name in ROW)} from tidegate.movements
where connection = '{{connection}}' and edition = {{edition}} and superseded_at is null"""

_DATA: Sequence[str] = [name for name in ROW if name not in KEY]

_DIFFERS = f"""
create or replace temp table differs as
select s.id, {_listed(ROW, "f.")}
from ledger_movements f full join standing s on {" and ".join(f'f."{name}" = s."{name}"' for name in KEY)}
where s.id is null or f.item is null or ({_listed(_DATA, "f.")}) is distinct from ({_listed(_DATA, "s.")})"""

_SUPERSEDE = text("""
update tidegate.movements m set superseded_at = clock_timestamp() from pg_temp.ledger_gone g where m.id = g.id""")

_ADD = text(f"""
insert into tidegate.movements (edition, connection, {_listed(ROW)})
select :edition, :connection, {", ".join(f"to_timestamp({n})" if n in {"at", "moved_at"} else n for n in ROW)}
from pg_temp.ledger_come""")

_FORGET_DAYS = text("delete from tidegate.mrr_days where connection = :connection and edition = :edition")

_PUT_DAYS = text("""
insert into tidegate.mrr_days (connection, edition, currency, day, kind, amount, movements)
values (:connection, :edition, :currency, :day, :kind, :amount, :movements)""")
