"""Writes the spans of customers where they differ from what stands, and when their worth changes by itself."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.revenue import load
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


def keep_spans(db: Connection, ledger: Ledger, customers: Sequence[str], as_of: int) -> Written:
    """Derives the spans of these customers up to an instant (epoch seconds) and writes those that differ."""
    return put_spans(db, ledger, customers, *derived(db, ledger, customers, as_of))


def put_spans(
    db: Connection, ledger: Ledger, customers: Sequence[str], found: Sequence[Whose], due: Mapping[str, int]
) -> Written:
    """Writes of what was `derived` of these customers what differs."""
    values = {"connection": ledger.connection, "customers": list(customers)}
    written = [row.customer for row in rows(db, _PUT, values | _columns(found))]
    rows(db, _PUT_DUE, values | {"due": list(due), "at": list(due.values())})
    return Written(len(written), sorted(set(written)))


def derived(db: Connection, ledger: Ledger, customers: Sequence[str], as_of: int) -> tuple[list[Whose], dict[str, int]]:
    """The spans of these customers, and by customer when what it is worth changes without a word of Stripe's."""
    found: list[Whose] = []
    due: dict[str, int] = {}
    for id_, loaded in load.load(db, ledger.connection, customers).items():
        told = history(loaded.versions, loaded.billed, ledger.policy, as_of, loaded.stood)
        found += [Whose(loaded.customer, id_, span) for span in told.spans]
        if told.changes_at is not None:
            due[loaded.customer] = min(told.changes_at, due.get(loaded.customer, told.changes_at))
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


# What stays as it is is not even locked: one look at both sides tells what differs.
_PUT = text(f"""
with fresh as materialized (
  select {", ".join(_value(name) for name in _TYPES)}
  from unnest({", ".join(f"cast(:{name} as {type_}[])" for name, type_ in _TYPES.items())})
    as t({_listed(_TYPES)})),
mine as materialized (
  select * from tidegate.spans where connection = :connection and customer = any(cast(:customers as text[]))),
differs as materialized (
  select {_listed(_TYPES, "f.")}, {", ".join(f'm."{name}" as "old_{name}"' for name in _KEY)}
  from fresh f full join mine m on {" and ".join(f'f."{name}" = m."{name}"' for name in _KEY)}
  where f.item is null or m.item is null or ({_listed(_DATA, "f.")}) is distinct from ({_listed(_DATA, "m.")})),
gone as (
  delete from tidegate.spans s using differs d
  where d.item is null and s.connection = :connection
    and {" and ".join(f's."{name}" = d."old_{name}"' for name in _KEY)}
  returning s.customer),
put as (
  insert into tidegate.spans (connection, {_listed(_TYPES)})
  select :connection, {_listed(_TYPES)} from differs where item is not null order by {_listed(_KEY)}
  on conflict (connection, {_listed(_KEY)}) do update set ({_listed(_DATA)}) = ({_listed(_DATA, "excluded.")})
  returning customer)
select customer from gone union all select customer from put""")

_PUT_DUE = text("""
with told as materialized (
  select * from unnest(cast(:due as text[]), cast(:at as bigint[])) as t(customer, at)),
gone as (
  delete from tidegate.revenue_due d where d.connection = :connection and d.customer = any(cast(:customers as text[]))
    and not exists (select from told t where t.customer = d.customer))
insert into tidegate.revenue_due as d (connection, customer, changes_at)
select :connection, customer, to_timestamp(at) from told t
where not exists (
  select from tidegate.revenue_due s
  where s.connection = :connection and s.customer = t.customer and s.changes_at = to_timestamp(t.at))
order by customer
on conflict (connection, customer) do update set changes_at = excluded.changes_at""")
