"""Keeps sums of MRR by price and day, which reports by package, product, price or interval read instead of the ledger.

Rows of a movement's kind are sums of movements, as `mrr_days` has them. Rows of kind WORTH say by how much more the
items of a price are worth than on the day before, as their spans begin and end: no movement tells what goes from one
price to another. Which price is of which package is looked up when it is asked, so that no mapping changes a row.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from sqlalchemy import Connection, text

from tidegate.revenue.editions import Ledger
from tidegate.revenue.quarters import QUARTER, day_of

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

# What a rebuild does: DuckDB has the spans and their movements, and looks for what differs of what stood.

COLUMNS = {
    "currency": "varchar", "day": "date", "price": "varchar", "product": "varchar", "kind": "varchar",
    "amount": "bigint",
}  # fmt: skip

QUARTERS = f"""
select distinct quarter from (
  select unnest([starts_at, ends_at]) // {QUARTER} as quarter from ledger_spans where mrr <> 0) q
where quarter is not null"""

DAYS = """
create or replace temp table ledger_days as
select unnest(cast($1 as bigint[])) as quarter, unnest(cast($2 as date[])) as day"""

# What stood and is none any more differs as nothing.
DIFFERS = f"""
with ends as (
  select currency, price, product, starts_at as "at", mrr as amount from ledger_spans where mrr <> 0
  union all
  select currency, price, product, ends_at, -mrr from ledger_spans where mrr <> 0 and ends_at is not null),
fresh as (
  select currency, day, price, product, kind, cast(sum(amount) as bigint) as amount from (
    select currency, day, price, product, kind, amount from ledger_movements
    union all
    select e.currency, d.day, e.price, e.product, '{WORTH}', e.amount
    from ends e join ledger_days d on d.quarter = e."at" // {QUARTER}) sums
  group by all having sum(amount) <> 0)
select currency, day, price, product, kind, coalesce(f.amount, 0)
from fresh f full join {{stood}} s using (currency, day, price, product, kind)
where f.amount is distinct from s.amount order by all"""

FORGET = text("delete from tidegate.price_days where connection = :connection and edition <> :edition")

TAKE = text("""
create temp table ledger_priced (currency text, day date, price text, product text, kind text, amount bigint)
on commit drop""")

PUT = text("""
with gone as (
  delete from tidegate.price_days d using pg_temp.ledger_priced p
  where d.connection = :connection and d.edition = :edition and p.amount = 0
    and (d.currency, d.day, d.price, d.product, d.kind) = (p.currency, p.day, p.price, p.product, p.kind))
insert into tidegate.price_days (connection, edition, currency, day, price, product, kind, amount)
select :connection, :edition, currency, day, price, product, kind, amount from pg_temp.ledger_priced where amount <> 0
on conflict (connection, edition, currency, day, price, product, kind) do update set amount = excluded.amount""")
