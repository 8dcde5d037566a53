"""What happened, by trigger, out of the histories that there are: news since an action looked last, or a past period.

Each is a statement of (contact, occurrence, at, what, reasons, untold); an occurrence is a text that is the same
whoever looks when, so that it is decided once.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.lifecycle.actions.spec import Candidate, Trigger
from tidegate.lifecycle.newcomers import LATE_DAYS
from tidegate.revenue.standing import MONTHS

LATE = f"interval '{LATE_DAYS} days'"
"""What Stripe tells later than this after it happened is history."""
COMMITTED = "interval '1 hour'"
"""Transactions are shorter: what was written down before the last look, and was seen by nobody then, is found so."""


def news(
    db: Connection, action: str, on: Trigger, *, since: datetime, seen: datetime, as_of: datetime, limit: int
) -> list[Candidate]:
    """What happened after `since` (when it was switched on), was not found up to `seen`, and is not decided; by
    time.
    """
    given = {"since": since, "seen": seen, "as_of": as_of, "action": action, "limit": limit}
    return _found(db, f"{_EVERY.format(rows=_rows(on, past=False))} and {_UNDECIDED} {_ORDER} limit :limit", on, given)


def pass_over(db: Connection, action: str, on: Trigger, as_of: datetime) -> int:
    """Decides of all for whom what comes near has come already that nothing is done; returns how many they are."""
    given = {"action": action, "as_of": as_of, "seen": as_of, "days": on.days, "months": on.months}
    return db.execute(text(_PASS_OVER.format(rows=_rows(on, past=False))), given).rowcount


def past(db: Connection, on: Trigger, begin: datetime, end: datetime) -> list[Candidate]:
    """What happened from `begin` until before `end`, whoever was told of it then; by time."""
    return _found(db, f"{_EVERY.format(rows=_rows(on, past=True))} {_ORDER}", on, {"begin": begin, "end": end})


def _found(db: Connection, statement: str, on: Trigger, given: dict[str, Any]) -> list[Candidate]:
    values = given | {"kind": on.kind, "keys": list(on.keys), "days": on.days, "months": on.months}
    return [
        Candidate(
            row.contact, row.occurrence, row.at, row.what, [*_said(on, row.what), *row.reasons], row.untold, row.ref,
            row.name, row.livemode, row.suppressed,
        )
        for row in db.execute(text(statement), values)
    ]  # fmt: skip


def _said(on: Trigger, what: dict[str, Any]) -> list[str]:
    """What happened, in words."""
    match on.kind:
        case "enters_stage":
            return [f"it came into the stage {what['stage']}" + (f" from {what['before']}" if what["before"] else "")]
        case "leaves_stage":
            return [f"it left the stage {what['stage']}" + (f" for {what['now']}" if what["now"] else "")]
        case "enters_segment" | "leaves_segment":
            return [f"it {'came into' if on.kind == 'enters_segment' else 'left'} the segment {what['segment']}"]
        case "alert_opened" | "alert_resolved":
            return [f"the alert {what['rule']} was {'opened' if on.kind == 'alert_opened' else 'resolved'}"]
        case "renewal_in_days":
            return [f"it {'renews' if what['days'] else 'renewed'} on {what['renews_at'][:10]}"]
        case "trial_ends_in_days":
            return [f"its trial {'ends' if what['days'] else 'ended'} on {what['trial_ends_at'][:10]}"]
        case "movement":
            return [f"its MRR moved: {what['movement']}"]
        case "entitlement_changed":
            return [f"the entitlement {what['feature']} was {what['change']}"]
        case _:
            return [f"{what['event']} on invoice {what['invoice']}" if what.get("invoice") else str(what["event"])]


def _rows(on: Trigger, *, past: bool) -> str:
    match on.kind:
        case "enters_stage" | "enters_segment":
            return _ENTERED.format(what=_WHAT[on.kind], window=_kept("m.entered_at", past))
        case "leaves_stage" | "leaves_segment":
            return _LEFT.format(what=_WHAT[on.kind], window=_kept("m.left_at", past))
        case "alert_opened":
            return _ALERTS.format(at="a.opened_at", which="true", window=_kept("a.opened_at", past))
        case "alert_resolved":
            return _ALERTS.format(
                at="a.changed_at",
                which="a.state = 'resolved' and a.resolved_because = 'facts'",
                window=_kept("a.changed_at", past),
            )
        case "renewal_in_days":
            return _RENEWED if past else _RENEWS
        case "trial_ends_in_days":
            return _TRIED if past else _TRIES
        case "movement":
            return _MOVED.format(window=_PAST.format(at="m.moved_at") if past else _MOVED_NEWS)
        case "entitlement_changed":
            return _ENTITLED.format(window=_PAST.format(at="o.at") if past else _ENTITLED_NEWS)
        case _:
            return _EVENTS.format(window=_PAST.format(at="e.at") if past else _EVENT_NEWS)


def _kept(at: str, past: bool) -> str:
    """Of what the lifecycle itself writes, one at a time: its times only grow."""
    return (_PAST if past else "{at} > :since and {at} >= :seen and {at} <= :as_of").format(at=at)


_PAST = "{at} >= :begin and {at} < :end"
_ISO = "to_char({0} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
_WHAT = {
    "enters_stage": "jsonb_build_object('stage', m.key, 'before', (select b.key from tidegate.memberships b"
    " where b.contact = m.contact and b.kind = 'stage' and b.left_at = m.entered_at and b.id <> m.id limit 1))",
    "leaves_stage": "jsonb_build_object('stage', m.key, 'now', (select n.key from tidegate.memberships n"
    " where n.contact = m.contact and n.kind = 'stage' and n.entered_at = m.left_at and n.id <> m.id limit 1))",
    "enters_segment": "jsonb_build_object('segment', m.key)",
    "leaves_segment": "jsonb_build_object('segment', m.key)",
}

_ENTERED = """
select m.contact, 'entered:' || m.id as occurrence, m.entered_at as at, {what} as what, m.reasons, false as untold
from tidegate.memberships m
where m.kind = split_part(:kind, '_', 2) and m.key = any(cast(:keys as text[])) and m.because = 'facts' and {window}"""

_LEFT = """
select m.contact, 'left:' || m.id as occurrence, m.left_at as at, {what} as what, '[]'::jsonb as reasons,
  false as untold
