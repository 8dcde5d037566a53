"""Writes what conditions ask of a contact beside its revenue: payments, cards, packages, usage; by sets of contacts."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, TextClause, text

from tidegate.conditions.compile import Compiled
from tidegate.conditions.contact_fields import STATUSES
from tidegate.entitlements.items import OVERDUE_SINCE
from tidegate.lifecycle import rulebook
from tidegate.lifecycle.alert_rules import at
from tidegate.lifecycle.held import PACKAGES
from tidegate.lifecycle.own_worth import own
from tidegate.lifecycle.settings import Worth
from tidegate.revenue.risks import CARD, EXPIRING_DAYS
from tidegate.revenue.standing import ENDS, MONTHS, RENEWING


class Units(NamedTuple):
    """By currency what a minor unit of it is in whole units of the base (`known`), and the last day on which that is
    not too old (`until`); of currencies that it lacks an amount is unknown. Not `based`: there is no base, they are
    whole units of the currency itself, and amounts of several are unknown.
    """

    known: Mapping[str, Decimal]
    until: Mapping[str, date]
    based: bool


def keep_facts(db: Connection, contacts: Sequence[int], units: Units, as_of: datetime) -> int:
    """Brings the facts of these contacts (internal keys) up to the mirror, grants and usage; returns how many rows were
    written.
    """
    if not contacts:
        return 0
    values: dict[str, Any] = {
        "contacts": list(contacts),
        "currencies": list(units.known),
        "units": list(units.known.values()),
        "until": [units.until.get(currency) for currency in units.known],
        "based": units.based,
        "as_of": as_of,
        "order": list(STATUSES),
    }
    statement, bound = _put(rulebook.worth(db))
    return db.execute(statement, {**values, **bound}).rowcount


def holdings(db: Connection, contacts: Sequence[int], as_of: datetime) -> dict[int, tuple[list[str], int | None]]:
    """By contact (internal key) the packages that it holds (keys, sorted) and the quantity of all its items (None: it
    has none): as `keep_facts` writes them, at an instant of one's own.
    """
    rows = db.execute(_HOLDINGS, {"contacts": list(contacts), "as_of": as_of, "order": list(STATUSES)})
    return {row.contact: (list(row.packages), row.quantity) for row in rows}


_COLUMNS = (
    "status", "country", "currencies", "intervals", "quantity", "packages", "features", "mrr_total", "open_total",
    "unrated", "rated_until", "mrr_trend", "downgraded_at", "interval_months", "failing_invoices", "failed_attempts",
    "decline_code", "next_attempt_at", "past_due_since", "due_dates", "open_invoices", "void_invoices",
    "uncollectible_invoices", "latest_invoice_status", "card_expires_at", "backup_until", "cards", "card_backups",
    "past_dues", "trial_ends", "cancellation_reason", "cancellations", "renewals", "renewal_months", "usage_share",
    "last_active_at",
)  # fmt: skip


def _columns(of: str = "") -> str:
    return ", ".join(f"{of}{name}" for name in _COLUMNS)


def _total(amounts: str) -> str:
    """The sum of rows (currency, amount in minor units), in whole units; null where a rate is missing, or there are
    several currencies and no base.
    """
    return f"""(
  select case when bool_or(u.unit is null) or (not :based and count(*) > 1) then null else sum(a.amount * u.unit) end
  from ({amounts}) a left join units u on u.currency = a.currency where a.amount <> 0)"""


# What a contact has amounts in that are told in the base: its currencies, and whether an amount is behind it.
_IN_CURRENCIES = """(
  select m.key as currency, m.value::numeric <> 0 as counts from jsonb_each_text(f.mrr) m where own.mrr is null
  union all
  select b.currency, b.amount_remaining <> 0 from billed b where b.contact = t.contact and b.status = 'open') i
left join units u on u.currency = i.currency"""

_SUBSCRIPTIONS = f"""
theirs as materialized (
  select t.contact, l.connection, l.customer from these t join tidegate.links l on l.contact = t.contact),
