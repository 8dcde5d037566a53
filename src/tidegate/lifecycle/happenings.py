"""SQL of what happened to contacts, by kind: the histories that their timelines are read from."""

KINDS = (
    "movement", "billing_event", "payment", "stage", "segment", "alert", "action", "health", "entitlement", "override",
    "usage", "link", "change", "note", "task", "delivery",
)  # fmt: skip
"""What stands on a timeline."""

_LINKS = "('link', 'unlink', 'rematch')"
_ELSEWHERE = "('link', 'unlink', 'rematch', 'note', 'task', 'task_done')"
"""Changes that stand there as links, notes and tasks."""

_CHANGED = """
select h.at, h.action as what, 'c' || h.id as id,
  h.what || jsonb_build_object('by', h.by, 'undone_at', h.undone_at) as data
from tidegate.contact_changes h where h.contact = any(cast(:contacts as bigint[]))"""

# Day by day backwards, each found by the index: of who uses something all the time not every debit is looked at.
_DAYS_USED = """
with recursive days as (
  select f.contact, f.feature, (
    select max(d.at) from tidegate.usage_debits d where d.contact = f.contact and d.feature = f.feature) as last
  from (select distinct contact, feature from tidegate.usage where contact = any(cast(:contacts as bigint[]))) f
  union all
  select y.contact, y.feature, (
    select max(d.at) from tidegate.usage_debits d where d.contact = y.contact and d.feature = y.feature
      and d.at < date_trunc('day', y.last at time zone 'UTC') at time zone 'UTC')
  from days y where y.last is not null)
select contact, feature, last, (last at time zone 'UTC')::date as day from days where last is not null"""

