"""What became of trials, why subscriptions were canceled, and who went from which package to which."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from tidegate.revenue.formulas import over as divided
from tidegate.revenue.periods import Period, instant
from tidegate.revenue.reports import Report
from tidegate.revenue.rounding import ratio, whole


def trials(db: Connection, report: Report, first: Period, last: Period) -> list[dict[str, Any]]:
    """Trials by the month in which they began: {cohort, trials, converted, ended, running, restarted, conversion}.

    `conversion` is of those that are over. One begun when its contact had paid before is restarted, and no conversion.
    """
    rows = db.execute(text(_TRIALS.format(unit=unit_of(report))), given(report, first, last)).mappings()
    found: list[dict[str, Any]] = []
    for row in rows:
        told = dict(row)
        found.append(told | {"conversion": ratio(divided(row["converted"], row["converted"] + row["ended"]))})
    return found


def reasons(db: Connection, report: Report, first: Period, last: Period) -> list[dict[str, Any]]:
    """Why subscriptions ended, the most frequent first: {reason, subscriptions, lost: [{currency, mrr}]}.

    The reason is what the customer said (Stripe's `feedback`), else how it came about; empty: nothing is told. Where a
    cancellation counts at its request, what was lost then is what is lost.
    """
    found: dict[str, dict[str, Any]] = {}
    for row in db.execute(_REASONS, given(report, first, last)):
        one = found.setdefault(row.reason, {"reason": row.reason, "subscriptions": row.subscriptions, "lost": []})
        if row.currency:
            one["lost"].append({"currency": row.currency, "mrr": whole(int(row.mrr))})
    return list(found.values())


def packages(db: Connection, report: Report, first: Period, last: Period) -> list[dict[str, Any]]:
    """Contacts by the package they had before the first day and the one they have at the end of the last:
    {before, after, currency, contacts, opening, closing}. Of several it is the base package worth most; empty: none,
    null: no MRR.
    """
    rows = db.execute(text(_PACKAGES.format(unit=unit_of(report))), given(report, first, last)).mappings()
    return [{**row, "opening": whole(int(row["opening"])), "closing": whole(int(row["closing"]))} for row in rows]


def unit_of(report: Report) -> str:
    """SQL of whose a span `s` with the link `k` is, as the ledger counts."""
    return "coalesce('contact:' || k.contact, s.customer)" if report.ledger.policy.unit == "contact" else "s.customer"


def given(report: Report, first: Period, last: Period) -> dict[str, Any]:
    """What the statements over these days are given."""
    zone = report.ledger.zone
    begins: datetime = instant(first.first, zone)
    return {
        "connection": report.ledger.connection,
        "zone": zone.key,
        "begins": begins,
        "ends": instant(last.last + timedelta(days=1), zone),
        "by_request": report.ledger.policy.cancellation == "request",
    }


_SPANS = """spans as not materialized (
  select {unit} as unit, s.*
  from tidegate.spans s left join tidegate.links k on k.connection = s.connection and k.customer = s.customer
  where s.connection = :connection and s.customer not in (
    select customer from tidegate.exclusions where connection = :connection))"""

# A trial is a run of spans that have a worth to come; spans of several items run side by side.
SEEN = f"""{_SPANS},
told as (
  select unit, subscription, starts_at, coalesce(ends_at, 'infinity') as ends_at,
    max(coalesce(ends_at, 'infinity')) over (
      partition by subscription order by starts_at, item rows between unbounded preceding and 1 preceding) as so_far
  from spans where trial > 0),
begun as (
  select unit, subscription, starts_at as began,
    lead(starts_at, 1, 'infinity') over (partition by subscription order by starts_at) as next
  from told where so_far is null or so_far < starts_at),
after as (
  select b.unit, b.subscription, b.began, bool_or(s.mrr > 0 and s.trial = 0) as paid,
    bool_or(s.trial > 0 and s.ends_at is null) as running
  from begun b join spans s on s.subscription = b.subscription and s.starts_at >= b.began and s.starts_at < b.next
  group by b.unit, b.subscription, b.began),
before as (
  select unit, min(starts_at) as paid_since from spans
  where mrr > 0 and trial = 0 and unit in (select unit from begun) group by unit),
seen as (
  select a.subscription, a.began, to_char(a.began at time zone :zone, 'YYYY-MM') as cohort, a.paid, a.running,
    coalesce(b.paid_since < a.began, false) as restarted
  from after a left join before b on b.unit = a.unit
  where a.began >= :begins and a.began < :ends)"""
"""Each trial that began in that time, as `seen`."""

OUTCOMES = {
    "trials": "not restarted",
    "converted": "paid and not restarted",
    "ended": "not paid and not running and not restarted",
    "running": "not paid and running and not restarted",
    "restarted": "restarted",
}
"""What came of a trial that was `seen`, by the name of its number."""

_TRIALS = f"""
with {SEEN}
select cohort, {", ".join(f"count(*) filter (where {how}) as {name}" for name, how in OUTCOMES.items())}
from seen group by cohort order by cohort"""

ENDED = """ended as (
  select s.connection, s.id, s.customer, s.ended_at,
    coalesce(s.cancellation_feedback, s.cancellation_reason, '') as reason,
    case when :by_request then least(s.canceled_at, s.ended_at) else s.ended_at end as counts_until
  from stripe.subscriptions s
  where s.connection = :connection and s.ended_at >= :begins and s.ended_at < :ends and s.status = 'canceled'
    and s.deleted_at is null and s.test_clock is null and not exists (
      select from tidegate.exclusions e where e.connection = s.connection and e.customer = s.customer))"""
"""Subscriptions that ended in that time, with why, and until when they counted at the least."""

LOST = """p.connection = e.connection and p.subscription = e.id and p.mrr > 0
  and p.ends_at >= e.counts_until and p.ends_at <= e.ended_at"""
"""The spans `p` that ended with a subscription `e` that did."""

_REASONS = text(f"""
with {ENDED},
counted as (select reason, count(*) as subscriptions from ended group by reason)
select c.reason, c.subscriptions, p.currency, coalesce(sum(p.mrr), 0) as mrr
from counted c join ended e using (reason)
left join tidegate.spans p on {LOST}
group by c.reason, c.subscriptions, p.currency order by c.subscriptions desc, c.reason, p.currency""")

CHANGED = f"""{_SPANS},
ends as (
  select s.unit, s.currency, 'before' as side, s.price, s.product, s.mrr from spans s
  where s.mrr > 0 and s.starts_at < :begins and (s.ends_at is null or s.ends_at >= :begins)
  union all
  select s.unit, s.currency, 'after', s.price, s.product, s.mrr from spans s
  where s.mrr > 0 and s.starts_at < :ends and (s.ends_at is null or s.ends_at >= :ends)),
named as (
  select e.unit, e.currency, e.side, coalesce(mp.package, case when mp.id is null then mo.package end, '') as package,
    sum(e.mrr) as mrr
  from ends e
  left join tidegate.mappings mp on mp.connection = :connection and mp.price = e.price and mp.removed_at is null
  left join tidegate.mappings mo on mo.connection = :connection and mo.product = e.product and mo.removed_at is null
  group by 1, 2, 3, 4),
main as (
  select distinct on (n.unit, n.currency, n.side) n.unit, n.currency, n.side, n.package
  from named n left join tidegate.packages p on p.key = n.package
  order by n.unit, n.currency, n.side, p.kind = 'base' desc nulls last, n.mrr desc, n.package),
sums as (
  select n.unit, n.currency, coalesce(sum(n.mrr) filter (where n.side = 'before'), 0) as opening,
    coalesce(sum(n.mrr) filter (where n.side = 'after'), 0) as closing
  from named n group by n.unit, n.currency),
changed as (
  select s.unit, b.package as before, a.package as after, s.currency, s.opening, s.closing
  from sums s
  left join main b on b.unit = s.unit and b.currency = s.currency and b.side = 'before'
  left join main a on a.unit = s.unit and a.currency = s.currency and a.side = 'after')"""
"""Contacts with the package that each had before and has after that time."""

_PACKAGES = f"""
with {CHANGED}
select before, after, currency, count(*) as contacts, sum(opening) as opening, sum(closing) as closing
from changed group by before, after, currency order by currency, count(*) desc, 1 nulls first, 2 nulls first"""
