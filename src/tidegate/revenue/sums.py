"""Brings kept sums up to those that a rebuild derived: what differs is written, what is no more is deleted.

DuckDB has both, what stands and what is derived, so that PostgreSQL is only given what differs.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, text

from tidegate.revenue import exchange
from tidegate.revenue.editions import Ledger
from tidegate.revenue.exchange import Wanted, listed

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MANY = 10_000
"""Rows written in one go from which on PostgreSQL is told at once how many there are; autovacuum comes too late."""

TYPES = {
    "currency": "varchar", "day": "date", "price": "varchar", "product": "varchar", "kind": "varchar",
    "amount": "bigint", "movements": "integer",
}  # fmt: skip


class Kept(NamedTuple):
    """A table of sums of an edition: what they are by, what is summed up, and the derived ones as DuckDB's SELECT."""

    table: str
    key: tuple[str, ...]
    values: tuple[str, ...]
    derived: str

    @property
    def columns(self) -> tuple[str, ...]:
        """All but connection and edition."""
        return self.key + self.values

    def standing(self, ledger: Ledger) -> Wanted:
        """The rows that stand."""
        where = f"connection = '{ledger.connection}' and edition = {ledger.edition}"
        return Wanted(self.table, f"tidegate.{self.table}", where, {name: TYPES[name] for name in self.columns})


def begin(work: "DuckDBPyConnection", kept: Kept, rows: str | None) -> None:
    """Makes DuckDB's table of what stands, of these rows; None: nothing does."""
    told = listed(kept.columns)
    empty = ", ".join(f'cast(null as {TYPES[name]}) as "{name}"' for name in kept.columns)
    source = f"select {told} from {rows}" if rows else f"select {empty} where false"
    work.execute(f"create or replace table ledger_standing_{kept.table} as {source}")


def bring(work: "DuckDBPyConnection", db: Connection, ledger: Ledger, kept: Kept, *, new: bool) -> None:
    """Writes the derived sums where they differ from the standing ones (`begin`). In the caller's transaction. `new`:
    nobody else has heard of the edition.
    """
    standing, derived = f"ledger_standing_{kept.table}", f"ledger_derived_{kept.table}"
    work.execute(f"create or replace temp table {derived} as {kept.derived}")
    gone = f"(from {standing} anti join {derived} using ({listed(kept.key)}))"
    come = f"(from {derived} anti join {standing} using ({listed(kept.columns)}))"
    same = {"edition": ledger.edition, "connection": ledger.connection}
    if new:
        written = exchange.put(db, f"tidegate.{kept.table}", same, work, come, kept.columns)
    else:
        written = _staged(work, db, kept, same, gone, _delete(kept)) + _staged(work, db, kept, same, come, _put(kept))
    work.execute(f"drop table {standing}; drop table {derived}")
    if written > MANY:
        db.execute(text(f"analyze tidegate.{kept.table}"))


def _staged(
    work: "DuckDBPyConnection", db: Connection, kept: Kept, same: Mapping[str, str | int], rows: str, statement: str
) -> int:
    """Runs the statement with the rows of DuckDB's in temporary table ledger_sums."""
    [[number]] = work.execute(f"select count(*) from {rows}").fetchall()
    if number:
        db.execute(text(f"create temp table ledger_sums (like tidegate.{kept.table}) on commit drop"))
        exchange.put(db, "pg_temp.ledger_sums", same, work, rows, kept.columns)
        db.execute(text("analyze pg_temp.ledger_sums"))
        db.execute(text(statement))
        db.execute(text("drop table pg_temp.ledger_sums"))
    return number


def _delete(kept: Kept) -> str:
    key = ("connection", "edition", *kept.key)
    return f"""
delete from tidegate.{kept.table} d using pg_temp.ledger_sums s
where ({listed(key, "d.")}) = ({listed(key, "s.")})"""


def _put(kept: Kept) -> str:
    key, columns = listed(("connection", "edition", *kept.key)), listed(("connection", "edition", *kept.columns))
    told = ", ".join(f'"{name}" = excluded."{name}"' for name in kept.values)
    return f"""
insert into tidegate.{kept.table} ({columns}) select {columns} from pg_temp.ledger_sums
on conflict ({key}) do update set {told}"""
