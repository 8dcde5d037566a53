"""What came about before a destination was there, made due to it when a person asks."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.catalog import journal
from tidegate.delivery import stored
from tidegate.delivery.stored import Stored


def backfill(
    db: Connection, destination: Stored, since: datetime | None, by: str, *, only_preview: bool
) -> dict[str, Any]:
    """Makes due what came about since then: billing events as they are recorded, other events as far as the outbox
    still has them, and every contact as it is now, where those are kept in sync: {events, billing_events, contacts}.

    What the destination was sent already, as far as that is known, is left out; the ids are those of the first time.
    """
    row = stored.shown(db, destination.key)
    pattern = stored.pattern_of(destination.events)
    livemode = {"live": True, "test": False}.get(row["mode"])
    values = {"key": destination.key, "since": since, "pattern": pattern, "livemode": livemode}
    counts = {"events": 0, "billing_events": 0, "contacts": 0}
    with db.begin_nested() as doing:
        if since is not None and pattern:
            counts["billing_events"] = db.execute(_PAST_BILLING, values).scalar_one()
            counts["events"] = db.execute(_PAST_EVENTS, values).rowcount
        if destination.kept:
            counts["contacts"] = db.execute(_ALL_CONTACTS, values).rowcount
        if only_preview:
            doing.rollback()
    if not only_preview:
        journal.note(db, by, "destination.backfilled", destination.key, **counts)
    return {"destination": destination.key, "since": since, "done": not only_preview, **counts}


_TOLD = "not exists (select from tidegate.suppressed_contacts u where u.contact = k.key)"
_MODE = "(cast(:livemode as boolean) is null or coalesce(n.livemode, k.livemode, :livemode) = :livemode)"

# Events of which the outbox keeps nothing get rows of their own, as history, in the order of their dates.
_PAST_BILLING = text(f"""
with sent as materialized (
  select distinct o.connection, o.data ->> 'id' as id
  from tidegate.deliveries d join tidegate.outbox o on o.id = d.outbox
  where d.destination = :key and o.type = 'billing_event.recorded'),
past as (
  select e.*, l.contact from tidegate.billing_events e
  join tidegate.connections n on n.name = e.connection
  left join tidegate.links l on l.connection = e.connection and l.customer = e.customer
  left join tidegate.contacts k on k.key = l.contact
  where e.at >= :since and ('billing_event.recorded' ~ :pattern or 'billing_event.recorded:' || e.name ~ :pattern)
    and {_MODE} and {_TOLD} and not exists (select from sent s where s.connection = e.connection and s.id = e.id)),
told as (
  insert into tidegate.outbox (type, contact, connection, data, history)
  select 'billing_event.recorded', contact, connection, jsonb_build_object('id', id, 'name', name, 'customer', customer,
    'identity', identity, 'subscription', subscription, 'invoice', invoice,
    'at', to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24\\:MI\\:SS"Z"'), 'currency', currency, 'amount', amount,
    'reverses', reverses, 'data', data), true
  from past order by at, id
  returning id, contact),
due as (
  insert into tidegate.deliveries (destination, outbox, contact) select :key, id, contact from told order by id
  returning 1)
select count(*) from due""")

_PAST_EVENTS = text(f"""
insert into tidegate.deliveries (destination, outbox, contact)
select :key, o.id, o.contact from tidegate.outbox o
left join tidegate.connections n on n.name = o.connection left join tidegate.contacts k on k.key = o.contact
where o.at >= :since and o.type not like 'billing_event.%' and o.type not in ('action.fired', 'digest.made')
  and o.type ~ :pattern and {_MODE} and (o.type = 'contact.forgotten' or o.contact is null or {_TOLD})
  and not exists (select from tidegate.deliveries d where d.outbox = o.id and d.destination = :key)
order by o.id""")

_ALL_CONTACTS = text(f"""
insert into tidegate.deliveries (destination, contact)
select :key, k.key from tidegate.contacts k
where k.merged_into is null and k.forgotten_at is null and {_TOLD}
  and (cast(:livemode as boolean) is null or k.livemode = :livemode)
  and not exists (
    select from tidegate.deliveries w where w.destination = :key and w.contact = k.key and w.state = 'waiting'
      and w.outbox is null)
order by k.key""")
