"""Keeps sums of MRR by price and day, which reports by package, product, price or interval read instead of the ledger.

Rows of a movement's kind are sums of movements, as `mrr_days` has them. Rows of kind WORTH say by how much more the
items of a price are worth than on the day before, as their spans begin and end: no movement tells what goes from one
price to another. Which price is of which package is looked up when it is asked, so that no mapping changes a row.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, text

from tidegate.revenue.editions import Ledger
from tidegate.revenue.quarters import QUARTER, day_of, days_of
from tidegate.store.driver import driver

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

WORTH = "worth"

MANY = 10_000
"""Rows written in one go from which on PostgreSQL is told at once how many there are; autovacuum comes too late."""


class Edge(NamedTuple):
    """An end of a span: at that instant (epoch seconds) what is paid for the price a month changes by `amount`."""

    currency: str
    price: str
    product: str
    at: int
    amount: int


def edges(
    currency: str, price: str, product: str, starts_at: int, ends_at: int | None, mrr: int, sign: int = 1
) -> list[Edge]:
    """Both ends of a span that comes (`sign` 1) or goes (-1); none of one that is worth nothing."""
    if not mrr:
        return []
    found = [Edge(currency, price, product, starts_at, sign * mrr)]
    return found if ends_at is None else [*found, Edge(currency, price, product, ends_at, -sign * mrr)]


def add(db: Connection, ledger: Ledger, changes: Iterable[Edge]) -> None:
    """Adds ends of spans to the sums; those that come and go are nothing."""
    sums = Counter[tuple[str, date, str, str]]()
    for one in changes:
        sums[one.currency, day_of(one.at, ledger.zone), one.price, one.product] += one.amount
    rows = sorted((*key, amount) for key, amount in sums.items() if amount)
    if rows:
        currency, day, price, product, amount = map(list, zip(*rows, strict=True))
        values = {"currency": currency, "day": day, "price": price, "product": product, "amount": amount}
        db.execute(_ADD, values | {"connection": ledger.connection, "edition": ledger.edition, "kind": WORTH})


def add_customer(db: Connection, ledger: Ledger, customer: str, sign: int) -> None:
    """Adds all spans of a customer (Stripe id) to the sums, or takes them out (`sign` -1)."""
    rows = db.execute(_SPANS, {"connection": ledger.connection, "customer": customer}).all()
    add(db, ledger, [edge for row in rows for edge in edges(*row, sign=sign)])


def bring(work: "DuckDBPyConnection", db: Connection, ledger: Ledger) -> None:
    """Brings the sums up to a rebuild's tables ledger_spans (the excluded left out) and ledger_movements; what differs
    is written, and those of other editions go. In the caller's transaction.
    """
    values = {"connection": ledger.connection, "edition": ledger.edition}
    days = days_of((quarter for (quarter,) in work.execute(_QUARTERS).fetchall()), ledger.zone)
    work.execute(_DAYS, [list(days), list(days.values())])
    with tempfile.TemporaryDirectory(prefix="tidegate-ledger-") as directory:
        file = Path(directory) / "sums.csv"
        work.execute(f"copy ({_SUMS}) to '{file}' (format csv, header false, nullstr '\\N')")
        db.execute(_TAKE)
        with (
            file.open("rb") as sums,
            driver(db, "write sums by price") as raw,
            raw.cursor() as cursor,
            cursor.copy(_COPY) as copy,
        ):
            while block := sums.read(1 << 20):
                copy.write(block)
    work.execute("drop table ledger_days")
    db.execute(text("analyze pg_temp.ledger_priced"))
    written = sum(db.execute(statement, values).rowcount for statement in (_DROP_OTHERS, _DROP, _PUT))
    db.execute(text("drop table pg_temp.ledger_priced"))
    if written > MANY:
        db.execute(text("analyze tidegate.price_days"))


_ADD = text("""
insert into tidegate.price_days as d (connection, edition, currency, day, price, product, kind, amount)
select :connection, :edition, t.currency, t.day, t.price, t.product, :kind, t.amount
from unnest(cast(:currency as text[]), cast(:day as date[]), cast(:price as text[]), cast(:product as text[]),
  cast(:amount as bigint[])) as t(currency, day, price, product, amount)
on conflict (connection, edition, currency, day, price, product, kind)
do update set amount = d.amount + excluded.amount""")

_SPANS = text("""
select currency, price, product, extract(epoch from starts_at)::bigint, extract(epoch from ends_at)::bigint, mrr
from tidegate.spans where connection = :connection and customer = :customer and mrr <> 0""")

# What a rebuild does: DuckDB has the spans and their movements, PostgreSQL compares their sums with what stands.

_COLUMNS = "currency, day, price, product, kind, amount"

_QUARTERS = f"""
select distinct quarter from (
  select unnest([starts_at, ends_at]) // {QUARTER} as quarter from ledger_spans where mrr <> 0) q
where quarter is not null"""

_DAYS = """
create or replace temp table ledger_days as
select unnest(cast($1 as bigint[])) as quarter, unnest(cast($2 as date[])) as day"""

_SUMS = f"""
with ends as (
  select currency, price, product, starts_at as "at", mrr as amount from ledger_spans where mrr <> 0
  union all
  select currency, price, product, ends_at, -mrr from ledger_spans where mrr <> 0 and ends_at is not null)
select currency, day, price, product, kind, cast(sum(amount) as bigint) as amount from (
  select {_COLUMNS} from ledger_movements
  union all
  select e.currency, d.day, e.price, e.product, '{WORTH}', e.amount
  from ends e join ledger_days d on d.quarter = e."at" // {QUARTER}) sums
group by all having sum(amount) <> 0 order by all"""

_TAKE = text("""
create temp table ledger_priced (currency text, day date, price text, product text, kind text, amount bigint)
on commit drop""")

_COPY = f"copy pg_temp.ledger_priced ({_COLUMNS}) from stdin (format csv, null '\\N')".encode()

_DROP_OTHERS = text("delete from tidegate.price_days where connection = :connection and edition <> :edition")

# Not in one statement with the above: an `or` keeps PostgreSQL from joining, and then each row reads all the others.
_DROP = text("""
delete from tidegate.price_days d where connection = :connection and edition = :edition and not exists (
  select from pg_temp.ledger_priced p
  where (p.currency, p.day, p.price, p.product, p.kind) = (d.currency, d.day, d.price, d.product, d.kind))""")

# What stands as it is is not even locked.
_PUT = text(f"""
insert into tidegate.price_days (connection, edition, {_COLUMNS})
select :connection, :edition, {", ".join(f"p.{name}" for name in _COLUMNS.split(", "))}
from pg_temp.ledger_priced p
left join tidegate.price_days d on d.connection = :connection and d.edition = :edition
  and (p.currency, p.day, p.price, p.product, p.kind) = (d.currency, d.day, d.price, d.product, d.kind)
where d.amount is distinct from p.amount
on conflict (connection, edition, currency, day, price, product, kind) do update set amount = excluded.amount""")
