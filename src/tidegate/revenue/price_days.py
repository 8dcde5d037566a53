"""Keeps sums of MRR by price and day, which reports by package, product, price or interval read instead of the ledger.

Rows of a movement's kind are sums of movements, as `mrr_days` has them. Rows of kind WORTH say by how much more the
items of a price are worth than on the day before, as their spans begin and end: no movement tells what goes from one
price to another. Which price is of which package is looked up when it is asked, so that no mapping changes a row.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, text

from tidegate.revenue.editions import Ledger
from tidegate.revenue.quarters import QUARTER, day_of, days_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

WORTH = "worth"


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


def begin(work: "DuckDBPyConnection", ledger: Ledger) -> None:
    """Makes DuckDB's table ledger_sums of a rebuild's tables ledger_spans (the excluded left out) and their movements:
    currency, day, price, product, kind, amount, movements (how many rows it sums). Prices are numbers meanwhile.
    """
    days = days_of((quarter for (quarter,) in work.execute(_QUARTERS).fetchall()), ledger.zone)
    work.execute(_DAYS, [list(days), list(days.values())])
    work.execute(_PRICES)
    work.execute(_SUMS)
    work.execute("drop table ledger_days; drop table ledger_prices")


def drop_others(db: Connection, ledger: Ledger) -> None:
    """Drops the sums of other editions."""
    db.execute(_DROP_OTHERS, {"connection": ledger.connection, "edition": ledger.edition})


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

_DROP_OTHERS = text("delete from tidegate.price_days where connection = :connection and edition <> :edition")

# What a rebuild does: DuckDB has the spans and their movements.

_QUARTERS = f"""
select distinct quarter from (
  select unnest([starts_at, ends_at]) // {QUARTER} as quarter from ledger_spans where mrr <> 0) q
where quarter is not null"""

_DAYS = """
create or replace temp table ledger_days as
select unnest(cast($1 as bigint[])) as quarter, unnest(cast($2 as date[])) as day"""

_PRICES = """
create or replace temp table ledger_prices as
select currency, price, product, cast(row_number() over () as integer) as code from ledger_spans group by all"""

_SUMS = f"""
create or replace temp table ledger_sums as
with coded as materialized (
  select s.rowid as span, p.code, s.mrr, s.starts_at, s.ends_at
  from ledger_spans s join ledger_prices p using (currency, price, product)),
ends as (
  select code, starts_at as "at", mrr as amount from coded where mrr <> 0
  union all
  select code, ends_at, -mrr from coded where mrr <> 0 and ends_at is not null),
sums as (
  select code, day, kind, cast(sum(amount) as bigint) as amount, cast(count(*) as integer) as movements
  from ledger_movements_coded join coded using (span) group by all
  union all
  select code, day, '{WORTH}', cast(sum(amount) as bigint), 0
  from ends e join ledger_days d on d.quarter = e."at" // {QUARTER} group by all)
select p.currency, s.day, p.price, p.product, s.kind, s.amount, s.movements
from sums s join ledger_prices p using (code)"""
