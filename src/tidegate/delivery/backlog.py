"""What waits for destinations, what they refused and what they took, as people look at it."""

from typing import Any

from sqlalchemy import Connection, text

LATE = 50_000
"""Deliveries among which what was taken of late is looked for."""


def counts(db: Connection) -> dict[str, dict[str, Any]]:
    """By destination {destination, waiting, dead}: how many of each."""
    return {row["destination"]: dict(row) for row in db.execute(_COUNTS).mappings()}


def dead(db: Connection, destination: str, *, after: int = 0, limit: int | None = 50) -> list[dict[str, Any]]:
    """Dead letters, oldest first: {delivery, outbox, type, contact, status, error, attempts, at, died_at, data}."""
    values = {"destination": destination, "after": after, "limit": limit}
    return [dict(row) for row in db.execute(_DEAD, values).mappings()]


def failing(db: Connection, destination: str, limit: int = 50) -> list[dict[str, Any]]:
    """What failed and will be tried again, oldest first: as `dead`, with `next_try_at` and `failing_since`."""
    values = {"destination": destination, "limit": limit}
    return [dict(row) for row in db.execute(_FAILING, values).mappings()]


def waiting(
    db: Connection, destination: str, *, failing: bool = False, after: int = 0, limit: int | None = 50
) -> list[dict[str, Any]]:
    """What is still to be sent, oldest first, as `dead`, with `next_try_at` and `failing_since`: all of it, or what
    failed. `after`: the delivery that ended the page before; `limit` None: all.
    """
    values = {"destination": destination, "failing": failing, "after": after, "limit": limit}
    return [dict(row) for row in db.execute(_WAITING, values).mappings()]


def late(db: Connection) -> dict[str, dict[str, Any]]:
    """By destination {destination, delivered, since}: how much `delivered` tells of, and when the oldest was taken."""
    return {row["destination"]: dict(row) for row in db.execute(_OF_LATE, {"late": LATE}).mappings()}


def delivered(
    db: Connection, destination: str, *, before: int | None = None, limit: int | None = 20
) -> list[dict[str, Any]]:
    """What was taken of late, newest first: as `dead`. Only the newest `LATE` deliveries of all are looked at, and how
    a contact is, once it was taken, is none any more. `before`: the delivery that ended the page before.
    """
    values = {"destination": destination, "before": before, "limit": limit, "late": LATE}
    return [dict(row) for row in db.execute(_DELIVERED, values).mappings()]


_COUNTS = text("""
select destination, count(*) filter (where state = 'waiting') as waiting, count(*) filter (where state = 'dead') as dead
from tidegate.deliveries where state in ('waiting', 'dead') group by 1""")

_LOOKED_AT = """
select d.id as delivery, d.outbox, coalesce(o.type, 'contact.updated') as type,
  k.kind || ':' || k.external_id as contact, d.status, d.error, d.attempts, o.at, d.done_at as died_at, o.data,
  d.next_try_at, d.failing_since
from tidegate.deliveries d
left join tidegate.outbox o on o.id = d.outbox left join tidegate.contacts k on k.key = d.contact"""

_DEAD = text(f"""{_LOOKED_AT}
where d.destination = :destination and d.state = 'dead' and d.id > :after order by d.id limit cast(:limit as bigint)""")

_WAITING = text(f"""{_LOOKED_AT}
where d.destination = :destination and d.state = 'waiting' and (not :failing or d.attempts > 0) and d.id > :after
order by d.id limit cast(:limit as bigint)""")

_FAILING = text(f"""{_LOOKED_AT}
where d.destination = :destination and d.state = 'waiting' and d.attempts > 0 order by d.id limit :limit""")

_TAKEN = "d.state = 'delivered' and d.id > (select coalesce(max(id), 0) - :late from tidegate.deliveries)"

_OF_LATE = text(f"""
select d.destination, count(*) as delivered, min(d.done_at) as since from tidegate.deliveries d
where {_TAKEN} group by 1""")

_DELIVERED = text(f"""{_LOOKED_AT}
where d.destination = :destination and {_TAKEN} and (cast(:before as bigint) is null or d.id < :before)
order by d.id desc limit cast(:limit as bigint)""")