subscribed as materialized (
  select t.contact, s.connection, s.customer, s.id, s.status, s.currency, s.canceled_at, s.collection_method,
    coalesce(s.cancellation_feedback, s.cancellation_reason) as reason, s.default_payment_method,
    s.default_source, s.trial_end, s.status in ('active', 'past_due', 'trialing') as live,
    case when s.status in ('past_due', 'unpaid') then {OVERDUE_SINCE} end as overdue_since
  from theirs t
  join stripe.subscriptions s on s.connection = t.connection and s.customer = t.customer
    and s.deleted_at is null and s.test_clock is null),
states as (
  select contact, (array_agg(status order by array_position(cast(:order as text[]), status)))[1] as status,
    coalesce(array_agg(distinct currency order by currency) filter (where live), '{{}}') as currencies,
    min(overdue_since) as overdue_since,
    coalesce(array_agg(distinct overdue_since) filter (where status = 'past_due'), '{{}}') as past_dues,
    coalesce(array_agg(distinct trial_end) filter (where status = 'trialing' and trial_end is not null), '{{}}')
      as trial_ends,
    (array_agg(reason order by canceled_at desc) filter (where canceled_at is not null))[1] as cancellation_reason
  from subscribed group by contact),
items as (
  select s.contact, coalesce(array_agg(distinct i.interval order by i.interval)
      filter (where i.interval is not null), '{{}}') as intervals, sum(i.quantity)::bigint as quantity,
    max({MONTHS}) as interval_months
  from subscribed s
  join stripe.subscription_items i on i.connection = s.connection and i.subscription = s.id and i.deleted_at is null
  where s.live group by s.contact)"""

# Of each subscription that ends when, and when that was asked for: asked for anew it is another cancellation.
_COMING = f"""
coming as materialized (
  select t.contact, s.connection, s.id, s.canceled_at, s.current_period_end, s.pause_behavior, s.pause_resumes_at,
    e.ends_at
  from subscribed t join stripe.subscriptions s on s.connection = t.connection and s.id = t.id {ENDS}
  where t.live),
leaving as (
  select contact, array_agg(distinct {at("ends_at")} || coalesce(' asked ' || {at("canceled_at")}, '')) as cancellations
  from coming where ends_at is not null group by contact),
renewing as (
  select distinct c.contact, r.renews_at, {MONTHS} as months
  from coming c
  join stripe.subscription_items i on i.connection = c.connection and i.subscription = c.id and i.deleted_at is null
  cross join lateral (
    select greatest(coalesce(i.current_period_end, c.current_period_end), i.billed_until) as renews_at) r
  where r.renews_at is not null and i.interval is not null and {RENEWING}),
renewals as (
  select contact, array_agg(renews_at order by renews_at, months) as renewals,
    array_agg(months order by renews_at, months) as renewal_months
  from renewing group by contact)"""

# A bank debit is an attempt from the moment it is asked for; its invoice is open until the bank answers, days later.
_PENDING = """
case when v.status = 'open' and v.attempt_count > 0 and exists (
  select from stripe.charges c
  where c.connection = v.connection and c.customer = v.customer and c.status = 'pending' and c.deleted_at is null
    and (c.id = v.charge or c.invoice = v.id or c.payment_intent = v.payment_intent or c.payment_intent in (
      select p.payment_intent from stripe.invoice_payments p where p.connection = v.connection and p.invoice = v.id)))
  then 1 else 0 end"""

_INVOICES = f"""
billed as materialized (
  select t.contact, v.*, v.attempt_count - {_PENDING} as failures from theirs t
  join stripe.invoices v on v.connection = t.connection and v.customer = t.customer and v.deleted_at is null
    and v.status <> 'draft' and v.test_clock is null),
invoices as (
  select contact, coalesce(sum(failures) filter (where status = 'open'), 0)::bigint as failed_attempts,
    min(next_payment_attempt) filter (where status = 'open') as next_attempt_at,
    coalesce(array_agg(id order by created, id) filter (where status = 'open' and failures > 0), '{{}}')
      as failing_invoices,
    min(due_date) filter (where status = 'open' and collection_method = 'send_invoice') as due_since,
    coalesce(array_agg(coalesce(due_date, finalized_at) order by id) filter (where status = 'open' and (
      due_date is not null or failures > 0)), '{{}}') as due_dates,
    count(*) filter (where status = 'open') as open_invoices, count(*) filter (where status = 'void') as void_invoices,
    count(*) filter (where status = 'uncollectible') as uncollectible_invoices,
    (array_agg(status order by created desc nulls last, id desc))[1] as latest_invoice_status
  from billed group by contact),
