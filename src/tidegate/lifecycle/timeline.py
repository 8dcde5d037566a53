"""A contact's timeline: everything that happened to it in the order of time, each with what it was."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, text

from tidegate.contacts import forgetting
from tidegate.contacts.directory import Contact
from tidegate.errors import LifecycleInvalid
from tidegate.lifecycle.health import moved
from tidegate.revenue.rounding import whole

KINDS = (
    "movement", "billing_event", "stage", "segment", "alert", "health", "entitlement", "note", "task", "delivery",
)  # fmt: skip
"""What stands on a timeline."""


def page(
    db: Connection, contact: Contact, *, kinds: Sequence[str] = KINDS, after: str = "", limit: int = 50
) -> dict[str, Any]:
    """What happened, the newest first: {contact, timeline: [{at, kind, what, id, data}], next}; `next` is the `after`
    of the next page (None: there is none). Of a contact that others were merged into also what happened to them.
    Amounts are in minor units.

    Deliveries are there as long as the outbox keeps them. Raises LifecycleInvalid for a kind or an `after` that is
    none.
    """
    wanted = _known(kinds)
    at, kind, id_ = _place(after) if after else (None, None, None)
    values = {
        "contacts": forgetting.with_merged(db, contact.key),
        "at": at,
        "kind": kind,
        "id": id_,
        "limit": limit + 1,
    }
    parts = [_PART.format(source=_SOURCES[one], kind=one) for one in wanted]
    statement = f"{_THEIRS} select * from ({' union all '.join(parts)}) t order by at desc, kind, id limit :limit"
    rows = [_told(dict(row)) for row in db.execute(text(statement), values).mappings()]
    shown = rows[:limit]
    return {"contact": contact.ref, "timeline": shown, "next": _next(shown[-1]) if len(rows) > limit else None}


def _known(kinds: Sequence[str]) -> list[str]:
    for one in kinds:
        if one not in KINDS:
            raise LifecycleInvalid(problem=f"Nothing of the kind {one!r} stands on a timeline; {', '.join(KINDS)} do.")
    return [one for one in KINDS if one in kinds] or list(KINDS)


def _told(row: dict[str, Any]) -> dict[str, Any]:
    if row["kind"] == "movement":
        data = row["data"]
        opening, closing = whole(int(data["opening"])), whole(int(data["closing"]))
        row["data"] = data | {"opening": opening, "closing": closing, "amount": closing - opening}
    if row["kind"] == "health":
        data = row["data"]
        row["data"] = data | {"moved": moved(data.pop("points_before"), data.pop("points"))}
    return row


def _next(row: dict[str, Any]) -> str:
    said = json.dumps([row["at"].isoformat(), row["kind"], row["id"]])
    return urlsafe_b64encode(said.encode()).decode().rstrip("=")


def _place(after: str) -> tuple[datetime, str, str]:
    try:
        said: Any = json.loads(urlsafe_b64decode(after + "=" * (-len(after) % 4)))
        at, kind, id_ = cast("list[str]", said)
        place = datetime.fromisoformat(at), str(kind), str(id_)
    except (ValueError, TypeError):
        place = None
    if place is None or "\0" in f"{place[1]}{place[2]}" or place[0].tzinfo is None:
        raise LifecycleInvalid(problem=f"{after[:40]!r} is no `next` of a page of a timeline.")
    return place


_THEIRS = """
with theirs as materialized (
  select l.connection, l.customer from tidegate.links l where l.contact = any(cast(:contacts as bigint[]))),
units as materialized (
  select 'contact\\:' || key as unit, null as connection from unnest(cast(:contacts as bigint[])) as key
  union all select customer, connection from theirs)"""

# Of what happens at the same instant the order is that of kinds and ids, so that a page goes on where one ended.
_PART = """
select * from (
  select at, '{kind}' as kind, what, id, data from ({source}) s
  where at is not null and (cast(:at as timestamptz) is null or at < cast(:at as timestamptz)
    or (at = cast(:at as timestamptz) and ('{kind}', id) > (cast(:kind as text), cast(:id as text))))
  order by at desc, id limit :limit) p_{kind}"""

_SOURCES = {
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
}
"""Of each kind its rows as (at, what, id, data)."""
