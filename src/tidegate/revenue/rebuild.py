"""Derives all movements of a ledger at once: spans out of PostgreSQL, DuckDB on them, what differs back in."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow leaves its functions without types.

import tempfile
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

from tidegate.revenue import duck, exchange, fingerprints, partitions, price_days, sums
from tidegate.revenue.editions import Ledger
from tidegate.revenue.exchange import Source, Wanted, listed
from tidegate.revenue.movements import Written
from tidegate.revenue.spans import Whose
from tidegate.revenue.sums import MANY, Kept
from tidegate.store import snapshots

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "1400MB"
"""What DuckDB may take before it goes on on disk."""

SPANS = {
    "unit": "varchar", "connection": "varchar", "customer": "varchar", "subscription": "varchar", "item": "varchar",
    "currency": "varchar", "starts_at": "bigint", "ends_at": "bigint", "mrr": "bigint", "counts": "boolean",
    "price": "varchar", "product": "varchar",
}  # fmt: skip
ROW = (
    "subscription", "item", "currency", "at", "unit", "customer", "moved_at", "day", "kind", "amount", "opening",
    "closing", "price", "product",
)  # fmt: skip
COMPARED = {
    "told": "bigint", "at": "bigint", "moved_at": "bigint", "day": "date", "amount": "bigint", "opening": "bigint",
    "closing": "bigint",
}  # fmt: skip
"""What tells rows of movements apart; `told`: all their names (`fingerprints`)."""

_UNIT = "told_as_unit"

MRR_DAYS = Kept(
    "mrr_days",
    ("currency", "day", "kind"),
    ("amount", "movements"),
    f"""
select currency, day, kind, cast(sum(amount) as bigint) as amount, cast(sum(movements) as integer) as movements
from ledger_sums where kind <> '{price_days.WORTH}' group by all""",
)
PRICE_DAYS = Kept(
    "price_days",
    ("currency", "day", "price", "product", "kind"),
    ("amount",),
    """
select currency, day, price, product, kind, amount from ledger_sums where amount <> 0""",
)
SUMS = (MRR_DAYS, PRICE_DAYS)


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
        """Reads the spans, derives their movements and brings the ledger's up to them (`write`). What stands is read
        meanwhile.
        """
        there = partitions.there(db, ledger.connection, ledger.edition)
        wanted = [*_of_spans(ledger, there), *(_standing(ledger) if there else ())]
        with self._fetched(db, ledger, wanted) as sources, ThreadPoolExecutor(1) as pool:
            kept = pool.submit(self._keep_standing, sources[3:])
            self._keep_spans(ledger, *sources[:3])
            self.derive(ledger)
            kept.result()
        return self._bring(db, ledger) if there else self._begin(db, ledger)

    def read_spans(self, db: Connection, ledger: Ledger) -> None:
        """Takes the spans of the connection as they are stored, the excluded left out."""
        there = partitions.there(db, ledger.connection, ledger.edition)
        with self._fetched(db, ledger, _of_spans(ledger, there)) as sources:
            self._keep_spans(ledger, *sources)

    def _keep_spans(self, ledger: Ledger, spans: Source, links: Source, exclusions: Source) -> None:
        named = [f"s.{name}" for name in spans.wanted.columns if name != _UNIT]
        if ledger.policy.unit == "contact":
            unit, told = "coalesce('contact:' || k.contact, s.customer)", f"coalesce(k.{_UNIT}, s.{_UNIT})"
        else:
            unit, told = "s.customer", f"s.{_UNIT}"
        compared = [f"{told} as {_UNIT}"] if _UNIT in spans.wanted.columns else []
        self.db.execute(f"""
