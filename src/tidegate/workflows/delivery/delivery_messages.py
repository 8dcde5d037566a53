"""What is due to a destination, as messages: what was told, about whom, and what changed of a contact."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, text

from tidegate.delivery import suppressed_properties
from tidegate.delivery.hidden import Hidden
from tidegate.delivery.messages import UPDATED, Message, Person
from tidegate.delivery.outcomes import Due
from tidegate.delivery.queue import Claimed
from tidegate.delivery.stored import Stored
from tidegate.lifecycle import digests
from tidegate.store.driver import rows
from tidegate.workflows.contacts.contact_properties import properties

FORGOTTEN = "contact.forgotten"


def due(db: Connection, destination: Stored, claimed: Sequence[Claimed], now: datetime) -> list[Due]:
    """What was claimed, with the messages to send. Of a contact that did not change there is none, nor of one that was
    forgotten, but that it was, nor of what says nothing but what is suppressed. `now`: UTC.
    """
    hidden = suppressed_properties.hidden(db)
    told = _told(db, [one.outbox for one in claimed if one.outbox is not None])
    filled = {id_: digests.of_message(db, row.data, hidden) for id_, row in told.items() if row.type == digests.MADE}
    people = _people(db, [one.contact for one in claimed if one.contact is not None])
    living = sorted({root for root, _, forgotten in people.values() if not forgotten})
    with_properties = destination.kept if any(one.outbox is None for one in claimed) or _beside(destination) else ()
    asked = [name for name in with_properties if not hidden.holds(name)]
    known = {key: hidden.without(one) for key, one in properties(db, living, asked).items()}
    sent = _sent(db, destination.key, living) if any(one.outbox is None for one in claimed) else {}
    made: list[Due] = []
    for one in claimed:
        person = people.get(one.contact) if one.contact is not None else None
        if one.outbox is not None:
            message, kept = (
                _of_told(destination, one, told.get(one.outbox), person, known, filled.get(one.outbox), hidden),
                None,
            )
        else:
            message, kept = _of_contact(destination, one, person, known, sent, now, hidden)
        made.append(Due(one.id, one.contact, one.attempts, one.failing_since, message, kept))
    return _with_seconds(db, destination, made, claimed)


def _beside(destination: Stored) -> bool:
    """Whether chosen properties stand beside every event, too."""
    return destination.options.properties is not None


class _Event(NamedTuple):
    """A row of the outbox; `data` is read by msgspec, several times faster than the driver's own way."""

    type: str
    data: dict[str, Any]
    at: datetime
    connection: str | None
    id: int


_Who = tuple[int, Person, bool]


def _of_told(
    destination: Stored,
    one: Claimed,
    told: _Event | None,
    person: _Who | None,
    known: Mapping[int, Mapping[str, Any]],
    filled: Mapping[str, Any] | None,
    hidden: Hidden,
) -> Message | None:
    if told is None or (person is not None and person[2] and told.type != FORGOTTEN):
        return None
    beside: Mapping[str, Any] = known.get(person[0], {}) if person is not None and _beside(destination) else {}
    who = hidden.person(person[1]) if person is not None else None
    data = filled or hidden.event(told.type, told.data)
    return None if data is None else Message(one.id, _id(told), told.type, _date(told), data, who, beside)


def _id(told: _Event) -> str:
    """Of a billing event made of its own id, so that the past, sent again, is known for it; else of the row."""
    if told.type.startswith("billing_event.") and "id" in told.data:
        return "bev_" + hashlib.sha256(f"{told.connection}\0{told.data['id']}".encode()).hexdigest()[:24]
    return f"evt_{told.id}"


def _date(told: _Event) -> datetime:
    """When it came about: a billing event says so itself."""
    if told.type.startswith("billing_event.") and isinstance(told.data.get("at"), str):
        return datetime.fromisoformat(told.data["at"])
    return told.at.astimezone(UTC)


def _of_contact(
    destination: Stored,
    one: Claimed,
    person: _Who | None,
    known: Mapping[int, dict[str, Any]],
    sent: Mapping[int, tuple[dict[str, Any], int]],
    now: datetime,
    hidden: Hidden,
) -> tuple[Message | None, str | None]:
    """The message, and what the destination has afterwards. The id is made of what is said and how often something was
    said before: the same again has the same, and something else another. What is suppressed is neither told nor taken
    back; what the destination has of it is remembered.
    """
    if person is None or person[2] or person[0] not in known or not destination.kept:
        return None, None
    key, who = person[0], hidden.person(person[1])
    now_known = dict(known[key])
    if destination.kind == "kissmetrics" and who.email and who.customers:
        now_known["alias"] = who.email
    had, number = sent.get(key, ({}, 0))
    before = hidden.without(had)
    changed = {name: value for name, value in now_known.items() if name not in before or before[name] != value}
    changed |= {name: None for name in before if name not in now_known}
    if number == 0:
        changed = {name: value for name, value in changed.items() if value is not None} or changed
    if not changed:
        return None, None
    said = json.dumps(changed, sort_keys=True)
    id_ = f"con_{key}.{number}.{hashlib.sha256(said.encode()).hexdigest()[:12]}"
    now_known.pop("alias", None)
    unsaid = {name: value for name, value in had.items() if hidden.holds(name)}
    kept = json.dumps(
        unsaid | dict(known[key]) | ({"alias": who.email} if "alias" in changed or "alias" in before else {})
    )
    return Message(one.id, id_, UPDATED, now.astimezone(UTC).replace(microsecond=0), changed, who, now_known), kept