from tidegate.memberships m
where m.kind = split_part(:kind, '_', 2) and m.key = any(cast(:keys as text[])) and m.left_because = 'facts'
  and {window}"""

_ALERTS = """
select a.contact, 'alert:' || a.rule || ':' || a.occurrence as occurrence, {at} as at,
  jsonb_build_object('alert', a.id, 'rule', a.rule, 'about', a.occurrence) as what, a.reasons, false as untold
from tidegate.alerts a
where a.rule = any(cast(:keys as text[])) and not a.history and {which} and {window}"""

# A date is missed that was too far ahead at the last look and is past at this one; facts may be of the next one by now.
_MISSED = f"""{{at}} > cast(:seen as timestamptz) + make_interval(days => :days) and {{at}} <= :as_of
  and {{at}} > cast(:as_of as timestamptz) - {LATE}
  and cast(:seen as timestamptz) + make_interval(days => :days) < cast(:as_of as timestamptz)"""

# Whoever came, or was changed by an import, since the last look is in the window without having come into it; but for
# whom an import changed while it came into it.
_COMING = f"""
select f.contact, '{{word}}:' || to_char(f.date at time zone 'UTC', 'YYYY-MM-DD') as occurrence,
  cast(:as_of as timestamptz) as at,
  jsonb_build_object('{{field}}', {_ISO.format("f.date")},
    'days', greatest(ceil(extract(epoch from f.date - :as_of) / 86400), 0)) as what, '[]'::jsonb as reasons,
  coalesce(l.untold_at > :seen, false) and not (
    f.date > :as_of and f.date > cast(:seen as timestamptz) + make_interval(days => :days)) or exists (
    select from tidegate.memberships b
    where b.contact = f.contact and b.kind = 'stage' and b.because = 'begin' and b.entered_at > :seen) as untold