create or replace table ledger_spans as
select {unit} as unit, '{ledger.connection}' as connection, {", ".join([*named, *compared])}
from {spans.rows(self.db)} s left join {links.rows(self.db)} k on k.customer = s.customer
anti join {exclusions.rows(self.db)} e on e.customer = s.customer""")

    def begin_spans(self) -> None:
        """Makes room for spans that `add_spans` brings."""
        columns = ", ".join(f'"{name}" {type_}' for name, type_ in SPANS.items())
        self.db.execute(f"create table ledger_spans ({columns})")

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
        """Brings the ledger's movements up to the derived ones of spans that were read: what differs is superseded,
        what is missing is added.

        In the caller's transaction. Rows are the same if all numbers are, and the fingerprints of their names. An
        edition without a partition gets one of these rows, which has its indexes afterwards. Sums are brought up, too.
        """
        if not partitions.there(db, ledger.connection, ledger.edition):
            self._keep_standing([])
            return self._begin(db, ledger)
        with self._fetched(db, ledger, _standing(ledger)) as sources:
            self._keep_standing(sources)
        return self._bring(db, ledger)

    @contextmanager
    def _fetched(self, db: Connection, ledger: Ledger, wanted: Sequence[Wanted]) -> Generator[list[Source]]:
        _, _, partition = partitions.named(ledger.connection, ledger.edition).partition(".")
        read = ["spans", "links", "exclusions", partition.strip('"'), *(kept.table for kept in SUMS)]
        with exchange.fetched(db, exchange.seen(db, read), wanted, self._directory) as sources:
            yield sources

    def _keep_standing(self, sources: Sequence[Source]) -> None:
        """Takes the rows that stand, movements and sums by `_standing`, on a connection of DuckDB's of its own; none:
        no sums stand.
        """
        with self.db.cursor() as own:
            rows = [one.rows(own) for one in sources]
            if rows:
                own.execute(f"create or replace table ledger_standing as from {rows[0]}")
            for kept, of in zip(SUMS, rows[1:] or [None] * len(SUMS), strict=True):
                sums.begin(own, kept, of)

    def _begin(self, db: Connection, ledger: Ledger) -> Written:
        """Writes all rows; DuckDB sums them up while PostgreSQL builds their indexes."""
        with ThreadPoolExecutor(1) as pool:

            def fill(table: str) -> tuple[int, Future[None]]:
                come = self._put(db, ledger, table, "ledger_movements", frozen=True)
                return come, pool.submit(price_days.begin, self.db, ledger)

            come, summed = partitions.make(db, ledger.connection, ledger.edition, fill)
            summed.result()
        return self._sum(db, ledger, Written(come, 0), new=True)

    def _bring(self, db: Connection, ledger: Ledger) -> Written:
        told = fingerprints.of_derived(db, "s.told", f"s.{_UNIT}", "c.kind")
        self.db.execute(_DERIVED.format(told=told))
        self.db.execute(_COME)
        derived, stood, come = map(self._count, ("ledger_derived", "ledger_standing", "ledger_come"))
        gone = stood - (derived - come)  # those that did not come stand, each as one
        if gone:
            db.execute(_TAKE_GONE)
            exchange.put(db, "pg_temp.ledger_gone", {}, self.db, _GONE, COMPARED)
            db.execute(_SUPERSEDE, {"connection": ledger.connection, "edition": ledger.edition})
            db.execute(text("drop table pg_temp.ledger_gone"))
        if come:
            self._put(db, ledger, "tidegate.movements", _NAMED)
        self.db.execute("drop table ledger_come; drop table ledger_derived; drop table ledger_standing")
        price_days.begin(self.db, ledger)
        return self._sum(db, ledger, Written(come, gone), new=False)

    def _put(self, db: Connection, ledger: Ledger, into: str, rows: str, *, frozen: bool = False) -> int:
        """Writes rows of DuckDB's into a table of movements."""
        same = {"edition": ledger.edition, "connection": ledger.connection}
        return exchange.put(db, into, same, self.db, rows, ROW, frozen=frozen)

    def _sum(self, db: Connection, ledger: Ledger, written: Written, *, new: bool) -> Written:
        """Brings the sums up to the movements and spans."""
        if sum(written) > MANY:
            db.execute(text("analyze tidegate.movements"))  # else refreshes go by what stood there before
        price_days.drop_others(db, ledger)
        for kept in SUMS:
            sums.bring(self.db, db, ledger, kept, new=new)
        self.db.execute("drop table ledger_sums")
        return written

    def _count(self, table: str) -> int:
        [[rows]] = self.db.execute(f"select count(*) from {table}").fetchall()
        return rows


def _of_spans(ledger: Ledger, compared: bool) -> list[Wanted]:
    """Spans, links and exclusions; `compared`: with the fingerprints of their names, and of what the unit is called."""
    where = f"connection = '{ledger.connection}'"
    spans = {name: type_ for name, type_ in SPANS.items() if name not in {"unit", "connection"}}
    links = {"customer": "varchar", "contact": "bigint"}
    if compared:
        spans |= {"told": "bigint", _UNIT: "bigint"}
        links |= {_UNIT: "bigint"}
    made = {"counts": "why_not = ''", "told": fingerprints.OF_NAMES, _UNIT: fingerprints.of_unit("customer")}
    linked = {_UNIT: fingerprints.of_unit("'contact:' || contact")}
    return [
        Wanted("spans", "tidegate.spans", where, spans, made, snapshots.PARTS),
        Wanted("links", "tidegate.links", where, links, linked),
        Wanted("exclusions", "tidegate.exclusions", where, {"customer": "varchar"}),
    ]


def _standing(ledger: Ledger) -> list[Wanted]:
    where = f"connection = '{ledger.connection}' and edition = {ledger.edition} and superseded_at is null"
    table, made = partitions.named(ledger.connection, ledger.edition), {"told": fingerprints.OF_MOVEMENT}
    movements = Wanted("standing", "tidegate.movements", where, COMPARED, made, snapshots.PARTS, table)
    return [movements, *(kept.standing(ledger) for kept in SUMS)]


_DERIVED = f"""
create or replace temp table ledger_derived as
select c.span, c.kind, {{told}} as told, {listed([name for name in COMPARED if name != "told"], "c.")}
from ledger_movements_coded c join ledger_spans s on s.rowid = c.span"""

_COME = f"""
create or replace temp table ledger_come as
from ledger_derived anti join ledger_standing using ({listed(COMPARED)})"""

_NAMED = """
(select c.*, s.* exclude (told) from ledger_come c join ledger_spans s on s.rowid = c.span)"""

_GONE = f"(from ledger_standing anti join ledger_derived using ({listed(COMPARED)}))"

_TAKE_GONE = text("""
create temp table ledger_gone (told bigint, at timestamptz, moved_at timestamptz, day date, amount bigint,
  opening bigint, closing bigint) on commit drop""")

_SUPERSEDE = text(f"""
update tidegate.movements m set superseded_at = clock_timestamp() from pg_temp.ledger_gone g
where m.connection = :connection and m.edition = :edition and m.superseded_at is null
  and {fingerprints.OF_MOVEMENT} = g.told
  and ({listed([name for name in COMPARED if name != "told"], "m.")})
    = ({listed([name for name in COMPARED if name != "told"], "g.")})""")
