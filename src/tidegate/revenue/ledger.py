"""Keeps spans and movements of some customers in step with their histories; what stays the same is not written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from tidegate.pricing.policy import Policy, policy
from tidegate.revenue import load
from tidegate.revenue.history.history import history
from tidegate.revenue.history.span import Span
from tidegate.revenue.netting import moved

QUARTER = 900


@dataclass(frozen=True, slots=True)
class Ledger:
    """A connection's ledger that is in force: its edition, policy, and the time zone of its days."""

    connection: str
    edition: int
    policy: Policy
    zone: ZoneInfo
    base_currency: str


class Kept(NamedTuple):
    """What a recomputation wrote: spans changed, rows of movements added, rows superseded."""

    spans: int
    added: int
    superseded: int


def current(db: Connection, connection: str) -> Ledger | None:
    """The connection's ledger; None: none was begun."""
    row = db.execute(_CURRENT, {"connection": connection}).first()
    if row is None:
        return None
    chosen = policy(row.preset, row.choices)
    return Ledger(connection, row.edition, chosen, ZoneInfo(row.time_zone), row.base_currency)


def begin(db: Connection, connection: str) -> Ledger:
    """The connection's ledger, begun with the default policy and the account's time zone where there is none."""
    db.execute(_BEGIN, {"connection": connection})
    found = current(db, connection)
    if found is None:
        raise LookupError(f"no ledger of {connection}")
    return found


def keep(db: Connection, ledger: Ledger, customers: Sequence[str], as_of: int) -> Kept:
    """Brings spans and movements of these customers (Stripe ids) up to an instant (epoch seconds), in the caller's
    transaction. The whole of a contact counts: its other customers' movements are looked at as well.
    """
    written = _keep_spans(db, ledger, customers, as_of)
    added, superseded = keep_movements(db, ledger, customers)
    return Kept(written, added, superseded)


def _keep_spans(db: Connection, ledger: Ledger, customers: Sequence[str], as_of: int) -> int:
    rows: list[dict[str, Any]] = []
    due: dict[str, int] = {}
    for id_, loaded in load.load(db, ledger.connection, customers).items():
        found = history(loaded.versions, loaded.billed, ledger.policy, as_of)
        rows += [_row(id_, loaded.customer, span) for span in found.spans]
        if found.changes_at is not None:
            due[loaded.customer] = min(found.changes_at, due.get(loaded.customer, found.changes_at))
    values = {"connection": ledger.connection, "customers": list(customers), **_columns(rows)}
    written = db.execute(_PUT_SPANS, values).scalar_one()
    db.execute(
        _PUT_DUE,
        {"connection": ledger.connection, "customers": list(customers), "due": list(due), "at": list(due.values())},
    )
    return written


