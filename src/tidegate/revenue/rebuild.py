"""Derives all movements of a ledger at once: spans out of PostgreSQL, DuckDB on them, what differs back in."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow leaves its functions without types.

import tempfile
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.revenue import duck, price_days
from tidegate.revenue.editions import Ledger
from tidegate.revenue.movements import Written
from tidegate.revenue.spans import Whose
from tidegate.store.driver import driver

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "1400MB"
"""What DuckDB may take before it goes on on disk."""

MANY = 10_000
"""Rows written from which on the planner has to hear of it at once."""

SPANS = {
    "unit": "varchar", "connection": "varchar", "customer": "varchar", "subscription": "varchar", "item": "varchar",
    "currency": "varchar", "starts_at": "bigint", "ends_at": "bigint", "mrr": "bigint", "counts": "boolean",
    "price": "varchar", "product": "varchar",
}  # fmt: skip
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

    def rebuild(self, db: Connection, ledger: Ledger) -> Written:
        """Reads the spans, derives their movements and brings the ledger's up to them (`write`). What stands is fetched
        while DuckDB derives: PostgreSQL has nothing else to do then.
        """
        fetched = self._fetch_spans(db, ledger)
        with ThreadPoolExecutor(1) as pool:
            standing = pool.submit(self._fetch_standing, db, ledger)
            self._take_spans(ledger, *fetched)
            self.derive(ledger)
        return self._bring(db, ledger, standing.result())

    def read_spans(self, db: Connection, ledger: Ledger) -> None:
        """Takes the spans of the connection as they are stored, the excluded left out."""
        self._take_spans(ledger, *self._fetch_spans(db, ledger))

    def _fetch_spans(self, db: Connection, ledger: Ledger) -> tuple["_Fetched", "_Fetched", "_Fetched"]:
        """Spans, links and exclusions."""
        where = f"where connection = '{ledger.connection}'"
        stored = {name: type_ for name, type_ in SPANS.items() if name not in {"unit", "connection"}}
        spans = ", ".join(_STORED.get(name, name) for name in stored)
        who, linked = {"customer": "varchar"}, {"customer": "varchar", "contact": "bigint"}
        return (
            self._fetch(db, f"select {spans} from tidegate.spans {where}", "spans", stored),
            self._fetch(db, f"select customer, contact from tidegate.links {where}", "links", linked),
            self._fetch(db, f"select customer from tidegate.exclusions {where}", "exclusions", who),
        )

    def _take_spans(self, ledger: Ledger, spans: "_Fetched", links: "_Fetched", out: "_Fetched") -> None:
        unit = "coalesce('contact:' || k.contact, s.customer)" if ledger.policy.unit == "contact" else "s.customer"
        self.db.execute(f"""
