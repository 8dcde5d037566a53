"""Derives all movements of a ledger at once: spans out of PostgreSQL, DuckDB on them, what differs back in."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow leaves its functions without types.

import tempfile
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.revenue import duck, partitions, price_days
from tidegate.revenue.editions import Ledger
from tidegate.revenue.movements import Written
from tidegate.revenue.spans import Whose
from tidegate.store import columns, snapshots
from tidegate.store.bulk import EPOCH
from tidegate.store.driver import driver

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "1400MB"
"""What DuckDB may take before it goes on on disk."""

MANY = 10_000
"""Rows written from which on the planner has to hear of it at once."""

BATCH = 100_000
"""Rows that are laid out for PostgreSQL at once: some 20 MB."""

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
        seen = _seen(db, ledger)
        self._read_spans(db, ledger, seen)
        if not partitions.there(db, ledger.connection, ledger.edition):
            self.derive(ledger)
            return self._begin(db, ledger)
        with ThreadPoolExecutor(1) as pool:
            standing = pool.submit(self._read_standing, db, ledger, seen)
            self.derive(ledger)
            standing.result()
        return self._bring(db, ledger)

    def read_spans(self, db: Connection, ledger: Ledger) -> None:
        """Takes the spans of the connection as they are stored, the excluded left out."""
        self._read_spans(db, ledger, _seen(db, ledger))

    def _read_spans(self, db: Connection, ledger: Ledger, seen: str | None) -> None:
        unit = "coalesce('contact:' || k.contact, s.customer)" if ledger.policy.unit == "contact" else "s.customer"
        where = f"connection = '{ledger.connection}'"
        stored = {name: type_ for name, type_ in SPANS.items() if name not in {"unit", "connection"}}
        wanted = (
            _Wanted("spans", "tidegate.spans", where, stored, snapshots.PARTS),
            _Wanted("links", "tidegate.links", where, {"customer": "varchar", "contact": "bigint"}),
            _Wanted("exclusions", "tidegate.exclusions", where, {"customer": "varchar"}),
        )
        with self._fetched(self.db, db, seen, wanted) as (spans, links, out):
            self.db.execute(f"""
create or replace table ledger_spans as
select {unit} as unit, '{ledger.connection}' as connection, s.*
from {spans} s left join {links} k on k.customer = s.customer
anti join {out} e on e.customer = s.customer""")

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

        In the caller's transaction. The sums by day are written anew. Rows are the same if two hashes of them are. An
        edition without a partition gets one of these rows, which has its indexes afterwards.
        """
        if not partitions.there(db, ledger.connection, ledger.edition):
            return self._begin(db, ledger)
        self._read_standing(db, ledger, _seen(db, ledger))
        return self._bring(db, ledger)

    def _begin(self, db: Connection, ledger: Ledger) -> Written:
        come = 0

        def fill(table: str) -> None:
            nonlocal come
            come = self._put(db, ledger, table, "ledger_movements", frozen=True)

        partitions.make(db, ledger.connection, ledger.edition, fill)
        return self._sum(db, ledger, Written(come, 0))

    def _read_standing(self, db: Connection, ledger: Ledger, seen: str | None) -> None:
        where = f"connection = '{ledger.connection}' and edition = {ledger.edition} and superseded_at is null"
        table = partitions.named(ledger.connection, ledger.edition)
        told = {"place": "varchar", **ROW}
        wanted = _Wanted("standing", "tidegate.movements", where, told, snapshots.PARTS, table)
        with self.db.cursor() as own, self._fetched(own, db, seen, [wanted]) as [standing]:
            own.execute(f"create or replace table ledger_standing as select place, {_hashes('s')} from {standing} s")

    def _bring(self, db: Connection, ledger: Ledger) -> Written:
        self.db.execute(_COME)
        derived, stood, come = map(self._count, ("ledger_movements_coded", "ledger_standing", "ledger_come"))
        gone = stood - (derived - come)  # those that did not come stand, each as one
        if gone:
            db.execute(text("create temp table ledger_gone (place text not null) on commit drop"))
            columns.copy_batches(db, "pg_temp.ledger_gone", {}, self.db.sql(_GONE).to_arrow_reader(BATCH))
            db.execute(_SUPERSEDE, {"connection": ledger.connection, "edition": ledger.edition})
            db.execute(text("drop table pg_temp.ledger_gone"))
        if come:
            self._put(db, ledger, "tidegate.movements", "ledger_come")
        self.db.execute("drop table ledger_come; drop table ledger_standing")
        return self._sum(db, ledger, Written(come, gone))

    def _put(self, db: Connection, ledger: Ledger, into: str, table: str, *, frozen: bool = False) -> int:
        """Writes the rows of a table of DuckDB's into one of PostgreSQL's."""
        rows = self.db.sql(f"select {', '.join(_sent(name) for name in ROW)} from {table}").to_arrow_reader(BATCH)
        same = {"edition": ledger.edition, "connection": ledger.connection}
        return columns.copy_batches(db, into, same, rows, frozen=frozen)

    def _sum(self, db: Connection, ledger: Ledger, written: Written) -> Written:
        """Writes the sums by day anew."""
        if sum(written) > MANY:
            db.execute(text("analyze tidegate.movements"))  # else refreshes go by what stood there before
        values = {"connection": ledger.connection, "edition": ledger.edition}
        db.execute(_FORGET_DAYS, values)
        sums = list(zip(*self.sums(), strict=True)) or [()] * len(_SUMS)
        db.execute(_PUT_DAYS, values | {name: list(of) for name, of in zip(_SUMS, sums, strict=True)})
        price_days.bring(self.db, db, ledger)
        return written

    def _count(self, table: str) -> int:
        [[rows]] = self.db.execute(f"select count(*) from {table}").fetchall()
        return rows

    @contextmanager
    def _fetched(
        self, duck_db: "DuckDBPyConnection", db: Connection, seen: str | None, wanted: Sequence["_Wanted"]
    ) -> Generator[list[str]]:
        """Each of these tables of PostgreSQL's as one that DuckDB reads once: by connections of their own where those
        see the same, or else a file that this one wrote.
        """
        with ExitStack() as opened:
            if seen:
                selects = [one.selects(db) for one in wanted]
                found = opened.enter_context(snapshots.readers(db, seen, [sql for some in selects for sql in some]))
                if found is not None:
                    coming = iter(found)
                    yield [
                        one.of([_registered(duck_db, f"{one.name}_{part}", next(coming)) for part in range(len(some))])
                        for one, some in zip(wanted, selects, strict=True)
                    ]
                    return
            files = [self._saved(db, one) for one in wanted]
            yield [one.in_file(file) for one, file in zip(wanted, files, strict=True)]
            for file in files:
                file.unlink()

    def _saved(self, db: Connection, wanted: "_Wanted") -> Path:
        """A file of what PostgreSQL selects."""
        file = self._directory / f"{wanted.name}.csv"
        copied = f"copy ({wanted.in_seconds()}) to stdout (format csv, null '\\N')".encode()
        with (
            driver(db, f"read {wanted.name}") as raw,
            file.open("wb", buffering=1 << 20) as into,
            raw.cursor() as cursor,
            cursor.copy(copied) as blocks,
        ):
            for block in blocks:
                into.write(block)
        return file


