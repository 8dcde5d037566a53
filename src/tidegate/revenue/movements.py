"""Writes the movements of units where they differ from what stands, and their sums by day and by price."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.pricing.policy import Policy
from tidegate.revenue.editions import Ledger
from tidegate.revenue.netting import Window, lasting, windows
from tidegate.revenue.quarters import QUARTER, days_of
from tidegate.store.driver import rows
from tidegate.store.planning import BY_SETS, planned

if TYPE_CHECKING:
    from tidegate.revenue.expression import Compiled


FEW = 100
"""Changes that may be compared each with each."""


class Written(NamedTuple):
    """Rows of movements that came, and rows that were superseded."""

    added: int
    superseded: int


def keep_movements(db: Connection, ledger: Ledger, customers: Sequence[str]) -> Written:
    """Derives the movements of the units that these customers (Stripe ids) belong to, or belonged to so far.

    What stays the same is not touched; what is said otherwise now supersedes the rows before.
    """
    whole = together(db, ledger, customers)
    where = {"connection": ledger.connection, "edition": ledger.edition, "customers": whole}
    moments = [(one.unit, one.currency, one.at) for one in rows(db, _statement("moments", ledger.policy), where)]
    days = days_of({at // QUARTER for _, _, at in moments}, ledger.zone)
    with planned(db, BY_SETS) if len(moments) > FEW else nullcontext():
        return _put(db, ledger, where, moments, days)


def _put(
    db: Connection,
    ledger: Ledger,
    where: Mapping[str, Any],
    moments: Sequence[tuple[str, str, int]],
    days: Mapping[int, date],
) -> Written:
    """`moments`: the changes of units in a currency; `days`: those of their quarters of an hour."""
    seconds, named = ledger.policy.netting_seconds, list[Window]()
    if seconds is not None and lasting(moments, seconds):
        chains = rows(db, _statement("chains", ledger.policy), where)
        named = windows([(one.unit, one.currency, one.at) for one in chains], seconds)
    values = {
        **where,
        "window_unit": [one.unit for one in named],
        "window_currency": [one.currency for one in named],
        "window_at": [one.at for one in named],
        "window_moved": [one.moved_at for one in named],
        "quarter": list(days),
        "quarter_day": list(days.values()),
    }
    [row] = rows(db, _statement("put", ledger.policy), values)
    return Written(row.added, row.superseded)


def together(db: Connection, ledger: Ledger, customers: Sequence[str]) -> list[str]:
    """These customers and all that share a unit with one of them, by a link that stands or by a movement so far."""
    if ledger.policy.unit != "contact":
        return sorted(customers)
    values = {"connection": ledger.connection, "edition": ledger.edition, "customers": list(customers)}
    return sorted(row.customer for row in rows(db, _TOGETHER, values))


def left(db: Connection, contacts: Sequence[int]) -> dict[str, list[str]]:
    """By connection the customers that are or were these contacts' (internal keys), and whose movements stand for
    another unit than their link says now.
    """
    found: dict[str, list[str]] = {}
    for connection, customer in rows(db, _LEFT, {"contacts": list(contacts)}):
        found.setdefault(connection, []).append(customer)
    return found


def moved_on(db: Connection, ledger: Ledger, customers: Sequence[str]) -> list[str]:
    """Those of the customers whose movements stand for another unit than their link says now."""
    if ledger.policy.unit != "contact":
        return []
    values = {"connection": ledger.connection, "edition": ledger.edition, "customers": list(customers)}
    return [row.customer for row in rows(db, _MOVED_ON, values)]


@cache
def _statement(which: str, chosen: Policy) -> Any:
    told = {"moments": _MOMENTS, "chains": _CHAINS, "put": _PUT}[which]
    for name, sql in _compiled(chosen)._asdict().items():
        told = told.replace(f"{{{name}}}", sql.replace(":", r"\:"))
    return text(told.replace("{spans}", spans_sql(chosen)))


@cache
def _compiled(chosen: Policy) -> "Compiled":
    from tidegate.revenue import expression  # ibis costs half a second

    return expression.compiled(chosen, "postgres")


def spans_sql(chosen: Policy, customers: str = "= any(cast(:customers as text[]))", more: Sequence[str] = ()) -> str:
    """The spans of these customers as the expression takes them, with the unit whose movements they are; the excluded
    left out. `more`: columns of table `spans` to follow those.
    """
    unit = "coalesce('contact:' || k.contact, s.customer)" if chosen.unit == "contact" else "s.customer"
    return f"""
select {unit} as unit, s.connection, s.customer, s.subscription, s.item, s.currency,
  extract(epoch from s.starts_at)::bigint as starts_at, extract(epoch from s.ends_at)::bigint as ends_at,
  s.mrr, s.why_not = '' as counts, s.price, s.product{"".join(f', s."{name}"' for name in more)}
from tidegate.spans s
left join tidegate.links k on k.connection = s.connection and k.customer = s.customer and k.customer {customers}
where s.connection = :connection and s.customer {customers} and not exists (
    select from tidegate.exclusions e where e.connection = s.connection and e.customer = s.customer)"""


_TOGETHER = text("""
with mine as materialized (select unnest(cast(:customers as text[])) as customer),
units as materialized (
  select 'contact:' || l.contact as unit, l.contact from mine
  join tidegate.links l on l.connection = :connection and l.customer = mine.customer and l.contact is not null
  union
  select m.unit, cast(nullif(split_part(m.unit, 'contact:', 2), '') as bigint) from mine
  join tidegate.movements m on m.connection = :connection and m.customer = mine.customer
    and m.superseded_at is null
  where m.edition = :edition)