declined as (
  select distinct on (t.contact) t.contact, coalesce(c.decline_reason, c.failure_code) as decline_code
  from theirs t join invoices v on v.contact = t.contact and v.failed_attempts > 0
  join stripe.charges c on c.connection = t.connection and c.customer = t.customer and c.status = 'failed'
    and c.deleted_at is null
  order by t.contact, c.created desc, c.id desc)"""

_MOVED = """
moved as (
  select t.contact, max(m.moved_at) filter (where m.kind = 'contraction') as downgraded_at,
    case when bool_and(u.unit is not null) filter (where m.moved_at > :as_of - interval '90 days') is not false
      and (:based or count(distinct m.currency) = 1)
    then coalesce(sum(m.amount * u.unit) filter (where m.moved_at > :as_of - interval '90 days'), 0) / 1000000
    end as recent
  from theirs t
  join tidegate.ledgers g on g.connection = t.connection and g.adopted_at is not null and g.retired_at is null
  join tidegate.movements m on m.connection = t.connection and m.customer = t.customer and m.superseded_at is null
    and m.edition = g.edition and m.moved_at <= :as_of
  left join units u on u.currency = m.currency
  group by t.contact)"""

# Of several cards the one that is a risk first, by itself or once its backup has expired.
_RISK_AT = f"""
greatest(k.expires_at - interval '{EXPIRING_DAYS} days',
  case when k.backup_until > k.expires_at then k.backup_until end)"""

_CARDS = f"""
cards as (
  select s.contact, (array_agg(k.expires_at order by {_RISK_AT}, k.expires_at))[1] as card_expires_at,
    (array_agg(k.backup_until order by {_RISK_AT}, k.expires_at))[1] as backup_until,
    array_agg(k.expires_at order by k.expires_at, s.id) as cards,
    array_agg(k.backup_until order by k.expires_at, s.id) as card_backups
  from subscribed s {CARD}
  where k.expires_at is not null
  group by s.contact)"""

_USAGE = """
used as (
  select u.contact, u.feature, sum(u.used) as used from these t join tidegate.usage u on u.contact = t.contact
  where u.period_start <= :as_of and (u.period_end is null or u.period_end > :as_of)
  group by u.contact, u.feature),
shares as (
  select u.contact, max(u.used / (e.entitlements -> u.feature ->> 'limit')::numeric) as usage_share
  from used u join tidegate.entitlements_told e on e.contact = u.contact
  where case when jsonb_typeof(e.entitlements -> u.feature -> 'limit') = 'number'
    then (e.entitlements -> u.feature ->> 'limit')::numeric > 0 end
  group by u.contact),
active as (
  select d.contact, max(d.at) as last_active_at from these t join tidegate.usage_debits d on d.contact = t.contact
  where d.operation in ('consume', 'reserve', 'set') group by d.contact)"""

_HOLDINGS = text(f"""
with these as materialized (select unnest(cast(:contacts as bigint[])) as contact), {_SUBSCRIPTIONS}, {PACKAGES}
select t.contact, coalesce(p.packages, '{{}}') as packages, i.quantity
from these t left join packages p on p.contact = t.contact left join items i on i.contact = t.contact""")


@lru_cache(8)
def _put(worth: Worth) -> tuple[TextClause, Mapping[str, Any]]:
    """The statement, and what it binds of the properties that stand for what Stripe says."""
    into = Compiled()
    mrr = own(worth.mrr, "number", into) or "cast(null as numeric)"
    renews_at = own(worth.renews_at, "instant", into) or "cast(null as timestamptz)"
    return text(_statement(mrr, renews_at)), into.values


def _statement(mrr: str, renews_at: str) -> str:
    return f"""