def _told(db: Connection, ids: Sequence[int]) -> dict[int, _Event]:
    if not ids:
        return {}
    return {
        row.id: _Event(row.type, _decode(row.data), row.at, row.connection, row.id)
        for row in rows(db, _TOLD, {"ids": list(ids)})
    }


def _people(db: Connection, contacts: Sequence[int]) -> dict[int, _Who]:
    """By contact: the one that it is now (internal key), who that is, and whether it was forgotten."""
    if not contacts:
        return {}
    return {
        row.key: (
            row.root,
            Person(
                row.kind, row.id, row.name, row.email, list(row.customers), (row.user_id, row.user_email), row.livemode
            ),
            row.forgotten_at is not None,
        )
        for row in rows(db, _PEOPLE, {"contacts": sorted(set(contacts))})
    }


def _sent(db: Connection, destination: str, contacts: Sequence[int]) -> dict[int, tuple[dict[str, Any], int]]:
    found = db.execute(_SENT, {"destination": destination, "contacts": list(contacts)})
    return {row.contact: (row.sent, row.number) for row in found}


def _with_seconds(db: Connection, destination: Stored, made: list[Due], claimed: Sequence[Claimed]) -> list[Due]:
    """Keeps a second of its own for each event, where the destination tells events apart by it."""
    second_of = getattr(destination.speaks, "second_of", None)
    if second_of is None:
        return made
    outbox = {one.id: one.outbox for one in claimed}
    found: list[Due] = []
    for one in made:
        wanted = second_of(destination.options, one.message) if one.message is not None else None
        if wanted is None or one.message is None:
            found.append(one)
            continue
        what, second = wanted
        values = {"destination": destination.key, "what": what, "second": second, "outbox": outbox[one.id]}
        kept = db.execute(_KNOWN_SECOND, values).scalar_one_or_none()
        if kept is None:
            kept = db.execute(_KEEP_SECOND, values).scalar_one()
        message = Message(**{n: getattr(one.message, n) for n in one.message.__dataclass_fields__} | {"second": kept})
        found.append(Due(one.id, one.contact, one.attempts, one.failing_since, message, one.sent))
    return found


_decode = msgspec.json.Decoder().decode

_TOLD = text(
    "select id, type, data::text as data, at, connection from tidegate.outbox where id = any(cast(:ids as bigint[]))"
)

# The billing user of an account: who has the e-mail address of its newest live customer, else its owner.
_PEOPLE = text("""
with recursive roots as (
  select key, key as root, merged_into from tidegate.contacts where key = any(cast(:contacts as bigint[]))
  union all
  select r.key, c.key, c.merged_into from roots r join tidegate.contacts c on c.key = r.merged_into)
select r.key, c.key as root, c.kind, c.external_id as id, c.name, c.email, c.livemode, c.forgotten_at,
  coalesce(l.customers, '{}') as customers, coalesce(u.external_id, '') as user_id,
  coalesce(u.email, l.emails[1], '') as user_email
from roots r join tidegate.contacts c on c.key = r.root
left join lateral (
  select array_agg(
      l.customer order by s.deleted_at is not null, s.created desc nulls last, l.customer desc) as customers,
    array_agg(s.email order by s.deleted_at is not null, s.created desc nulls last, l.customer desc)
      filter (where s.email <> '') as emails
  from tidegate.links l left join stripe.customers s on s.connection = l.connection and s.id = l.customer
  where l.contact = c.key) l on true
left join lateral (
  select u.external_id, u.email from tidegate.contact_members m join tidegate.contacts u on u.key = m."user"
  where c.kind = 'account' and m.account = c.key and u.merged_into is null and u.forgotten_at is null
    and (lower(u.email) = any(select lower(e) from unnest(l.emails) e) or m.role in ('billing', 'owner', 'admin'))
  order by lower(u.email) = lower(l.emails[1]) desc nulls last, m.role = 'billing' desc, m.role = 'owner' desc, u.key
  limit 1) u on true
where r.merged_into is null""")

_SENT = text("""
select contact, sent, number from tidegate.destination_contacts
where destination = :destination and contact = any(cast(:contacts as bigint[]))""")

_KNOWN_SECOND = text("""
select second from tidegate.destination_seconds
where destination = :destination and what = :what and outbox = :outbox""")

# The first second from its own on that no other event of the person has. Claims of a destination come one at a time.
_KEEP_SECOND = text("""
insert into tidegate.destination_seconds (destination, what, second, outbox)
select :destination, :what, s.second, :outbox
from generate_series(cast(:second as bigint), :second + 100000) as s(second)
where not exists (
  select from tidegate.destination_seconds k
  where k.destination = :destination and k.what = :what and k.second = s.second)
order by s.second limit 1 returning second""")
