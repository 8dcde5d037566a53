"""What a destination is sent, shown exactly without sending it, and tried with a sample."""

import asyncio
import secrets as randomness
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from sqlalchemy import Connection, text

from tidegate.delivery import queue, stored
from tidegate.delivery.http import Client, SendFailed
from tidegate.delivery.messages import UPDATED, Destination, Message, Person, Request, Verdict, Writer
from tidegate.delivery.queue import Claimed
from tidegate.delivery.stored import HIDDEN, Stored
from tidegate.errors import DestinationRefused, DestinationUnreachable
from tidegate.workflows.delivery import delivery_messages

TESTED = "destination.tested"
"""The type of the sample that `test` sends where events are taken."""
SHOWN = 10


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


_NEXT = text("""
select id, contact, outbox, attempts, failing_since from tidegate.deliveries
where destination = :key and state = 'waiting' and (cast(:contact as bigint) is null or contact = :contact)
order by id limit :limit""")

_FIRST = text("""
select key from tidegate.contacts c
where merged_into is null and forgotten_at is null and (cast(:livemode as boolean) is null or livemode = :livemode)
  and not exists (select from tidegate.suppressed_contacts u where u.contact = c.key)
order by key limit 20""")
