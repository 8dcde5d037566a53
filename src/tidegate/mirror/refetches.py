"""The queue of objects to look at in Stripe again: what an event could not tell whole, what is named but missing."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, text

from tidegate.stripe_api.resources.resource import Resource


class Ask(NamedTuple):
    """An object to fetch, why, and the time (epoch seconds) of the newest version heard of, if any."""

    object_id: str
    reason: str
    known_at: int | None = None


class Claimed(NamedTuple):
    """An object to fetch now; `known_at` (epoch seconds): what is read from here on is no older than this."""

    resource: str
    object_id: str
    reason: str
    asked_at: datetime
    attempts: int
    known_at: int


def ask(connection: Connection, account: str, resource: Resource, asks: Sequence[Ask]) -> None:
    """Queues objects; one that waits already is asked for anew, so that a fetch under way does not count for it."""
    if not asks:
        return
    connection.execute(
        text("""
insert into tidegate.refetches (connection, resource, object_id, reason, known_at)
select :connection, :resource, o.id, o.reason, to_timestamp(o.known)
from unnest(cast(:ids as text[]), cast(:reasons as text[]), cast(:known as bigint[])) as o(id, reason, known)
order by o.id
on conflict (connection, resource, object_id) do update set reason = excluded.reason, asked_at = clock_timestamp(),
  known_at = greatest(refetches.known_at, excluded.known_at), next_try_at = now(), attempts = 0"""),
        {
            "connection": account,
            "resource": resource.name,
            "ids": [one.object_id for one in asks],
            "reasons": [one.reason for one in asks],
            "known": [one.known_at for one in asks],
        },
    )


def due(connection: Connection, account: str, limit: int) -> list[Claimed]:
    """Objects whose turn has come, oldest first, locked for this transaction; others skip them."""
    rows = connection.execute(
        text("""
select resource, object_id, reason, asked_at, attempts, coalesce(extract(epoch from known_at)::bigint, 0) as known_at
from tidegate.refetches where connection = :connection and next_try_at <= now()
order by next_try_at limit :limit for update skip locked"""),
        {"connection": account, "limit": limit},
    )
    return [Claimed(**row) for row in rows.mappings()]


def lease(connection: Connection, account: str, claimed: Sequence[Claimed], seconds: int) -> None:
    """Keeps others from the claimed objects for a while; a process that dies gives them back by not returning."""
    for one in claimed:
        connection.execute(
            text("""
update tidegate.refetches set next_try_at = now() + make_interval(secs => :seconds)
where connection = :connection and resource = :resource and object_id = :id"""),
            {"seconds": seconds, "connection": account, "resource": one.resource, "id": one.object_id},
        )


def done(connection: Connection, account: str, one: Claimed) -> None:
    """Takes an object off the queue, unless it was asked for again meanwhile."""
    connection.execute(
        text("""
delete from tidegate.refetches
where connection = :connection and resource = :resource and object_id = :id and asked_at = :asked_at"""),
        {"connection": account, "resource": one.resource, "id": one.object_id, "asked_at": one.asked_at},
    )


def failed(connection: Connection, account: str, one: Claimed, problem: str) -> None:
    """Puts an object back with its error, to be tried again after 2, 4, 8 … up to 3600 seconds."""
    connection.execute(
        text("""
update tidegate.refetches set attempts = attempts + 1, error = :problem,
  next_try_at = now() + make_interval(secs => least(3600, power(2, attempts + 1)))
where connection = :connection and resource = :resource and object_id = :id"""),
        {"connection": account, "resource": one.resource, "id": one.object_id, "problem": problem},
    )