def _seen(db: Connection, ledger: Ledger) -> str | None:
    """What this transaction sees, for connections that read beside it; it has to last as long as they do, idle."""
    db.execute(text("set local idle_in_transaction_session_timeout = 0"))
    _, _, partition = partitions.named(ledger.connection, ledger.edition).partition(".")
    return snapshots.exported(db, ["spans", "links", "exclusions", partition.strip('"')])


def _registered(duck_db: "DuckDBPyConnection", name: str, reader: Any) -> str:
    duck_db.register(name, reader)
    return name


class _Wanted(NamedTuple):
    """Rows of a table of PostgreSQL's: the condition, DuckDB's types of their columns, in how many parts they are read,
    and where they lie, if that is another table's file.
    """

    name: str
    table: str
    where: str
    columns: dict[str, str]
    parts: int = 1
    lie_in: str = ""

    def selects(self, db: Connection) -> list[str]:
        listed = ", ".join(f'{_SELECTED.get(name, name)} as "{name}"' for name in self.columns)
        return snapshots.parts(db, self.table, listed, self.where, self.parts, self.lie_in or self.table)

    def of(self, readers: Sequence[str]) -> str:
        """The rows that Arrow's readers bring."""
        told = ", ".join(f'epoch_us("{n}") // 1000000 as "{n}"' if n in _TIMES else f'"{n}"' for n in self.columns)
        return "(" + " union all ".join(f"select {told} from {one}" for one in readers) + ")"

    def in_seconds(self) -> str:
        stored = (f"date_part('epoch', {n})::bigint" if n in _TIMES else _SELECTED.get(n, n) for n in self.columns)
        return f"select {', '.join(stored)} from {self.table} where {self.where}"

    def in_file(self, file: Path) -> str:
        told = "{" + ", ".join(f"'{name}': '{type_}'" for name, type_ in self.columns.items()) + "}"
        return f"""read_csv('{file}', columns = {told}, auto_detect = false, delim = ',', quote = '"', escape = '"',
  header = false, nullstr = '\\N')"""


def _listed(names: Iterable[str], of: str = "") -> str:
    return ", ".join(f'{of}"{name}"' for name in names)


def _columns(columns: dict[str, str]) -> str:
    return ", ".join(f'"{name}" {type_}' for name, type_ in columns.items())


_TIMES = ("at", "moved_at", "starts_at", "ends_at")

_SELECTED = {"counts": "why_not = ''", "place": "ctid::text"}
"""What stands for a column that the table has not."""

_SUMS = ("currency", "day", "kind", "amount", "movements")


def _sent(name: str) -> str:
    """A column as `store.columns` takes it."""
    if name in _TIMES:
        return f'("{name}" - {EPOCH}) * 1000000 as "{name}"'
    return f'cast("{name}" - date \'2000-01-01\' as integer) as "{name}"' if name == "day" else f'"{name}"'


def _hashes(of: str) -> str:
    """Two numbers that tell rows apart: each of another order, so that they do not collide together."""
    return f"hash({_listed(ROW, f'{of}.')}) as one, hash({_listed(reversed(ROW), f'{of}.')}) as other"


_DERIVED = f"select m.*, {_hashes('m')} from ledger_movements m"

_COME = f"""
create or replace temp table ledger_come as
select {_listed(ROW)} from ({_DERIVED}) d anti join ledger_standing s on s.one = d.one and s.other = d.other"""

_GONE = f"""
select place from ledger_standing s anti join ({_DERIVED}) d on s.one = d.one and s.other = d.other"""

_SUPERSEDE = text("""
update tidegate.movements m set superseded_at = clock_timestamp() from pg_temp.ledger_gone g
where m.connection = :connection and m.edition = :edition and m.ctid = cast(g.place as tid)""")

_FORGET_DAYS = text("delete from tidegate.mrr_days where connection = :connection and edition = :edition")

_PUT_DAYS = text("""
insert into tidegate.mrr_days (connection, edition, currency, day, kind, amount, movements)
select :connection, :edition, d.* from unnest(cast(:currency as text[]), cast(:day as date[]), cast(:kind as text[]),
  cast(:amount as bigint[]), cast(:movements as int[])) as d""")
