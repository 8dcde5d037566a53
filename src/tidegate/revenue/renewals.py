"""Subscriptions as they stand: by status, what renews next, and what is at risk for which reasons."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, text

from tidegate.revenue.reports import Report
from tidegate.revenue.risks import CARD, EXPIRING
from tidegate.revenue.rounding import whole
from tidegate.revenue.standing import ENDS, RENEWING, RENEWS

By = Literal["month", "owner"]
BY: Sequence[By] = ("month", "owner")


class Page(NamedTuple):
    """Which rows of a list: `limit` of them after `skip`; None: all."""

    skip: int = 0
    limit: int | None = None


WHOLE = Page()


def by_status(db: Connection, report: Report) -> list[dict[str, Any]]:
    """Subscriptions by status and currency, with the MRR they have: {status, currency, subscriptions, customers,
    mrr}.
    """
    rows = db.execute(_BY_STATUS, {"connection": report.ledger.connection}).mappings()
    return [{**row, "mrr": whole(int(row["mrr"]))} for row in rows]


def upcoming(
    db: Connection,
    report: Report,
    as_of: datetime,
    days: int,
    owner: str | None = None,
    page: Page = WHOLE,
    *,
    month: str = "",
    currency: str = "",
    once: bool = False,
) -> list[dict[str, Any]]:
    """What renews within so many days, the soonest first: {renews_at, subscription, customer, contact, name, owner,
    status, currency, mrr, interval, interval_count, months (how long it lasted so far)}.

    A renewal is the earliest, over items still billed, of the end of what is billed. There is none where it ends
    before, or collection is paused until after it. `owner`: of this one's contacts; "": of nobody's. `month`: only in
    this one (`2026-03`, in the ledger's time zone); `currency`: only what is paid in it. `once`: of each contact, or
    customer that is none, only the first of these.
    """
    given = {
        "connection": report.ledger.connection, "now": as_of, "until": as_of + timedelta(days=days), "owner": owner,
        "month": month, "currency": currency, "zone": report.ledger.zone.key, **page._asdict(),
    }  # fmt: skip
    statement = _UPCOMING_ONCE if once else _UPCOMING
    return [{**row, "mrr": whole(int(row["mrr"]))} for row in db.execute(statement, given).mappings()]


def calendar(
    db: Connection, report: Report, as_of: datetime, days: int, by: Sequence[By], owner: str | None = None
) -> list[dict[str, Any]]:
    """What renews within so many days, summed by month and owner, in their order: {month?, owner?, currency, renewals,
    contacts, mrr}. Months are those of the ledger's time zone; an empty owner: nobody. `owner`: only of this one.
    """
    given = {
        "connection": report.ledger.connection, "now": as_of, "until": as_of + timedelta(days=days), "owner": owner,
        "zone": report.ledger.zone.key,
    }  # fmt: skip
    names: list[By] = [one for one in BY if one in by]
    named = ", ".join([*(_BY[one] for one in names), "s.currency"])
    statement = text(_CALENDAR.format(named=named, names=", ".join([*names, "currency"])))
    return [dict(row) | {"mrr": whole(int(row["mrr"]))} for row in db.execute(statement, given).mappings()]


def at_risk(db: Connection, report: Report, as_of: datetime, page: Page = WHOLE) -> list[dict[str, Any]]:
    """Subscriptions at risk, the largest first: {subscription, customer, contact, name, status, reasons, ends_at,
    renews_at, currency, mrr, listed}; reasons are those of `risks.RISKS`. `listed` is what its prices come to, which
    one that is unpaid has still.
    """
    given = {"connection": report.ledger.connection, "as_of": as_of, **page._asdict()}
    rows = db.execute(_AT_RISK, given).mappings()
    return [{**row, "mrr": whole(int(row["mrr"])), "listed": whole(int(row["listed"]))} for row in rows]


_STANDING = f"""
standing as (
  select s.connection, s.id as subscription, s.customer, s.status, s.currency, s.start_date,
    s.collection_method, s.default_payment_method, s.default_source,
    coalesce(w.mrr, 0) as mrr, coalesce(w.listed, 0) as listed,
    e.ends_at, n.renews_at, n.interval, n.interval_count, s.pause_behavior, s.pause_resumes_at
  from stripe.subscriptions s
  left join lateral (
    select sum(p.mrr) as mrr, sum(p.listed) as listed from tidegate.spans p
    where p.connection = s.connection and p.subscription = s.id and p.ends_at is null) w on true
  {ENDS}{RENEWS}
  where s.connection = :connection and s.deleted_at is null and s.test_clock is null
    and s.status in ('trialing', 'active', 'past_due', 'unpaid') and not exists (
      select from tidegate.exclusions e where e.connection = s.connection and e.customer = s.customer))"""

_WHO = """
  t.kind || ':' || t.external_id as contact, coalesce(nullif(t.name, ''), nullif(c.name, ''), c.email, '') as name"""

_WHOSE = """
left join stripe.customers c on c.connection = :connection and c.id = s.customer
left join tidegate.links k on k.connection = :connection and k.customer = s.customer
left join tidegate.contacts t on t.key = k.contact"""

_BY_STATUS = text("""
select s.status, coalesce(s.currency, '') as currency, count(*) as subscriptions,
  count(distinct s.customer) as customers, coalesce(sum(p.mrr), 0) as mrr
from stripe.subscriptions s
left join lateral (
  select sum(mrr) as mrr from tidegate.spans p
  where p.connection = s.connection and p.subscription = s.id and p.ends_at is null) p on true
where s.connection = :connection and s.deleted_at is null and s.test_clock is null and not exists (
  select from tidegate.exclusions e where e.connection = s.connection and e.customer = s.customer)
group by s.status, s.currency order by mrr desc, subscriptions desc, s.status, currency""")

_RENEWS_SOON = f"""
  s.status <> 'unpaid' and s.renews_at >= :now and s.renews_at < :until and {RENEWING}
  and (cast(:owner as text) is null or coalesce(t.owner, '') = :owner)"""

_WHOM = "coalesce(t.key::text, s.customer)"

_RENEWALS = f"""
select {{once}} s.renews_at, s.subscription, s.customer, {_WHO}, coalesce(t.owner, '') as owner, s.status, s.currency,
  s.mrr, s.interval, s.interval_count,
  (extract(year from age(:now, s.start_date)) * 12 + extract(month from age(:now, s.start_date)))::int as months
from standing s {_WHOSE}
where {_RENEWS_SOON} and (:currency = '' or s.currency = :currency)
  and (:month = '' or to_char(s.renews_at at time zone :zone, 'YYYY-MM') = :month)"""

_UPCOMING = text(f"""
with {_STANDING} {_RENEWALS.format(once="")}
order by s.renews_at, s.subscription offset :skip limit cast(:limit as bigint)""")

_UPCOMING_ONCE = text(f"""
with {_STANDING},
firsts as ({_RENEWALS.format(once=f"distinct on ({_WHOM})")} order by {_WHOM}, s.renews_at, s.subscription)
select * from firsts order by renews_at, subscription offset :skip limit cast(:limit as bigint)""")

_BY: Mapping[By, str] = {
    "month": "to_char(s.renews_at at time zone :zone, 'YYYY-MM') as month",
    "owner": "coalesce(t.owner, '') as owner",
}

_CALENDAR = f"""
with {_STANDING},
renewing as (
  select {{named}}, {_WHOM} as who, s.mrr from standing s {_WHOSE} where {_RENEWS_SOON})
select {{names}}, count(*) as renewals, count(distinct who) as contacts, sum(mrr) as mrr
from renewing group by {{names}} order by {{names}}"""

_AT_RISK = text(f"""
with {_STANDING},
judged as (
  select s.*, array_remove(array[
    case when s.status = 'past_due' then 'past_due' end,
    case when s.status = 'unpaid' then 'unpaid' end,
    case when s.ends_at is not null then 'scheduled_to_cancel' end,
    case when {EXPIRING} then 'card_expiring' end,
    case when exists (
      select from tidegate.links o join tidegate.contact_lifecycle l on l.contact = o.contact
      where o.connection = s.connection and o.customer = s.customer and l.unhealthy_since is not null)
      then 'unhealthy' end], null) as reasons
  from standing s {CARD})
select s.subscription, s.customer, {_WHO}, s.status, s.reasons, s.ends_at, s.renews_at, s.currency, s.mrr, s.listed
from judged s {_WHOSE}
where cardinality(s.reasons) > 0
order by s.mrr desc, s.listed desc, s.subscription offset :skip limit cast(:limit as bigint)""")