with these as materialized (select unnest(cast(:contacts as bigint[])) as contact),
units as materialized (
  select * from unnest(cast(:currencies as text[]), cast(:units as numeric[]), cast(:until as date[]))
    as u(currency, unit, until)),
{_SUBSCRIPTIONS}, {_COMING}, {PACKAGES}, {_INVOICES}, {_MOVED}, {_CARDS}, {_USAGE},
worth as materialized (
  select t.contact, s.status,
    (select min(c.country) from theirs h join stripe.customers c on c.connection = h.connection and c.id = h.customer
     where h.contact = t.contact and c.deleted_at is null) as country,
    coalesce(s.currencies, '{{}}') as currencies, coalesce(i.intervals, '{{}}') as intervals, i.quantity,
    coalesce(p.packages, '{{}}') as packages, array(
      select jsonb_object_keys(e.entitlements) order by 1) as features,
    own.mrr as own_mrr, case when own.mrr is not null then own.mrr when f.contact is null then 0 else coalesce({
        _total('''
      select m.key as currency, m.value::numeric / 1000000 as amount from jsonb_each_text(f.mrr) m''')
    },
      case when f.mrr = '{{}}' then 0 end) end as mrr_total,
    coalesce({
        _total('''
      select b.currency, sum(b.amount_remaining) as amount from billed b
      where b.contact = t.contact and b.status = 'open' group by b.currency''')
    },
      case when coalesce(v.open_invoices, 0) = 0 then 0 end) as open_total,
    :based and exists (select from {_IN_CURRENCIES} where i.counts and u.unit is null) as unrated,
    (select min(u.until) from {_IN_CURRENCIES}) as rated_until,
    m.recent, m.downgraded_at, i.interval_months, coalesce(v.failing_invoices, '{{}}') as failing_invoices,
    coalesce(v.failed_attempts, 0) as failed_attempts, d.decline_code, v.next_attempt_at,
    least(s.overdue_since, v.due_since) as past_due_since, coalesce(v.due_dates, '{{}}') as due_dates,
    coalesce(v.open_invoices, 0)::int as open_invoices, coalesce(v.void_invoices, 0)::int as void_invoices,
    coalesce(v.uncollectible_invoices, 0)::int as uncollectible_invoices, v.latest_invoice_status,
    k.card_expires_at, k.backup_until, coalesce(k.cards, '{{}}') as cards,
    coalesce(k.card_backups, '{{}}') as card_backups, coalesce(s.past_dues, '{{}}') as past_dues,
    coalesce(s.trial_ends, '{{}}') as trial_ends, s.cancellation_reason,
    coalesce(g.cancellations, '{{}}') as cancellations,
    case when own.renews_at is not null then array[own.renews_at] else coalesce(n.renewals, '{{}}') end as renewals,
    case when own.renews_at is not null then array['infinity'::numeric]
      else coalesce(n.renewal_months, '{{}}') end as renewal_months,
    u.usage_share, a.last_active_at
  from these t
  left join tidegate.contacts c on c.key = t.contact
  cross join lateral (select {mrr} as mrr, {renews_at} as renews_at) own
  left join tidegate.contact_facts f on f.contact = t.contact
  left join states s on s.contact = t.contact left join items i on i.contact = t.contact
  left join packages p on p.contact = t.contact left join invoices v on v.contact = t.contact
  left join tidegate.entitlements_told e on e.contact = t.contact
  left join declined d on d.contact = t.contact left join cards k on k.contact = t.contact
  left join shares u on u.contact = t.contact left join active a on a.contact = t.contact
  left join moved m on m.contact = t.contact left join leaving g on g.contact = t.contact
  left join renewals n on n.contact = t.contact),
fresh as materialized (
  select *, case when own_mrr is null and mrr_total - recent > 0
    then round(mrr_total / (mrr_total - recent), 4) end as mrr_trend
  from worth)
insert into tidegate.contact_lifecycle as o (contact, {_columns()})
select contact, {_columns()} from fresh n where not exists (
  select from tidegate.contact_lifecycle o
  where o.contact = n.contact and ({_columns("o.")}) is not distinct from ({_columns("n.")}))
order by contact
on conflict (contact) do update set ({_columns()}) = ({_columns("excluded.")}), updated_at = clock_timestamp()"""
