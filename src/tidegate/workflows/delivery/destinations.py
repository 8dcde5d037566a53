"""Destinations as people and tokens handle them: defined, tried, looked into, given the past, paused, resumed."""

import asyncio
import base64
import secrets as randomness
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from sqlalchemy import Connection, text

from tidegate.catalog import journal
from tidegate.connections import accounts, sealing
from tidegate.delivery import queue, stored
from tidegate.delivery.destinations import KINDS
from tidegate.delivery.http import Client, SendFailed
from tidegate.delivery.messages import UPDATED, Destination, Message, Person, Request, Verdict, Writer
from tidegate.delivery.queue import Claimed
from tidegate.delivery.signing import PREFIX
from tidegate.delivery.stored import HIDDEN, Stored, properties_of
from tidegate.errors import (
    DeliveryUnknown,
    DestinationInvalid,
    DestinationRefused,
    DestinationUnreachable,
)
from tidegate.lifecycle import routes
from tidegate.secrets import Vault
from tidegate.workflows.contacts import contact_properties
from tidegate.workflows.delivery import delivery_messages
from tidegate.workflows.lifecycle import lifecycle_actions

TESTED = "destination.tested"
"""The type of the sample that `test` sends where events are taken."""
SHOWN = 10


def define(
    db: Connection,
    key: str,
    kind: str,
    said: Mapping[str, Any],
    by: str,
    *,
    variables: Mapping[str, Any],
    vault: Callable[[], Vault],
    managed_by: str = "",
) -> bool:
    """A destination under a key; one that is there is replaced. False: it was the same. See `stored.define`.

    Raises DestinationInvalid, also for a property that is none, and ManagedByFile.
    """
    options = stored.checked(key, kind, said)
    contact_properties.refuse_unknown(properties_of(kind, options))
    sealing.hold_key(db)
    changed = stored.define(
        db,
        key,
        kind,
        said,
        variables=variables,
        vault=vault,
        livemode=livemode_of(db, key, options.mode),
        managed_by=managed_by,
    )
    if changed:
        journal.note(db, by, "destination.defined", key, kind=kind)
    return changed


def livemode_of(db: Connection, key: str, mode: str | None) -> bool | None:
    """Whose contacts and events a destination is sent; None: those of live and of test data. Where nothing is said, of
    the only mode that there is. Raises DestinationInvalid where that is not certain.
    """
    if mode is not None:
        return None if mode == "both" else mode == "live"
    modes = {one.livemode for one in accounts.every(db)}
    if len(modes) != 1:
        there = "there are live and test data" if modes else "no account is connected yet"
        raise DestinationInvalid(problem=f"{key}: {there}, so say `mode`: live, test or both")
    return modes.pop()


