"""Customers that were forgotten: what comes in of them is redacted before it is stored, or compared."""

import re
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, text

from tidegate.mirror.arrivals import Arrival, Lost
from tidegate.mirror.redaction import redacted, redacted_event
from tidegate.stripe_api.resources.resource import Resource
from tidegate.stripe_api.shapes.read import Reading, read

CUSTOMER_ID = re.compile(r"\bcus_[A-Za-z0-9]+")
HIDDEN = "it belongs to a customer that was forgotten and cannot be redacted, so it was dropped"

BY_CHARGE = frozenset({"refunds", "disputes"})
"""Resources that name no customer: they are of whoever was charged."""


def redact(
    db: Connection, account: str, resource: Resource, arrivals: Sequence[Arrival], lost: Sequence[Lost]
) -> tuple[Sequence[Arrival], Sequence[Lost]]:
    """The same versions, those of forgotten customers without personal data; one query where nobody is forgotten.

    What cannot be redacted is lost, without its body.
    """
    if not (arrivals or lost) or not any_forgotten(db, account):
        return arrivals, lost
    theirs = _theirs(db, account, resource, arrivals)
    kept: list[Arrival] = []
    hidden = [_hidden(db, account, one) for one in lost]
    for arrival in arrivals:
        if arrival.id not in theirs:
            kept.append(arrival)
            continue
        clean = _redacted(resource, arrival)
        if clean is None:
            hidden.append(Lost(arrival.id, "", HIDDEN))
        else:
            kept.append(clean)
    return kept, hidden


def any_forgotten(db: Connection, account: str) -> bool:
    """Whether the connection has a customer that was forgotten."""
    return bool(db.scalar(_ANY, {"connection": account}))


def outlast(db: Connection, connections: Sequence[str]) -> None:
    """Keeps whom to redact, as ids of Stripe's, though these connections are about to be purged."""
    db.execute(_OUTLAST, {"connections": list(connections)})


def recall(db: Connection, connection: str) -> None:
    """Lets a connection, which may be new, redact whom its Stripe account was to forget under any connection."""
    db.execute(_RECALL, {"connection": connection})


def among(db: Connection, account: str, customers: Sequence[str]) -> set[str]:
    """Those of the customers (Stripe ids) that were forgotten."""
    return set(db.scalars(_AMONG, {"connection": account, "ids": list(customers)})) if customers else set()


def redact_inbox(db: Connection, account: str, events: Sequence[tuple[str, str]]) -> int:
    """Redacts the stored bodies of those events (id, body) that tell of a forgotten customer; returns how many."""
    if not events or not any_forgotten(db, account):
        return 0
    named = {event: set(CUSTOMER_ID.findall(body)) for event, body in events}
    gone = among(db, account, sorted(set[str]().union(*named.values())))
    bodies = {event: clean_event(body) for event, body in events if named[event] & gone}
    for event, body in bodies.items():
        db.execute(_PUT_BODY, {"connection": account, "event": event, "body": body})
    return len(bodies)


def clean_event(body: str) -> str:
    """An event's body without personal data; of one that cannot be read nothing stays."""
    try:
        return redacted_event(body)
    except (ValueError, RecursionError):
        return "{}"


def _theirs(db: Connection, account: str, resource: Resource, arrivals: Sequence[Arrival]) -> set[str]:
    """The ids of those objects that belong to forgotten customers, as they say or as the mirror has known."""
    values = {
        "connection": account,
        "ids": [one.id for one in arrivals],
        "owners": [owner(resource, one.reading) for one in arrivals],
        "charges": [_value(resource, one.reading, "charge") for one in arrivals],
    }
    return set(db.scalars(_BY_OWNER, values | {"table": resource.table, "by_charge": resource.name in BY_CHARGE})) | (
        set(db.scalars(_BY_STORED, values)) if resource.name == "payment_methods" else set()
    )


def owner(resource: Resource, reading: Reading) -> str | None:
    """The customer that an object is, or names."""
    if resource.name == "customers":
        return reading.id
    at = next((n for n, column in enumerate(resource.columns) if column.refers_to == "customers"), None)
    return reading.values[at] if at is not None else None


def _value(resource: Resource, reading: Reading, name: str) -> str | None:
    at = next((n for n, column in enumerate(resource.columns) if column.name == name), None)
    return reading.values[at] if at is not None else None


def _redacted(resource: Resource, arrival: Arrival) -> Arrival | None:
    try:
        body = redacted(arrival.body)
        previous = None if arrival.previous is None else redacted(arrival.previous)
    except (ValueError, RecursionError):
        return None
    reading = read(resource, body.encode())
    return replace(arrival, reading=reading, body=body, previous=previous) if isinstance(reading, Reading) else None


def _hidden(db: Connection, account: str, lost: Lost) -> Lost:
    """A lost object without its body, where that names a forgotten customer."""
    if lost.body is None or not among(db, account, CUSTOMER_ID.findall(lost.body)):
        return lost
    return replace(lost, body=None)


_ANY = text("select exists(select from tidegate.forgotten where connection = :connection)")

_OUTLAST = text("""
insert into tidegate.forgotten (connection, customer, account, at)
select '', customer, account, at from tidegate.forgotten where connection = any(cast(:connections as text[]))
on conflict do nothing""")

_RECALL = text("""
insert into tidegate.forgotten (connection, customer, account, at)
select c.name, f.customer, f.account, f.at from tidegate.connections c
join tidegate.forgotten f on f.account = c.account where c.name = :connection
on conflict do nothing""")

_AMONG = text("""
select customer from tidegate.forgotten
where connection = :connection and customer = any(cast(:ids as text[]))""")

_BY_OWNER = text("""
select o.id
from unnest(cast(:ids as text[]), cast(:owners as text[]), cast(:charges as text[])) as o(id, owner, charge)
left join stripe.charges c on :by_charge and c.connection = :connection and c.id = o.charge
join tidegate.forgotten f on f.connection = :connection and f.customer = coalesce(o.owner, c.customer)""")

# A payment method that was detached names nobody any more.
_BY_STORED = text("""
select o.id from unnest(cast(:ids as text[])) as o(id)
join stripe.payment_methods m on m.connection = :connection and m.id = o.id
join tidegate.forgotten f on f.connection = :connection and f.customer = m.customer""")

_PUT_BODY = text("""
update tidegate.inbox set body = :body where connection = :connection and event_id = :event""")