from (
  select contact, min(date) as date from (
    select contact, date from ({{ahead}}) ahead
    where date > :as_of and date <= cast(:as_of as timestamptz) + make_interval(days => :days)
    union all
    select contact, date from ({{ahead}}) ahead where {_MISSED.format(at="date")}
    union all {{missed}}) dates
  group by contact, to_char(date at time zone 'UTC', 'YYYY-MM-DD')) f
left join tidegate.contact_lifecycle l on l.contact = f.contact"""

# Every renewal of a contact is one; most have none that is near, and theirs are not looked at singly.
_RENEWALS = """
select l.contact, r.at as date from tidegate.contact_lifecycle l
cross join lateral unnest(l.renewals, l.renewal_months) r(at, months)
where l.renewals[1] <= {until} and r.months >= :months"""

_RENEWS = _COMING.format(
    word="renewal",
    field="renews_at",
    ahead=_RENEWALS.format(until="cast(:as_of as timestamptz) + make_interval(days => :days)"),
    missed=f"""
  select l.contact, i.current_period_start from stripe.subscription_items i
  join stripe.subscriptions s on s.connection = i.connection and s.id = i.subscription and s.deleted_at is null
    and s.test_clock is null
  join tidegate.links l on l.connection = s.connection and l.customer = s.customer
  where i.deleted_at is null and {MONTHS} >= :months and {_MISSED.format(at="i.current_period_start")} and exists (
    select from stripe.invoices v
    where v.connection = s.connection and v.subscription = s.id and v.billing_reason = 'subscription_cycle'
      and v.created >= i.current_period_start and v.deleted_at is null)""",
)

_TRIES = _COMING.format(
    word="trial",
    field="trial_ends_at",
    ahead="select contact, unnest(trial_ends) as date from tidegate.contact_lifecycle",
    missed=f"""
  select l.contact, s.trial_end from stripe.subscriptions s
  join tidegate.links l on l.connection = s.connection and l.customer = s.customer
  where s.deleted_at is null and s.test_clock is null and (s.ended_at is null or s.ended_at >= s.trial_end)
    and {_MISSED.format(at="s.trial_end")}""",
)

_WINDOW = "{at} - make_interval(days => :days) >= :begin and {at} - make_interval(days => :days) < :end"
_COME = """
select n.contact, '{word}:' || to_char(n.date at time zone 'UTC', 'YYYY-MM-DD') as occurrence,
  min(n.date) - make_interval(days => :days) as at,
  jsonb_build_object('{field}', {iso}, 'days', cast(:days as int)) as what, '[]'::jsonb as reasons, false as untold
from ({dates}) n group by n.contact, 2"""

_RENEWED = _COME.format(
    word="renewal",
    field="renews_at",
    iso=_ISO.format("min(n.date)"),
    dates=f"""
  select l.contact, v.created as date from stripe.invoices v
  join tidegate.links l on l.connection = v.connection and l.customer = v.customer
  where v.billing_reason = 'subscription_cycle' and v.status <> 'draft' and v.deleted_at is null
    and v.test_clock is null and {_WINDOW.format(at="v.created")} and (:months = 0 or exists (
      select from stripe.invoice_lines x
      join stripe.subscription_items i on i.connection = x.connection and i.id = x.subscription_item
      where x.connection = v.connection and x.invoice = v.id and x.proration is not true and {MONTHS} >= :months))
  union all
  select contact, date from ({_RENEWALS.format(until="cast(:end as timestamptz) + make_interval(days => :days)")}) ahead
  where {_WINDOW.format(at="date")}""",
)

_TRIED = _COME.format(
    word="trial",
    field="trial_ends_at",
    iso=_ISO.format("min(n.date)"),
    dates=f"""
  select l.contact, s.trial_end as date from stripe.subscriptions s
  join tidegate.links l on l.connection = s.connection and l.customer = s.customer
  where s.deleted_at is null and s.test_clock is null and (s.ended_at is null or s.ended_at >= s.trial_end)
    and {_WINDOW.format(at="s.trial_end")}""",
)

_TOLD_SINCE = "(select t.since from tidegate.billing_tellings t where t.connection = g.connection)"
_MOVED_NEWS = f"""m.moved_at > :since and m.moved_at >= cast(:seen as timestamptz) - {LATE}
  and m.day >= cast(cast(:seen as timestamptz) - {LATE} - interval '2 days' as date)
  and m.recorded_at >= cast(:seen as timestamptz) - {COMMITTED} and m.recorded_at >= g.adopted_at
  and m.moved_at >= {_TOLD_SINCE}"""

_MOVED = """
select l.contact, 'movement:' || m.kind || ':' || m.currency || ':' || m.day as occurrence, min(m.moved_at) as at,
  jsonb_build_object('movement', m.kind, 'currency', m.currency, 'amount', round(sum(m.amount) / 1000000)) as what,
  '[]'::jsonb as reasons, false as untold
