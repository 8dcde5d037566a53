"""Writes the spans of customers where they differ from what stands, with what they are worth by price and day, and when
that changes by itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.revenue import load, naming, price_days
from tidegate.revenue.editions import Ledger
from tidegate.revenue.history.history import history
from tidegate.revenue.history.span import Span
from tidegate.store.driver import rows


class Whose(NamedTuple):
    """A span of a customer's subscription (Stripe ids)."""

    customer: str
    subscription: str
    span: Span


class Written(NamedTuple):
    """How many spans were written or dropped, and the customers that they are of."""

    rows: int
    customers: list[str]


def keep_spans(db: Connection, ledger: Ledger, customers: Sequence[str], as_of: int, *, sums: bool = True) -> Written:
    """Derives the spans of these customers up to an instant (epoch seconds) and writes those that differ.

    `sums`: in step with them what they are worth by price and day; else a rebuild has to follow.
    """
    return put_spans(db, ledger, customers, *derived(db, ledger, customers, as_of), sums=sums)


def put_spans(
    db: Connection,
    ledger: Ledger,
    customers: Sequence[str],
    found: Sequence[Whose],
    due: Mapping[str, int],
    *,
    sums: bool = True,
) -> Written:
    """Writes of what was `derived` of these customers what differs."""
    values = {"connection": ledger.connection, "customers": list(customers)}
    written = rows(db, _PUT, values | _columns(found) | {"due": list(due), "due_at": list(due.values())})
    if sums:
        price_days.add(db, ledger, [edge for row in written for edge in _edges(row)])
    return Written(len(written), sorted({row.customer for row in written}))


def _edges(row: Any) -> list[price_days.Edge]:
    """The ends of the span that a row of `_PUT` tells of, and those of the one that stood there before."""
    came = (row.currency, row.price, row.product, row.starts_at, row.ends_at, row.mrr)
    went = (row.old_currency, row.old_price, row.old_product, row.old_starts_at, row.old_ends_at, row.old_mrr)
    return [*price_days.edges(*came), *price_days.edges(*went, -1)]


def derived(db: Connection, ledger: Ledger, customers: Sequence[str], as_of: int) -> tuple[list[Whose], dict[str, int]]:
    """The spans of these customers, and by customer when what it is worth changes without a word of Stripe's. Tax rates
    that are missing are noted, so that who names one is found when it comes.
    """
    found: list[Whose] = []
    due: dict[str, int] = {}
    lacks: set[tuple[str, str]] = set()
    for id_, loaded in load.load(db, ledger.connection, customers).items():
        told = history(loaded.versions, loaded.billed, ledger.policy, as_of, loaded.stood)
        found += [Whose(loaded.customer, id_, span) for span in told.spans]
        if told.changes_at is not None:
            due[loaded.customer] = min(told.changes_at, due.get(loaded.customer, told.changes_at))
        lacks |= {(rate, loaded.customer) for rate in loaded.lacks}
    naming.note_missing(db, ledger.connection, lacks)
    return found, due


_KEY: Mapping[str, str] = {"subscription": "text", "item": "text", "starts_at": "bigint"}
_DATA: Mapping[str, str] = {
    "ends_at": "bigint", "customer": "text", "currency": "text", "mrr": "bigint", "listed": "bigint", "trial": "bigint",
    "usage": "bigint", "why_not": "text", "price": "text", "product": "text", "quantity": "bigint", "interval": "text",
    "interval_count": "int", "metered": "boolean", "provenance": "text", "source": "text",
}  # fmt: skip
_TYPES = {**_KEY, **_DATA}


def _columns(spans: Iterable[Whose]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in _TYPES}
    of_span = [(columns[name], Span._fields.index(name)) for name in _TYPES if name in Span._fields]
    for customer, subscription, span in spans:
        columns["customer"].append(customer)
        columns["subscription"].append(subscription)
        for values, place in of_span:
            values.append(span[place])
    return columns


def _listed(names: Iterable[str], of: str = "") -> str:
    return ", ".join(f'{of}"{name}"' for name in names)


def _value(name: str) -> str:
    return f'to_timestamp("{name}") as "{name}"' if name in {"starts_at", "ends_at"} else f'"{name}"'


_OLD = (*_KEY, "ends_at", "customer", "currency", "mrr", "price", "product")
_SECONDS = ", ".join(
    f"extract(epoch from {name})::bigint as {name}" for name in ("starts_at", "ends_at", "old_starts_at", "old_ends_at")
)

# What stays as it is is not even locked: one look at both sides tells what differs.
_PUT = text(f"""
with fresh as materialized (
  select {", ".join(_value(name) for name in _TYPES)}
  from unnest({", ".join(f"cast(:{name} as {type_}[])" for name, type_ in _TYPES.items())})
    as t({_listed(_TYPES)})),
mine as materialized (
  select * from tidegate.spans where connection = :connection and customer = any(cast(:customers as text[]))),
differs as materialized (
  select {_listed(_TYPES, "f.")}, {", ".join(f'm."{name}" as "old_{name}"' for name in _OLD)}
  from fresh f full join mine m on {" and ".join(f'f."{name}" = m."{name}"' for name in _KEY)}
  where f.item is null or m.item is null or ({_listed(_DATA, "f.")}) is distinct from ({_listed(_DATA, "m.")})),
gone as (
  delete from tidegate.spans s using differs d
  where d.item is null and s.connection = :connection
    and {" and ".join(f's."{name}" = d."old_{name}"' for name in _KEY)}),
put as (
  insert into tidegate.spans (connection, {_listed(_TYPES)})
  select :connection, {_listed(_TYPES)} from differs where item is not null order by {_listed(_KEY)}
  on conflict (connection, {_listed(_KEY)}) do update set ({_listed(_DATA)}) = ({_listed(_DATA, "excluded.")})),
out as materialized (select customer from tidegate.exclusions where connection = :connection),
due as materialized (
  select customer, to_timestamp(at) as at
  from unnest(cast(:due as text[]), cast(:due_at as bigint[])) as t(customer, at)),
never as (
  delete from tidegate.revenue_due d where d.connection = :connection and d.customer = any(cast(:customers as text[]))
    and not exists (select from due where due.customer = d.customer)),
later as (
  insert into tidegate.revenue_due as d (connection, customer, changes_at)
  select :connection, customer, at from due
  where not exists (
    select from tidegate.revenue_due s
    where s.connection = :connection and s.customer = due.customer and s.changes_at = due.at)
  order by customer
  on conflict (connection, customer) do update set changes_at = excluded.changes_at)
select coalesce(customer, old_customer) as customer, currency, price, product, old_currency, old_price, old_product,
  {_SECONDS},
  case when customer not in (select customer from out) then mrr end as mrr,
  case when old_customer not in (select customer from out) then old_mrr end as old_mrr
from differs""")
