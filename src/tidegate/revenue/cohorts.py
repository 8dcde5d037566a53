"""Retention by cohort: contacts by the month of their first MRR, how many of them pay later, and how much."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from tidegate.revenue import source
from tidegate.revenue.formulas import over as divided
from tidegate.revenue.periods import Period
from tidegate.revenue.reports import Report
from tidegate.revenue.rounding import minor, ratio
from tidegate.revenue.source import UNGROUPED, Window


def cohorts(db: Connection, report: Report, months: Sequence[Period]) -> list[dict[str, Any]]:
    """The cohorts of these months, each at the end of every one of them from its own on.

    {cohort, contacts (how many joined), new (their first MRR), months: [{month, contacts, contact_retention, mrr,
    mrr_retention}], currency}; amounts in minor units. Where nothing is converted each currency stands for itself: a
    contact joins its cohort with its first MRR in it. One in one currency is converted at today's rate throughout, so
    that exchange rates are nobody's loyalty.
    """
    given = source.values(report.ledger, Window.of(months))
    rates = report.rates
    told = {"source": source.movements(UNGROUPED), "within": "''" if rates else "currency"}
    sizes: dict[tuple[int, str], int] = {}
    present: dict[tuple[int, str], dict[int, int]] = defaultdict(dict)
    for row in db.execute(text(_CONTACTS.format(**told)), given):
        key = row.cohort, rates.base if rates else row.within
        sizes[key] = row.size
        present[key][row.bucket] = row.change
    amounts: dict[tuple[int, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    first: dict[tuple[int, str], int] = defaultdict(int)
    lost: set[tuple[int, str]] = set()
    for row in db.execute(text(_AMOUNTS.format(**told)), given):
        key = row.cohort, rates.base if rates else row.currency
        amount, new = int(row.amount), int(row.new)
        if rates is not None:
            stock, joined = (rates.convert(one, row.currency, report.today) for one in (amount, new))
            if stock is None or joined is None:
                lost.add(key)
                continue
            amount, new = stock, joined
        amounts[key][row.bucket] += amount
        first[key] += new
    return [
        _cohort(months, key, sizes[key], present[key], amounts[key], first[key], known=key not in lost)
        for key in sorted({*amounts, *lost})
    ]


def _cohort(
    months: Sequence[Period],
    key: tuple[int, str],
    size: int,
    present: Mapping[int, int],
    amounts: Mapping[int, int],
    first: int,
    *,
    known: bool,
) -> dict[str, Any]:
    cohort, currency = key
    told: list[dict[str, Any]] = []
    contacts = stock = 0
    for bucket in range(cohort, len(months) + 1):
        contacts += present.get(bucket, 0)
        stock += amounts.get(bucket, 0)
        told.append(
            {
                "month": months[bucket - 1].name,
                "contacts": contacts,
                "contact_retention": ratio(divided(contacts, size)),
                "mrr": minor(stock) if known else None,
                "mrr_retention": ratio(divided(stock, first)) if known else None,
            }
        )
    return {
        "cohort": months[cohort - 1].name,
        "currency": currency,
        "contacts": size,
        "new": minor(first) if known else None,
        "months": told,
    }


# Contacts are followed within each currency (`within`), or over all; only of those in a cohort everything is read.
_COHORTS = """
cohorts as materialized (
  select unit, within, min(bucket) as cohort
  from (select unit, {within} as within, bucket from ({source} and m.kind = 'new') changes) news
  group by unit, within having min(bucket) > 0),
changes as materialized (
  select unit, currency, {within} as within, bucket, kind, amount from ({source}) changes
  where unit in (select unit from cohorts))"""

# A contact counts while it pays in any currency: flips of the number of currencies that it pays in.
_CONTACTS = f"""
with {_COHORTS},
nets as (
  select unit, within, currency, bucket, sum(amount) as amount from changes group by unit, within, currency, bucket),
runs as (
  select unit, within, bucket, sum(amount) over so_far as after, sum(amount) over so_far - amount as before
  from nets window so_far as (partition by unit, currency order by bucket)),
flips as (
  select unit, within, bucket, sum((after > 0)::int - (before > 0)::int) as flip from runs
  group by unit, within, bucket),
states as (
  select unit, within, bucket, sum(flip) over so_far as after, sum(flip) over so_far - flip as before
  from flips window so_far as (partition by unit, within order by bucket)),
sizes as (select cohort, within, count(*) as size from cohorts group by cohort, within)
select c.cohort, within, z.size, s.bucket, sum((s.after > 0)::int - (s.before > 0)::int) as change
from states s join cohorts c using (unit, within) join sizes z using (cohort, within)
group by c.cohort, within, z.size, s.bucket"""

_AMOUNTS = f"""
with {_COHORTS}
select c.cohort, m.currency, m.bucket, sum(m.amount) as amount,
  coalesce(sum(m.amount) filter (where m.kind = 'new' and m.bucket = c.cohort), 0) as new
from changes m join cohorts c using (unit, within) group by c.cohort, m.currency, m.bucket"""
