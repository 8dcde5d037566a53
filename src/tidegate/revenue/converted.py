"""The trials, subscriptions that ended and contacts that changed package that the numbers of `conversions` are of."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from tidegate.errors import ReportInvalid
from tidegate.revenue import conversions
from tidegate.revenue.conversions import CHANGED, ENDED, LOST, OUTCOMES, SEEN
from tidegate.revenue.periods import Period
from tidegate.revenue.renewals import WHOLE, Page
from tidegate.revenue.reports import Report
from tidegate.revenue.rounding import whole

NEW, GONE = "-new", "-gone"
"""In place of a package: who had no MRR before, or has none now. No key begins so."""


def begun(db: Connection, report: Report, month: Period, outcome: str, page: Page = WHOLE) -> list[dict[str, Any]]:
    """Trials that began in a month and came to this, one of `conversions.OUTCOMES`, the newest first: {subscription,
    customer, contact, name, at, status, currency, mrr}. Raises ReportInvalid.
    """
    if outcome not in OUTCOMES:
        raise ReportInvalid(problem=f"`outcome` is one of {', '.join(OUTCOMES)}, not {outcome[:40]!r}.")
    statement = text(_BEGUN.format(unit=conversions.unit_of(report), outcome=OUTCOMES[outcome]))
    return _rows(db, statement, conversions.given(report, month, month) | page._asdict(), "mrr")


def ended(
    db: Connection, report: Report, over: Period, reason: str | None = None, page: Page = WHOLE
) -> list[dict[str, Any]]:
    """Subscriptions that ended in that time, for this reason (empty: none is told; None: any), the newest first:
    {subscription, customer, contact, name, at, reason, currency, mrr (that was lost)}.
    """
    given = conversions.given(report, over, over) | {"reason": reason} | page._asdict()
    return _rows(db, _ENDED, given, "mrr")


def changed(
    db: Connection, report: Report, over: Period, which: Mapping[str, str], page: Page = WHOLE
) -> list[dict[str, Any]]:
    """Contacts that went from one package to another, those with most now first: {customer, contact, name, before,
    after, currency, opening, closing}. `which`: {before, after, currency}, each a key as `conversions.packages` tells
    it, NEW or GONE.
    """
    parts = {name: which.get(name, "") for name in ("before", "after")}
    named = {name: None if key in {NEW, GONE} else key for name, key in parts.items()}
    given = conversions.given(report, over, over) | named | {"currency": which.get("currency", "")} | page._asdict()
    return _rows(db, text(_CHANGED.format(unit=conversions.unit_of(report))), given, "opening", "closing")


def _rows(db: Connection, statement: Any, given: Mapping[str, Any], *amounts: str) -> list[dict[str, Any]]:
    found = db.execute(statement, given).mappings()
    return [{**row, **{name: whole(int(row[name])) for name in amounts}} for row in found]


_WHO = """t.kind || ':' || t.external_id as contact,
  coalesce(nullif(t.name, ''), nullif(c.name, ''), c.email, '') as name"""

_WHOSE = """
left join stripe.customers c on c.connection = :connection and c.id = {of}.customer
left join tidegate.links k on k.connection = :connection and k.customer = {of}.customer
left join tidegate.contacts t on t.key = k.contact"""

_SOME = "offset :skip limit cast(:limit as bigint)"

_BEGUN = f"""
with {SEEN}
select e.subscription, s.customer, {_WHO}, e.began as at, coalesce(s.status, '') as status,
  coalesce(s.currency, '') as currency, coalesce(w.mrr, 0) as mrr
from seen e
left join stripe.subscriptions s on s.connection = :connection and s.id = e.subscription {_WHOSE.format(of="s")}
left join lateral (
  select sum(p.mrr) as mrr from tidegate.spans p
  where p.connection = :connection and p.subscription = e.subscription and p.ends_at is null) w on true
where {{outcome}}
order by e.began desc, e.subscription {_SOME}"""

_ENDED = text(f"""
with {ENDED}
select e.id as subscription, e.customer, {_WHO}, e.ended_at as at, e.reason, coalesce(w.currency, '') as currency,
  coalesce(w.mrr, 0) as mrr
from ended e {_WHOSE.format(of="e")}
left join lateral (
  select p.currency, sum(p.mrr) as mrr from tidegate.spans p
  where {LOST}
  group by p.currency order by 2 desc limit 1) w on true
where cast(:reason as text) is null or e.reason = :reason
order by e.ended_at desc, e.id {_SOME}""")

# A unit is a contact, or a customer that is none or where the ledger counts those.
_CHANGED = f"""
with {CHANGED},
those as (
  select g.*, case when g.unit not like 'contact:%' then g.unit end as customer,
    case when g.unit like 'contact:%' then substr(g.unit, 9)::bigint end as key
  from changed g
  where g.before is not distinct from cast(:before as text) and g.after is not distinct from cast(:after as text)
    and g.currency = :currency)
select s.customer, t.kind || ':' || t.external_id as contact,
  coalesce(nullif(t.name, ''), nullif(c.name, ''), c.email, '') as name,
  s.before, s.after, s.currency, s.opening, s.closing
from those s
left join stripe.customers c on c.connection = :connection and c.id = s.customer
left join tidegate.links k on k.connection = :connection and k.customer = s.customer
left join tidegate.contacts t on t.key = coalesce(s.key, k.contact)
order by s.closing desc, s.opening desc, s.unit {_SOME}"""
