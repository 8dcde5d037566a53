"""Writes outbox rows, in the caller's transaction: they exist when what they tell of does, or not at all."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, text

from tidegate.store.bulk import Texts
from tidegate.store.driver import rows

EventType = Literal[
    "contact.created",
    "contact.linked",
    "contact.unlinked",
    "contact.merged",
    "contact.unmerged",
    "contact.renamed",
    "contact.forgotten",
    "entitlement.granted",
    "entitlement.changed",
    "entitlement.revoked",
    "mapping.unmapped",
    "billing_event.recorded",
    "stage.changed",
    "segment.entered",
    "segment.left",
    "alert.opened",
    "alert.resolved",
    "system_alert.opened",
    "system_alert.resolved",
    "digest.made",
    "sync.finished",
    "sync.failed",
    "action.fired",
]


class Told(NamedTuple):
    """An event of the outbox. `contact`: internal key. `data`: a JSON object, stable across versions of Tidegate.
    `route`: a destination that is sent it, whatever events it asks for.
    """

    type: EventType
    data: dict[str, Any]
    contact: int | None = None
    connection: str | None = None
    route: str | None = None


class Addressed(NamedTuple):
    """What one destination (its key) is told, and no other: an event `action.fired`. `contact`: internal key."""

    destination: str
    data: dict[str, Any]
    contact: int


def redact(db: Connection, contacts: Sequence[int], refs: Sequence[str]) -> int:
    """Takes from what was told of these contacts (internal keys), and of others that names them by one of these `refs`,
    all but ids of Stripe's, and the reasons of their moves and alerts; returns how many rows.

    What was told of entitlements names nobody and stays.
    """
    reasons = db.execute(_REDACT_REASONS, {"contacts": list(contacts)}).rowcount
    return reasons + db.execute(_REDACT, {"contacts": list(contacts), "refs": list(refs)}).rowcount


def redact_customers(db: Connection, connection: str, customers: Sequence[str]) -> int:
    """The same of what was told of these customers (Stripe ids), whosever they were then."""
    return db.execute(_REDACT_CUSTOMERS, {"connection": connection, "customers": list(customers)}).rowcount


_REDACTED = """
update tidegate.outbox
set data = jsonb_strip_nulls(jsonb_build_object('customer', data -> 'customer', 'method', data -> 'method',
  'redacted', true))
where (type like 'contact.%' or type = 'action.fired') and not data ? 'redacted' and"""

_REDACT = text(f"""{_REDACTED}
  (contact = any(cast(:contacts as bigint[])) or exists (
    select from jsonb_each(data) said where said.value #>> '{{}}' = any(cast(:refs as text[]))))""")

_REDACT_REASONS = text("""
update tidegate.outbox set data = data - cast('{reasons,text}' as text[]) || '{"redacted": true}'
where contact = any(cast(:contacts as bigint[])) and type ~ '^(stage|segment|alert)[.]' and not data ? 'redacted'""")

_REDACT_CUSTOMERS = text(f"""{_REDACTED}
  connection = :connection and data ->> 'customer' = any(cast(:customers as text[]))""")


def tell(db: Connection, told: Sequence[Told]) -> None:
    """Writes the rows, in the order given, and what is due of them to the destinations that want them.

    What is told of history (`as_history`) is due to nobody.
    """
    if told:
        columns = {
            "types": Texts([one.type for one in told]),
            "data": Texts([_encode(one.data).decode() for one in told]),
            "contacts": [one.contact for one in told],
            "connections": [one.connection for one in told],
            "routes": [one.route for one in told],
        }
        rows(db, _TELL, columns)


def tell_addressed(db: Connection, told: Sequence[Addressed]) -> None:
    """Writes an outbox row for each, in the order given, due to its destination alone, whatever that wants otherwise;
    to none where that is of the other mode, live or test, than the contact.
    """
    if told:
        data = [_encode(one.data | {"destination": one.destination}).decode() for one in told]
        rows(db, _TELL_ADDRESSED, {"data": Texts(data), "contacts": [one.contact for one in told]})


_encode = msgspec.json.Encoder().encode


def as_history(db: Connection) -> None:
    """Lets what this transaction tells from here on be history, but for billing events, which know that themselves."""
    db.execute(text("select set_config('tidegate.history', 'on', true)"))


# A digest is for whom it was made, and for no other.
# `order by place` gives the ids in that order, and those of the outbox give those of the deliveries.
_TELL = text("""
with told as (
  insert into tidegate.outbox (type, data, contact, connection, route)
  select type, data::jsonb, contact, connection, route
  from unnest(:types, :data, cast(:contacts as bigint[]), cast(:connections as text[]), cast(:routes as text[]))
    with ordinality as told(type, data, contact, connection, route, place)
  order by place
  returning id, type, data, contact, connection, history, route)
insert into tidegate.deliveries (destination, outbox, contact)
select d.key, t.id, t.contact
from told t
join tidegate.destinations d on d.key = t.route or d.events <> '' and t.type <> 'digest.made' and (
  t.type ~ d.events or t.type || ':' || coalesce(t.data ->> 'name', '') ~ d.events)
left join tidegate.connections c on c.name = t.connection
left join tidegate.contacts k on k.key = t.contact
where (not t.history or t.type like 'billing_event.%')
  and (t.type = 'contact.forgotten' or not exists (
    select from tidegate.suppressed_contacts s where s.contact = t.contact))
  and (d.livemode is null or coalesce(c.livemode, k.livemode, d.livemode) = d.livemode)
order by t.id""")


_TELL_ADDRESSED = text("""
with told as (
  insert into tidegate.outbox (type, data, contact)
  select 'action.fired', data::jsonb, contact
  from unnest(:data, cast(:contacts as bigint[])) with ordinality as told(data, contact, place)
  order by place
  returning id, contact, data ->> 'destination' as destination)
insert into tidegate.deliveries (destination, outbox, contact)
select d.key, t.id, t.contact
from told t
join tidegate.destinations d on d.key = t.destination
join tidegate.contacts k on k.key = t.contact
where (d.livemode is null or d.livemode = k.livemode)
  and not exists (select from tidegate.suppressed_contacts s where s.contact = t.contact)
order by t.id""")


def page(
    db: Connection, *, type_: str | None = None, contact: int | None = None, before: int | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """Rows, the newest first, those before the id `before`: {id, type, at, contact, connection, data, history,
    deliveries}, of which each delivery is {destination, state, attempts, status, error, done_at}. `contact`: internal
    key; in the answer as `account:acme`.
    """
    values = {"type": type_, "contact": contact, "before": before, "limit": limit}
    return [dict(row) for row in db.execute(_PAGE, values).mappings()]


_PAGE = text("""
select o.id, o.type, o.at, k.kind || ':' || k.external_id as contact, o.connection, o.data, o.history,
  coalesce(d.deliveries, '[]') as deliveries
from tidegate.outbox o
left join tidegate.contacts k on k.key = o.contact
left join lateral (
  select jsonb_agg(jsonb_build_object('destination', d.destination, 'state', d.state, 'attempts', d.attempts,
    'status', d.status, 'error', d.error, 'done_at', d.done_at) order by d.destination) as deliveries
  from tidegate.deliveries d where d.outbox = o.id) d on true
where (cast(:before as bigint) is null or o.id < :before) and (cast(:type as text) is null or o.type = :type)
  and (cast(:contact as bigint) is null or o.contact = :contact)
order by o.id desc limit :limit""")