select customer from mine
union
select l.customer from units join tidegate.links l on l.contact = units.contact and l.connection = :connection
union
select m.customer from units
join tidegate.movements m on m.connection = :connection and m.edition = :edition and m.unit = units.unit
  and m.superseded_at is null""")

_LEFT = text("""
with these as materialized (select unnest(cast(:contacts as bigint[])) as contact),
now_theirs as (
  select l.connection, l.customer, 'contact:' || l.contact as unit
  from these join tidegate.links l on l.contact = these.contact)
select n.connection, n.customer from now_theirs n
join tidegate.ledgers g on g.connection = n.connection and g.adopted_at is not null and g.retired_at is null
where exists (
  select from tidegate.movements m where m.connection = n.connection and m.customer = n.customer
    and m.superseded_at is null and m.edition = g.edition and m.unit <> n.unit)
union
select m.connection, m.customer from these
join tidegate.ledgers g on g.adopted_at is not null and g.retired_at is null
join tidegate.movements m on m.connection = g.connection and m.edition = g.edition and m.superseded_at is null
  and m.unit = 'contact:' || these.contact
where not exists (
  select from tidegate.links l
  where l.connection = m.connection and l.customer = m.customer and l.contact = these.contact)
order by 1, 2""")

_MOVED_ON = text("""
select distinct m.customer
from tidegate.movements m
left join tidegate.links l on l.connection = m.connection and l.customer = m.customer
where m.connection = :connection and m.customer = any(cast(:customers as text[])) and m.superseded_at is null
  and m.edition = :edition and m.unit <> coalesce('contact:' || l.contact, m.customer)""")

_MOMENTS = """
with ledger_spans as materialized ({spans})
select unit, currency, starts_at as at from ledger_spans
union select unit, currency, ends_at from ledger_spans where ends_at is not null"""

_CHAINS = """
with ledger_spans as ({spans}),
ledger_changes as materialized ({changes})
select distinct unit, currency, at from ({chained}) as c where long"""

_SAME = "unit, customer, moved_at, day, kind, amount, opening, closing, price, product"
_FRESH = ", ".join(f"f.{name}" for name in _SAME.split(", "))
_OLD = ", ".join(f"m.{name}" for name in _SAME.split(", "))

_PUT = f"""
with ledger_spans as ({{spans}}),
ledger_changes as materialized ({{changes}}),
ledger_windows as (
  select * from unnest(cast(:window_unit as text[]), cast(:window_currency as text[]), cast(:window_at as bigint[]),
    cast(:window_moved as bigint[])) as t(unit, currency, at, moved_at)),
ledger_quarters as (
  select * from unnest(cast(:quarter as bigint[]), cast(:quarter_day as date[])) as t(quarter, day)),
fresh as materialized (
  select subscription, item, currency, to_timestamp(at) as at, unit, customer, to_timestamp(moved_at) as moved_at, day,
    kind, amount, opening, closing, price, product
  from ({{movements}}) as m),
standing as materialized (
  select ctid as old, * from tidegate.movements
  where connection = :connection and edition = :edition and superseded_at is null
    and customer = any(cast(:customers as text[]))),
differs as materialized (
  select m.old, f.*
  from fresh f full join standing m
    on (f.subscription, f.item, f.currency, f.at) = (m.subscription, m.item, m.currency, m.at)
  where m.old is null or f.item is null or ({_FRESH}) is distinct from ({_OLD})),
gone as (
  update tidegate.movements set superseded_at = clock_timestamp()
  where connection = :connection and edition = :edition  -- one partition, or rows of others would be meant as well
    and ctid = any(array(select old from differs where old is not null))
  returning currency, day, kind, amount, price, product),
come as (
  insert into tidegate.movements (edition, connection, subscription, item, currency, at, {_SAME})
  select :edition, :connection, subscription, item, currency, at, {_SAME}
  from differs f
  where item is not null
    and (select count(*) from gone) >= 0  -- after those, or two rows of one item would stand at once
  order by subscription, item, currency, at
  returning currency, day, kind, amount, price, product),
moved as materialized (
  select currency, day, kind, price, product, sum(amount)::bigint as amount, sum(number)::int as number from (
    select *, 1 as number from come
    union all select currency, day, kind, -amount, price, product, -1 from gone) changes
  group by currency, day, kind, price, product having sum(amount) <> 0 or sum(number) <> 0),
summed as (
  insert into tidegate.mrr_days as d (connection, edition, currency, day, kind, amount, movements)
  select :connection, :edition, currency, day, kind, sum(amount)::bigint, sum(number)::int from moved
  group by currency, day, kind order by currency, day, kind
  on conflict (connection, edition, currency, day, kind)
  do update set amount = d.amount + excluded.amount, movements = d.movements + excluded.movements),
priced as (
  insert into tidegate.price_days as d (connection, edition, currency, day, price, product, kind, amount)
  select :connection, :edition, currency, day, price, product, kind, amount from moved where amount <> 0
  order by currency, day, price, product, kind
  on conflict (connection, edition, currency, day, price, product, kind)
  do update set amount = d.amount + excluded.amount)
select (select count(*) from come) as added, (select count(*) from gone) as superseded"""