def kept_secrets(destination: Stored, spec: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The secret options of a destination, for who changes the others: with their values, and, of those, the ones that
    come from variables, as they are written in its `spec`.
    """
    names = [name for name in sorted(type(destination.options).secret) if name in spec]
    values = {name: getattr(destination.options, name) for name in names}
    return values, {name: spec[name] for name in names if spec[name] != HIDDEN}


def made_secret() -> str:
    """A new secret to sign webhooks with."""
    return PREFIX + base64.b64encode(randomness.token_bytes(32)).decode()


def exists(db: Connection, key: str) -> bool:
    """Whether there is a destination of that key."""
    return any(one["key"] == key for one in stored.every(db))


def listing(db: Connection) -> list[dict[str, Any]]:
    """The destinations by key as `stored.every` shows them, with how much is `waiting` and `dead`, and their `state`:
    paused, failing or live.
    """
    counted = queue.counts(db)
    return [_with_state(one, counted) for one in stored.every(db)]


def shown(db: Connection, key: str) -> dict[str, Any]:
    """One of `listing`. Raises DestinationUnknown."""
    return _with_state(stored.shown(db, key), queue.counts(db))


def _with_state(one: dict[str, Any], counted: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    own = counted.get(one["key"], {})
    state = "paused" if one["paused_at"] else "failing" if one["failing_since"] else "live"
    return one | {"state": state, "waiting": own.get("waiting", 0), "dead": own.get("dead", 0)}


def pause(db: Connection, key: str, by: str) -> dict[str, Any]:
    """Sends it nothing from now on. Raises DestinationUnknown."""
    stored.pause(db, key, by)
    journal.note(db, by, "destination.paused", key)
    return shown(db, key)


def resume(db: Connection, key: str, by: str) -> dict[str, Any]:
    """Sends it what is due. Raises DestinationUnknown."""
    stored.resume(db, key)
    journal.note(db, by, "destination.resumed", key)
    return shown(db, key)


def replay(db: Connection, key: str, by: str, deliveries: Sequence[int] | None = None) -> int:
    """Lets dead letters be sent again, all of them where none is named; returns how many. Raises DestinationUnknown,
    and DeliveryUnknown for one that is no dead letter.
    """
    stored.shown(db, key)
    if deliveries is not None:
        known = set(db.scalars(_DEAD, {"key": key, "ids": list(deliveries)}))
        for one in deliveries:
            if one not in known:
                raise DeliveryUnknown(delivery=one, destination=key)
    count = queue.replay(db, key, deliveries)
    journal.note(db, by, "destination.replayed", key, deliveries=count)
    return count


def remove(db: Connection, key: str, by: str) -> dict[str, int]:
    """Removes a destination with what is due to it. Raises DestinationUnknown, ManagedByFile, LifecycleInvalid while
    alerts are routed to it, and ActionInvalid where actions send to it.
    """
    routes.require_unused(db, key)
    lifecycle_actions.refuse_in_use(db, key)
    found = stored.remove(db, key)
    journal.note(db, by, "destination.removed", key)
    return found


# ── the past ─────────────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def preview(
    db: Connection, destination: Stored, contact: int | None = None, limit: int = SHOWN
) -> list[dict[str, Any]]:
    """What would be sent next, exactly: each {id, type, contact, requests} or {…, written}; secrets are `…`.

    Of a contact (internal key) also how it is now, whether or not that is due. Nothing is claimed, nothing sent.
    """
    now = queue.now(db)
    with db.begin_nested() as looking:
        rows = db.execute(_NEXT, {"key": destination.key, "contact": contact, "limit": limit}).all()
        claimed = [Claimed(row.id, row.contact, row.outbox, row.attempts, row.failing_since) for row in rows]
        if contact is not None and destination.kept and not any(one.outbox is None for one in claimed):
            claimed.append(Claimed(0, contact, None, 0, None))
        due = delivery_messages.due(db, destination, claimed, now)
        looking.rollback()  # with the seconds that were kept for events
    return [_previewed(destination, one.message, now) for one in due if one.message is not None]


def _previewed(destination: Stored, message: Message, now: datetime) -> dict[str, Any]:
    kind = destination.speaks
    said: dict[str, Any] = {
        "id": message.id,
        "type": message.type,
        "contact": message.person.ref if message.person else None,
    }
    if hasattr(kind, "write"):
        [written] = cast("Writer", kind).shown(destination.options, [message], now)
        return said | {"written": written}
    exchanges = cast("Destination", kind).exchanges(destination.options, [message], now)
    return said | {"requests": [_shown(destination, one) for made in exchanges for one in made.requests]}


def _shown(destination: Stored, request: Request) -> dict[str, Any]:
    """A request without secrets; a body of JSON as such."""
    hidden = _secrets(destination)
    try:
        body: Any = msgspec.json.decode(request.body) if request.body else None
    except msgspec.DecodeError:
        body = request.body.decode(errors="replace")
    headers = {name: _without(value, hidden) for name, value in request.headers.items()}
    if "authorization" in headers:
        headers["authorization"] = HIDDEN
    return {"method": request.method, "url": _without(request.url, hidden), "headers": headers, "body": body}


def _secrets(destination: Stored) -> list[str]:
    found: list[str] = []
    for name in type(destination.options).secret:
        value: Any = getattr(destination.options, name)
        found += [value] if isinstance(value, str) else [*value.values()] if isinstance(value, Mapping) else [*value]  # pyright: ignore[reportUnknownArgumentType]
    return [one for one in found if one]


def _without(text_: str, hidden: Sequence[str]) -> str:
    for one in hidden:
        text_ = text_.replace(one, HIDDEN)
    return text_


# ── trying ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def sample(db: Connection, destination: Stored) -> Message:
    """What `test` sends: an event that says that it is a test, or, where only contacts are taken, the first of them as
    it is.
    """
    now = queue.now(db).astimezone(UTC).replace(microsecond=0)
    id_ = f"test_{randomness.token_hex(8)}"
    if destination.events or not destination.kept:
        data = {"message": f"This is a test of the destination {destination.key}."}
        return Message(0, id_, TESTED, now, data, Person("account", "tidegate-test", "Tidegate test"))
    livemode = {"live": True, "test": False}.get(stored.shown(db, destination.key)["mode"])
    for key in db.scalars(_FIRST, {"livemode": livemode}):
        claimed = [Claimed(0, key, None, 0, None)]
        for one in delivery_messages.due(db, destination, claimed, now):
            if one.message is not None and _made(destination, one.message, now):
                return one.message
    person = Person("account", "tidegate-test", "Tidegate test")
    values = dict.fromkeys(destination.kept) | {"name": person.name}
    said = {name: values[name] for name in destination.kept if name in values}
    return Message(0, id_, UPDATED, now, said, person, said)


def _made(destination: Stored, message: Message, now: datetime) -> bool:
    kind = destination.speaks
    return hasattr(kind, "write") or bool(cast("Destination", kind).exchanges(destination.options, [message], now))


def test(destination: Stored, message: Message) -> dict[str, Any]:
    """Sends a sample at once, beside everything that is due: {destination, id, type, status}.

    Raises DestinationUnreachable, DestinationRefused, AddressRefused and DestinationInvalid.
    """
    now = datetime.now(UTC)
    verdict = asyncio.run(_tried(destination, message, now))
    if verdict.kind != "delivered":
        if verdict.status is None:
            raise DestinationUnreachable(key=destination.key, problem=verdict.error)
        raise DestinationRefused(key=destination.key, problem=verdict.error)
    return {"destination": destination.key, "id": message.id, "type": message.type, "status": verdict.status}


async def _tried(destination: Stored, message: Message, now: datetime) -> Verdict:
    kind, options = destination.speaks, destination.options
    if hasattr(kind, "write"):
        return (await asyncio.to_thread(cast("Writer", kind).write, options, [message], now))[0]
    client = Client(timeout=options.timeout, allow_private=options.allow_private)
    verdict = Verdict("delivered")
    try:
        for exchange in cast("Destination", kind).exchanges(options, [message], now):
            for request in exchange.requests:
                answer = await client.send(request)
                [verdict] = cast("Destination", kind).judged(answer, [message], now)
                if verdict.kind != "delivered":
                    return verdict
    except SendFailed as error:
        return Verdict("temporary", None, str(error))
    finally:
        client.close()
    return verdict


def kinds() -> list[str]:
    """The kinds that there are."""
    return sorted(KINDS)


_DEAD = text("""
select id from tidegate.deliveries
where destination = :key and state = 'dead' and id = any(cast(:ids as bigint[]))""")

_NEXT = text("""
select id, contact, outbox, attempts, failing_since from tidegate.deliveries
where destination = :key and state = 'waiting' and (cast(:contact as bigint) is null or contact = :contact)
order by id limit :limit""")

_FIRST = text("""
select key from tidegate.contacts
where merged_into is null and forgotten_at is null and (cast(:livemode as boolean) is null or livemode = :livemode)
order by key limit 20""")

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