from tidegate.ledgers g
join tidegate.movements m on m.connection = g.connection and m.edition = g.edition and m.superseded_at is null
join tidegate.links l on l.connection = m.connection and l.customer = m.customer
where g.adopted_at is not null and g.retired_at is null and m.kind = any(cast(:keys as text[])) and {window}
group by l.contact, m.kind, m.currency, m.day"""

_EVENT_NEWS = f"""e.told and e.at > :since and e.at >= cast(:seen as timestamptz) - {LATE}
  and e.recorded_at >= cast(:seen as timestamptz) - {COMMITTED}"""

_EVENTS = """
select l.contact, 'event:' || e.connection || ':' || e.id as occurrence, e.at,
  jsonb_build_object('event', e.name, 'connection', e.connection, 'invoice', e.invoice,
    'subscription', e.subscription, 'currency', e.currency, 'amount', e.amount) || case when :kind = 'payment_failed'
    then jsonb_build_object('attempt', e.data -> 'attempt', 'decline_reason', e.data -> 'decline_reason')
    else '{{}}' end as what, '[]'::jsonb as reasons, false as untold
from tidegate.connections n
join tidegate.billing_events e on e.connection = n.name
join tidegate.links l on l.connection = e.connection and l.customer = e.customer
where e.reverses is null and {window} and e.name = any(
  case when :kind = 'payment_failed' then array['Payment Failed'] else cast(:keys as text[]) end)"""

_ENTITLED_NEWS = f"not o.history and o.at > :since and o.at >= cast(:seen as timestamptz) - {COMMITTED}"

_ENTITLED = """
select o.contact, 'entitlement:' || o.id as occurrence, o.at,
  o.data || jsonb_build_object('change', split_part(o.type, '.', 2)) as what, '[]'::jsonb as reasons, false as untold
from tidegate.outbox o
where o.type in ('entitlement.granted', 'entitlement.changed', 'entitlement.revoked') and not o.history and {window}
  and (cardinality(cast(:keys as text[])) = 0 or o.data ->> 'feature' = any(cast(:keys as text[])))"""

_EVERY = """
select n.contact, n.occurrence, n.at, n.what, n.reasons, n.untold, c.kind || ':' || c.external_id as ref, c.name,
  c.livemode, exists (select from tidegate.suppressed_contacts s where s.contact = n.contact) as suppressed
from ({rows}) n
join tidegate.contacts c on c.key = n.contact and c.merged_into is null and c.forgotten_at is null
where true"""

_UNDECIDED = """not exists (
  select from tidegate.action_occurrences d
  where d.action = :action and d.contact = n.contact and d.occurrence = n.occurrence)"""

_PASS_OVER = """
insert into tidegate.action_occurrences (action, contact, occurrence, at, decided_at, state, why, what, reasons)
select :action, n.contact, n.occurrence, n.at, :as_of, 'passed', 'before', n.what, '[]'
from ({rows}) n order by n.contact on conflict do nothing"""

_ORDER = "order by n.at, n.contact, n.occurrence"