def keep_movements(db: Connection, ledger: Ledger, customers: Sequence[str]) -> tuple[int, int]:
    """Derives the movements of the units that these customers belong to; returns how many rows came and went."""
    where = {"connection": ledger.connection, "edition": ledger.edition, "customers": list(customers)}
    instants = db.execute(_statement(_INSTANTS, ledger.policy), where).all()
    names, chains = _chains(instants, ledger.policy), sorted({one.at // QUARTER for one in instants})
    values = where | {
        "window_unit": [unit for unit, _, _, _ in names],
        "window_currency": [currency for _, currency, _, _ in names],
        "window_at": [at for _, _, at, _ in names],
        "window_moved": [last for _, _, _, last in names],
        "quarter": chains,
        "quarter_day": [day_of(quarter * QUARTER, ledger.zone) for quarter in chains],
    }
    # The planner takes what WITH names for a handful of rows, and would compare each with each.
    db.execute(text("set local enable_nestloop = off"))
    row = db.execute(_statement(_movements_sql(ledger.policy), ledger.policy), values).one()
    db.execute(text("set local enable_nestloop = on"))
    return row.added, row.superseded


def _chains(instants: Sequence[Any], chosen: Policy) -> list[tuple[str, str, int, int]]:
    """Instants of each unit and currency whose movement is not the one that gaps alone would tell."""
    seconds = chosen.netting_seconds or 0
    by_unit: dict[tuple[str, str], list[int]] = {}
    for one in instants:
        by_unit.setdefault((one.unit, one.currency), []).append(one.at)
    found: list[tuple[str, str, int, int]] = []
    for (unit, currency), those in by_unit.items():
        if max(those) - min(those) <= seconds or len(those) < 3:
            continue
        found += [(unit, currency, at, last) for at, last in moved(those, seconds).items()]
    return found


def day_of(at: int, zone: ZoneInfo) -> Any:
    """The day of an instant (epoch seconds) in a time zone."""
    return datetime.fromtimestamp(at, UTC).astimezone(zone).date()


def _row(subscription: str, customer: str, span: Span) -> dict[str, Any]:
    return {"subscription": subscription, "customer": customer, **span._asdict()}


_TYPES: Mapping[str, str] = {
    "subscription": "text", "item": "text", "starts_at": "bigint", "ends_at": "bigint", "customer": "text",
    "currency": "text", "mrr": "bigint", "listed": "bigint", "trial": "bigint", "why_not": "text", "price": "text",
    "product": "text", "quantity": "bigint", "interval": "text", "interval_count": "int", "metered": "boolean",
    "provenance": "text", "source": "text",
}  # fmt: skip


def _columns(rows: Iterable[dict[str, Any]]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in _TYPES}
    for row in rows:
        for name, values in columns.items():
            values.append(row[name])
    return columns


def _unit(chosen: Policy) -> str:
    """Whose movements a customer's are, in SQL."""
    return "coalesce('contact:' || k.contact, s.customer)" if chosen.unit == "contact" else "s.customer"


def _spans_sql(chosen: Policy) -> str:
    """The spans of all customers that share a unit with these, as the expression takes them; the excluded left out."""
    together = """
  or exists (
    select from tidegate.links mine join tidegate.links theirs on theirs.contact = mine.contact
    where mine.connection = :connection and mine.customer = any(cast(:customers as text[]))
      and theirs.connection = s.connection and theirs.customer = s.customer)"""
    return f"""
select {_unit(chosen)} as unit, s.connection, s.customer, s.subscription, s.item, s.currency,
  extract(epoch from s.starts_at)::bigint as starts_at, extract(epoch from s.ends_at)::bigint as ends_at,
  s.mrr, s.why_not = '' as counts, s.price, s.product
from tidegate.spans s
left join tidegate.links k on k.connection = s.connection and k.customer = s.customer
where s.connection = :connection and not exists (
    select from tidegate.exclusions e where e.connection = s.connection and e.customer = s.customer)
  and (s.customer = any(cast(:customers as text[])){together if chosen.unit == "contact" else ""})"""


_INSTANTS = """
select distinct unit, currency, at from (
  select unit, currency, unnest(array[starts_at, ends_at]) as at from ({spans}) spans) instants
where at is not null"""


@cache
def _movements_sql(chosen: Policy) -> str:
    from tidegate.revenue import expression  # ibis costs half a second

    return _PUT_MOVEMENTS.replace("{movements}", expression.postgres(chosen).replace(":", r"\:"))


@cache
def _statement(sql: str, chosen: Policy) -> Any:
    return text(sql.replace("{spans}", _spans_sql(chosen)))


_CURRENT = text("""
select edition, preset, choices, time_zone, base_currency from tidegate.ledgers
where connection = :connection and adopted_at is not null and retired_at is null""")

_BEGIN = text("""
insert into tidegate.ledgers (connection, edition, preset, time_zone, adopted_at)
select :connection, 1, 'default', coalesce(
    (select a.data #>> '{settings,dashboard,timezone}' from stripe.accounts a
     join tidegate.connections c on c.name = a.connection and c.account = a.id
     where a.connection = :connection
       and a.data #>> '{settings,dashboard,timezone}' in (select name from pg_timezone_names)), 'UTC'),
  clock_timestamp()
on conflict do nothing""")

_PUT_SPANS = text(f"""
with told as materialized (
  select * from unnest({", ".join(f"cast(:{name} as {type_}[])" for name, type_ in _TYPES.items())})
    as t({", ".join(f'"{name}"' for name in _TYPES)})),
fresh as materialized (
  select subscription, item, to_timestamp(starts_at) as starts_at, to_timestamp(ends_at) as ends_at, customer, currency,
    mrr, listed, trial, why_not, price, product, quantity, "interval", interval_count, metered, provenance, source
  from told),
gone as (
  delete from tidegate.spans s where s.connection = :connection and s.customer = any(cast(:customers as text[]))
    and not exists (select from fresh f
      where (f.subscription, f.item, f.starts_at) = (s.subscription, s.item, s.starts_at)) returning 1),
put as (
  insert into tidegate.spans as s (connection, {", ".join(f'"{name}"' for name in _TYPES)})
  select :connection, {", ".join(f'"{name}"' for name in _TYPES)} from fresh
  order by subscription, item, starts_at
  on conflict (connection, subscription, item, starts_at) do update set
    {", ".join(f'"{name}" = excluded."{name}"' for name in _TYPES if name not in {"subscription", "item", "starts_at"})}
  where (s.ends_at, s.customer, s.currency, s.mrr, s.listed, s.trial, s.why_not, s.price, s.product, s.quantity,
    s."interval", s.interval_count, s.metered, s.provenance, s.source)
    is distinct from (excluded.ends_at, excluded.customer, excluded.currency, excluded.mrr, excluded.listed,
    excluded.trial, excluded.why_not, excluded.price, excluded.product, excluded.quantity, excluded."interval",
    excluded.interval_count, excluded.metered, excluded.provenance, excluded.source)
  returning 1)
select (select count(*) from gone) + (select count(*) from put)""")

_PUT_DUE = text("""
with told as (
  select * from unnest(cast(:due as text[]), cast(:at as bigint[])) as t(customer, at)),
gone as (
  delete from tidegate.revenue_due d where d.connection = :connection and d.customer = any(cast(:customers as text[]))
    and not exists (select from told t where t.customer = d.customer))
insert into tidegate.revenue_due as d (connection, customer, changes_at)
select :connection, customer, to_timestamp(at) from told order by customer
on conflict (connection, customer) do update set changes_at = excluded.changes_at
where d.changes_at <> excluded.changes_at""")

_PUT_MOVEMENTS = """
with ledger_spans as materialized ({spans}),
ledger_windows as (
  select * from unnest(cast(:window_unit as text[]), cast(:window_currency as text[]), cast(:window_at as bigint[]),
    cast(:window_moved as bigint[])) as t(unit, currency, at, moved_at)),
ledger_quarters as (
  select * from unnest(cast(:quarter as bigint[]), cast(:quarter_day as date[])) as t(quarter, day)),
fresh as materialized (
  select unit, connection, customer, subscription, item, currency, to_timestamp(at) as at,
    to_timestamp(moved_at) as moved_at, day, kind, amount, opening, closing, price, product
  from ({movements}) as m),
concerned as (
  select customer from ledger_spans union select unnest(cast(:customers as text[]))),
gone as (
  update tidegate.movements m set superseded_at = clock_timestamp()
  where m.connection = :connection and m.edition = :edition and m.superseded_at is null
    and m.customer in (select customer from concerned)
    and not exists (select from fresh f
      where (f.subscription, f.item, f.currency, f.at, f.unit, f.customer, f.moved_at, f.day, f.kind, f.amount,
             f.opening, f.closing, f.price, f.product)
          = (m.subscription, m.item, m.currency, m.at, m.unit, m.customer, m.moved_at, m.day, m.kind, m.amount,
             m.opening, m.closing, m.price, m.product))
  returning m.currency, m.day, m.kind, m.amount),
standing as (
  select subscription, item, currency, at from tidegate.movements m
  where m.connection = :connection and m.edition = :edition and m.superseded_at is null
    and m.customer in (select customer from concerned)
    and exists (select from fresh f
      where (f.subscription, f.item, f.currency, f.at, f.unit, f.customer, f.moved_at, f.day, f.kind, f.amount,
             f.opening, f.closing, f.price, f.product)
          = (m.subscription, m.item, m.currency, m.at, m.unit, m.customer, m.moved_at, m.day, m.kind, m.amount,
             m.opening, m.closing, m.price, m.product))),
come as (
  insert into tidegate.movements (edition, connection, unit, customer, subscription, item, currency, at, moved_at, day,
    kind, amount, opening, closing, price, product)
  select :edition, connection, unit, customer, subscription, item, currency, at, moved_at, day, kind, amount, opening,
    closing, price, product
  from fresh f where (select count(*) from gone) >= 0  -- after those, or two rows of one item would stand at once
    and not exists (select from standing s
    where (s.subscription, s.item, s.currency, s.at) = (f.subscription, f.item, f.currency, f.at))
  order by subscription, item, currency, at
  returning currency, day, kind, amount),
moved as (
  select currency, day, kind, sum(amount)::bigint as amount, sum(number)::int as number from (
    select currency, day, kind, amount, 1 as number from come
    union all select currency, day, kind, -amount, -1 from gone) changes
  group by currency, day, kind having sum(amount) <> 0 or sum(number) <> 0),
summed as (
  insert into tidegate.mrr_days as d (connection, edition, currency, day, kind, amount, movements)
  select :connection, :edition, currency, day, kind, amount, number from moved order by currency, day, kind
  on conflict (connection, edition, currency, day, kind)
  do update set amount = d.amount + excluded.amount, movements = d.movements + excluded.movements)
select (select count(*) from come) as added, (select count(*) from gone) as superseded"""
