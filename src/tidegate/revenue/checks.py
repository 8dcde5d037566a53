"""What holds of the ledger whatever it says; each invariant is a query for what breaks it."""

from typing import Any

from sqlalchemy import Connection, text

from tidegate.revenue import editions
from tidegate.revenue.price_days import WORTH
from tidegate.revenue.quarters import QUARTER, days_of


def broken(db: Connection, connection: str) -> dict[str, list[str]]:
    """The invariants by name, each with what breaks it; none where no ledger was begun.

    `spans`: those of an item do not overlap (`sub_1/si_1 2026-03-01T00:00:00Z`). `ledger`: per customer, currency and
    month of UTC, opening + movements = closing, as its spans say (`cus_1 usd 2026-03`). `movements`: each begins where
    the one before ended, and its rows sum to it (`contact:1 usd 2026-03-01T00:00:00Z`). `mrr_days`: they are the sums
    of the movements (`2026-03-01 usd new`). `price_days`: they are the sums of movements and of the ends of spans by
    price (`2026-03-01 usd price_1 new`).
    """
    ledger = editions.current(db, connection)
    if ledger is None:
        return {}
    values: dict[str, Any] = {"connection": connection, "edition": ledger.edition}
    days = days_of(db.scalars(_QUARTERS, values), ledger.zone)
    values |= {"quarter": list(days), "day": list(days.values())}
    return {name: list(db.scalars(text(sql), values)) for name, sql in _BREAKS.items()}


_STANDING = "connection = :connection and edition = :edition and superseded_at is null"
_INSTANT = """to_char({} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""

_QUARTER = f"floor(extract(epoch from c.at) / {QUARTER})::bigint"
_QUARTERS = text(f"""
select distinct {_QUARTER} from tidegate.spans s cross join lateral (values (s.starts_at), (s.ends_at)) as c(at)
where s.connection = :connection and s.mrr <> 0 and c.at is not null""")

_BREAKS = {
    "spans": f"""
select subscription || '/' || item || ' ' || {_INSTANT.format("starts_at")} from (
  select subscription, item, starts_at,
    lag(coalesce(ends_at, 'infinity')) over (partition by subscription, item order by starts_at) as before
  from tidegate.spans where connection = :connection) s
where starts_at < before order by 1""",
    # Up to the end of each month: what has moved so far is what stands then.
    "ledger": f"""
with changes as (
  select s.customer, s.currency, c.at, c.amount
  from tidegate.spans s cross join lateral (values (s.starts_at, s.mrr), (s.ends_at, -s.mrr)) as c(at, amount)
  where s.connection = :connection and s.mrr <> 0 and c.at is not null and not exists (
    select from tidegate.exclusions e where e.connection = s.connection and e.customer = s.customer)
  union all
  select customer, currency, at, -amount from tidegate.movements where {_STANDING}),
months as (
  select customer, currency, date_trunc('month', at, 'UTC') as month, sum(amount) as amount
  from changes group by 1, 2, 3),
closings as (
  select customer, currency, month, sum(amount) over (partition by customer, currency order by month) as off
  from months)
select customer || ' ' || currency || ' ' || to_char(month at time zone 'UTC', 'YYYY-MM')
from closings where off <> 0 order by 1""",
    "movements": f"""
with moves as (
  select unit, currency, moved_at, min(opening) as opening, min(closing) as closing,
    count(distinct (opening, closing, kind, day)) as said, sum(amount) as amount
  from tidegate.movements where {_STANDING} group by unit, currency, moved_at),
chained as (
  select *, lag(closing, 1, 0::bigint) over (partition by unit, currency order by moved_at) as before from moves)
select unit || ' ' || currency || ' ' || {_INSTANT.format("moved_at")} from chained
where said > 1 or opening <> before or closing - opening <> amount order by 1""",
    "mrr_days": f"""
with sums as (
  select day, currency, kind, sum(amount) as amount, count(*) as movements from tidegate.movements
  where {_STANDING} group by 1, 2, 3),
days as (
  select * from tidegate.mrr_days
  where connection = :connection and edition = :edition and (amount <> 0 or movements <> 0))
select day || ' ' || currency || ' ' || kind
from sums full join days using (day, currency, kind)
where (sums.amount, sums.movements::bigint) is distinct from (days.amount, days.movements::bigint) order by 1""",
    "price_days": f"""
with changes as (
  select currency, day, price, product, kind, amount from tidegate.movements where {_STANDING}
  union all
  select s.currency, d.day, s.price, s.product, '{WORTH}', c.amount
  from tidegate.spans s cross join lateral (values (s.starts_at, s.mrr), (s.ends_at, -s.mrr)) as c(at, amount)
  join unnest(cast(:quarter as bigint[]), cast(:day as date[])) as d(quarter, day) on d.quarter = {_QUARTER}
  where s.connection = :connection and s.mrr <> 0 and not exists (
    select from tidegate.exclusions e where e.connection = s.connection and e.customer = s.customer)
  union all
  select currency, day, price, product, kind, -amount from tidegate.price_days
  where connection = :connection and edition = :edition)
select day || ' ' || currency || ' ' || price || ' ' || kind
from changes group by currency, day, price, product, kind having sum(amount) <> 0 order by 1""",
}