SOURCES = {
    "movement": """
select m.moved_at as at, min(m.kind) as what,
  m.connection || '/' || m.unit || '/' || m.currency || '/' || extract(epoch from m.moved_at) as id,
  jsonb_build_object('connection', m.connection, 'currency', m.currency, 'opening', min(m.opening)::text,
    'closing', min(m.closing)::text, 'subscriptions', jsonb_agg(distinct m.subscription)) as data
from units u join tidegate.movements m on m.unit = u.unit and (u.connection is null or u.connection = m.connection)
join tidegate.ledgers l on l.connection = m.connection and l.edition = m.edition and l.adopted_at is not null
  and l.retired_at is null
where m.superseded_at is null and m.kind <> 'transfer'
group by m.connection, m.unit, m.currency, m.moved_at""",
    "billing_event": """
select e.at, e.name as what, e.connection || '/' || e.id as id,
  jsonb_build_object('connection', e.connection, 'customer', e.customer, 'subscription', e.subscription,
    'invoice', e.invoice, 'currency', e.currency, 'amount', e.amount, 'reverses', e.reverses) as data
from theirs t join tidegate.billing_events e on e.connection = t.connection and e.customer = t.customer""",
    "stage": """
select m.entered_at as at, 'entered' as what, m.id::text as id, jsonb_build_object('stage', m.key, 'before', (
    select b.key from tidegate.memberships b
    where b.contact = m.contact and b.kind = 'stage' and b.left_at = m.entered_at and b.id <> m.id limit 1),
  'reasons', m.reasons, 'because', m.because) as data
from tidegate.memberships m where m.contact = any(cast(:contacts as bigint[])) and m.kind = 'stage'""",
    "segment": """
select m.entered_at as at, 'entered' as what, 'i' || m.id as id,
  jsonb_build_object('segment', m.key, 'reasons', m.reasons, 'because', m.because) as data
from tidegate.memberships m where m.contact = any(cast(:contacts as bigint[])) and m.kind = 'segment'
union all
select m.left_at, 'left', 'o' || m.id, jsonb_build_object('segment', m.key)
from tidegate.memberships m where m.contact = any(cast(:contacts as bigint[])) and m.kind = 'segment'
  and m.left_at is not null""",
    "alert": """
select a.opened_at as at, 'opened' as what, a.id || '/0' as id,
  jsonb_build_object('alert', a.id, 'rule', a.rule, 'occurrence', a.occurrence, 'reasons', a.reasons) as data
from tidegate.alerts a where a.contact = any(cast(:contacts as bigint[]))
union all
select a.changed_at, a.state, a.id || '/1', jsonb_build_object('alert', a.id, 'rule', a.rule, 'by', a.changed_by,
  'until', a.snoozed_until, 'reason', a.note)
from tidegate.alerts a where a.contact = any(cast(:contacts as bigint[])) and a.state <> 'open'""",
    "health": """
select h.at, 'changed' as what, h.contact || '/' || extract(epoch from h.at) as id,
  jsonb_build_object('health', h.health, 'coverage', h.coverage, 'before', b.health, 'points', h.points,
    'points_before', coalesce(b.points, '{}')) as data
from tidegate.health_history h
left join lateral (
  select b.health, b.points from tidegate.health_history b where b.contact = h.contact and b.at < h.at
  order by b.at desc limit 1) b on true
where h.contact = any(cast(:contacts as bigint[]))""",
    "entitlement": """
select e.at, e.type as what, e.id::text as id, e.data
from tidegate.entitlement_changes e where e.contact = any(cast(:contacts as bigint[]))""",
    "note": """
select n.at, 'written' as what, n.id::text as id, jsonb_build_object('note', n.id, 'text', n.text, 'by', n.by) as data
from tidegate.contact_notes n where n.contact = any(cast(:contacts as bigint[]))""",
    "task": """
select k.at, 'added' as what, k.id || '/0' as id, jsonb_build_object('task', k.id, 'text', k.text, 'due_on', k.due_on,
  'by', k.by, 'done', k.done_at is not null) as data
from tidegate.contact_tasks k where k.contact = any(cast(:contacts as bigint[]))
union all
select k.done_at, 'done', k.id || '/1', jsonb_build_object('task', k.id, 'text', k.text, 'by', k.done_by)
from tidegate.contact_tasks k where k.contact = any(cast(:contacts as bigint[])) and k.done_at is not null""",
    "delivery": """
select d.done_at as at, d.state as what, d.id::text as id,
  jsonb_build_object('destination', d.destination, 'type', o.type, 'outbox', o.id, 'error', d.error) as data
from tidegate.outbox o join tidegate.deliveries d on d.outbox = o.id
where o.contact = any(cast(:contacts as bigint[])) and d.done_at is not null""",
    "payment": """
select h.created as at, h.status as what, h.connection || '/' || h.id as id,
  jsonb_build_object('connection', h.connection, 'charge', h.id, 'customer', h.customer, 'invoice', h.invoice,
    'currency', h.currency, 'amount', h.amount, 'amount_refunded', h.amount_refunded, 'disputed', h.disputed,
    'failure', coalesce(h.failure_message, h.decline_reason, h.failure_code)) as data
from theirs t join stripe.charges h on h.connection = t.connection and h.customer = t.customer
where h.deleted_at is null and h.status is not null""",
    "link": f"""
select l.linked_at as at, 'linked' as what, l.connection || '/' || l.customer as id,
  jsonb_build_object('connection', l.connection, 'customer', l.customer, 'method', l.method, 'by', '') as data
from tidegate.links l where l.contact = any(cast(:contacts as bigint[])) and l.linked_by = ''
union all {_CHANGED} and h.action in {_LINKS}""",
    "change": f"{_CHANGED} and h.action not in {_ELSEWHERE}",
    "override": """
select v.created_at as at, 'given' as what, v.id || '/0' as id, jsonb_build_object('override', v.id,
  'operation', v.operation, 'package', v.package, 'feature', v.feature, 'terms', v.terms, 'since', v.since,
  'expires_at', v.expires_at, 'reason', v.reason, 'by', v.by) as data
from tidegate.overrides v where v.contact = any(cast(:contacts as bigint[]))
union all
select least(v.revoked_at, v.expires_at), case when v.revoked_at <= coalesce(v.expires_at, v.revoked_at) then 'revoked'
  else 'expired' end, v.id || '/1', jsonb_build_object('override', v.id, 'package', v.package, 'feature', v.feature,
  'terms', v.terms, 'by', case when v.revoked_at <= coalesce(v.expires_at, v.revoked_at) then v.revoked_by else '' end)
from tidegate.overrides v where v.contact = any(cast(:contacts as bigint[]))
  and (v.revoked_at is not null or v.expires_at <= now())""",
    "action": """
select o.decided_at as at, o.state as what, o.id || '/0' as id, jsonb_build_object('action', o.action,
  'occurrence', o.occurrence, 'happened_at', o.at, 'why', o.why, 'reasons', o.reasons, 'goal', o.goal) as data
from tidegate.action_occurrences o where o.contact = any(cast(:contacts as bigint[])) and o.state <> 'passed'
union all
select o.reached_at, 'reached', o.id || '/1', jsonb_build_object('action', o.action, 'occurrence', o.occurrence,
  'happened_at', o.at, 'why', '', 'reasons', '[]'::jsonb, 'goal', o.goal)
from tidegate.action_occurrences o where o.contact = any(cast(:contacts as bigint[])) and o.reached_at is not null""",
    "usage": f"""
select u.last as at, 'used' as what, u.contact || '/' || u.feature || '/' || u.day as id,
  jsonb_build_object('feature', u.feature, 'day', u.day, 'amount', (
    select sum(d.amount) from tidegate.usage_debits d
    where d.contact = u.contact and d.feature = u.feature and d.state <> 'released'
      and d.at >= u.day at time zone 'UTC' and d.at <= u.last)) as data
from ({_DAYS_USED}) u""",
}
"""Of each kind its rows as (at, what, id, data); `:contacts`: internal keys, `theirs`: their customers, `units`: as
whom they move.
"""