create or replace table ledger_spans as
select {unit} as unit, '{ledger.connection}' as connection, s.*
from {spans.sql} s left join {links.sql} k on k.customer = s.customer
anti join {out.sql} e on e.customer = s.customer""")
        for one in (spans, links, out):
            one.file.unlink()

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

        In the caller's transaction. The sums by day are written anew. Rows are the same if two hashes of them are.
        """
        return self._bring(db, ledger, self._fetch_standing(db, ledger))

    def _fetch_standing(self, db: Connection, ledger: Ledger) -> "_Fetched":
        where = f"connection = '{ledger.connection}' and edition = {ledger.edition} and superseded_at is null"
        sql = f"select id, {', '.join(_STORED.get(name, name) for name in ROW)} from tidegate.movements where {where}"
        return self._fetch(db, sql, "standing", {"id": "bigint", **ROW})

    def _bring(self, db: Connection, ledger: Ledger, standing: "_Fetched") -> Written:
        self.db.execute(
            f"create or replace temp table ledger_standing as select id, {_hashes('s')} from {standing.sql} s"
        )
        standing.file.unlink()
        derived, stood = (self._count(name) for name in ("ledger_movements_coded", "ledger_standing"))
        come = self._save("come", _COME.format(connection=ledger.connection, edition=ledger.edition))
        gone = stood - (derived - come)  # those that did not come stand, each as one
        if gone:
            self._save("gone", _GONE)
            db.execute(text("create temp table ledger_gone (id bigint) on commit drop"))
            self._copy(db, "gone", "pg_temp.ledger_gone (id)")
            db.execute(_SUPERSEDE)
            db.execute(text("drop table pg_temp.ledger_gone"))
        if come:
            self._copy(db, "come", f"tidegate.movements (edition, connection, {_listed(ROW)})")
        if gone + come > MANY:
            db.execute(text("analyze tidegate.movements"))  # else refreshes go by what stood there before
        values = {"connection": ledger.connection, "edition": ledger.edition}
        db.execute(_FORGET_DAYS, values)
        columns = list(zip(*self.sums(), strict=True)) or [()] * len(_SUMS)
        db.execute(_PUT_DAYS, values | {name: list(of) for name, of in zip(_SUMS, columns, strict=True)})
        price_days.bring(self.db, db, ledger)
        return Written(come, gone)

    def _count(self, table: str) -> int:
        [[rows]] = self.db.execute(f"select count(*) from {table}").fetchall()
        return rows

    def _fetch(self, db: Connection, sql: str, name: str, columns: dict[str, str]) -> "_Fetched":
        """Writes what PostgreSQL selects into a file."""
        file = self._directory / f"{name}.csv"
        copied = f"copy ({sql}) to stdout (format csv, null '\\N')".encode()
        with (
            driver(db, f"read {name}") as raw,
            file.open("wb", buffering=1 << 20) as into,
            raw.cursor() as cursor,
            cursor.copy(copied) as blocks,
        ):
            for block in blocks:
                into.write(block)
        told = "{" + ", ".join(f"'{name}': '{type_}'" for name, type_ in columns.items()) + "}"
        return _Fetched(
            file,
            f"""read_csv('{file}', columns = {told}, auto_detect = false, delim = ',', quote = '"', escape = '"',
  header = false, nullstr = '\\N')""",
        )

    def _save(self, name: str, sql: str) -> int:
        """Writes what DuckDB selects into a file; returns how many rows."""
        file = self._directory / f"{name}.csv"
        [[rows]] = self.db.execute(f"copy ({sql}) to '{file}' (format csv, header false, nullstr '\\N')").fetchall()
        return rows

    def _copy(self, db: Connection, name: str, into: str) -> None:
        """Writes a file that `_save` made into a table of PostgreSQL's."""
        copied = f"copy {into} from stdin (format csv, null '\\N')".encode()
        with (
            driver(db, f"write {name}") as raw,
            (self._directory / f"{name}.csv").open("rb") as source,
            raw.cursor() as cursor,
            cursor.copy(copied) as copy,
        ):
            while block := source.read(1 << 20):
                copy.write(block)
        (self._directory / f"{name}.csv").unlink()


class _Fetched(NamedTuple):
    """A file of rows, and the table that DuckDB takes it for."""

    file: Path
    sql: str


def _listed(names: Iterable[str], of: str = "") -> str:
    return ", ".join(f'{of}"{name}"' for name in names)


def _columns(columns: dict[str, str]) -> str:
    return ", ".join(f'"{name}" {type_}' for name, type_ in columns.items())


_STORED = {name: f"date_part('epoch', {name})::bigint" for name in ("at", "moved_at", "starts_at", "ends_at")}
_STORED["counts"] = "why_not = ''"

_SUMS = ("currency", "day", "kind", "amount", "movements")


def _hashes(of: str) -> str:
    """Two numbers that tell rows apart: each of another order, so that they do not collide together."""
    return f"hash({_listed(ROW, f'{of}.')}) as one, hash({_listed(reversed(ROW), f'{of}.')}) as other"


_DERIVED = f"select m.*, {_hashes('m')} from ledger_movements m"

_COME = f"""
select {{edition}}, '{{connection}}', {", ".join(f'to_timestamp("{n}")' if n in _STORED else f'"{n}"' for n in ROW)}
from ({_DERIVED}) d anti join ledger_standing s on s.one = d.one and s.other = d.other"""

_GONE = f"""
select id from ledger_standing s anti join ({_DERIVED}) d on s.one = d.one and s.other = d.other"""

_SUPERSEDE = text("""
update tidegate.movements m set superseded_at = clock_timestamp() from pg_temp.ledger_gone g where m.id = g.id""")

_FORGET_DAYS = text("delete from tidegate.mrr_days where connection = :connection and edition = :edition")

_PUT_DAYS = text("""
insert into tidegate.mrr_days (connection, edition, currency, day, kind, amount, movements)
select :connection, :edition, d.* from unnest(cast(:currency as text[]), cast(:day as date[]), cast(:kind as text[]),
  cast(:amount as bigint[]), cast(:movements as int[])) as d""")
