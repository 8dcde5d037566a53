"""The queue of objects to look at in Stripe again: what an event could not tell whole, what is named but missing.

What others name, Stripe does not know and the mirror never had stays in it, put off for ever (`next_try_at` infinity),
so that it is not asked for each time it is named. What else is heard of such an object, or a sweep, has it looked at.
"""

from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.mirror.sightings import known_at
from tidegate.stripe_api.resources.resource import Resource

FAILING = 3
"""An object that could not be fetched so many times in a row is said to fail."""
OF_PARENT = "of_parent"
"""Why objects are asked for that nobody can name: `object_id` is then what they belong to (`Resource.listed_by`)."""


_LATER = "refetches"
"""Where a connection of the database has what is written at the end."""


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


@dataclass(slots=True)
class Later:
    """What a transaction asks for, and has looked at anew, by resource and object; written when all else is."""

    asks: dict[tuple[str, str], Ask] = field(default_factory=dict[tuple[str, str], Ask])
    overtaken: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    held: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def hold(self, resource: str, object_id: str) -> None:
        """Locks one that waits, together with the others."""
        self.held.add((resource, object_id))

    def ask(self, resource: str, asks: Sequence[Ask]) -> None:
        """Adds to what is asked for. What more is asked for than because it is named stays so."""
        for one in asks:
            before = self.asks.get((resource, one.object_id), one)
            reason = before.reason if one.reason == "referenced" else one.reason
            known = max(before.known_at or 0, one.known_at or 0) or None
            self.asks[resource, one.object_id] = Ask(one.object_id, reason, known)


@contextmanager
def at_the_end(connection: Connection, account: str) -> Generator[Later]:
    """What is asked for and overtaken within the block is written at its end, in one order.

    So every transaction takes rows of objects first and rows of this queue last: of two that took them resource by
    resource one could hold an object that the other wants, and want a row of the queue that the other holds.
    """
    info = connection.info
    if _LATER in info:
        yield info[_LATER]
        return
    later = info[_LATER] = Later()
    try:
        yield later
    finally:
        del info[_LATER]
    rows = sorted({*later.asks, *later.held, *((name, id_) for name, ids in later.overtaken.items() for id_ in ids)})
    hold(connection, account, rows)
    for name, ids in sorted(later.overtaken.items()):
        _overtake(connection, account, name, sorted(ids))
    _ask(connection, account, list(later.asks.items()))


def hold(connection: Connection, account: str, rows: Collection[tuple[str, str]]) -> None:
    """Locks those of the objects (resource, id) that wait, in the order in which everybody does."""
    if rows:
        resources, ids = zip(*rows, strict=True)
        connection.execute(_HOLD, {"connection": account, "resources": list(resources), "ids": list(ids)})


def ask(connection: Connection, account: str, resource: Resource, asks: Sequence[Ask]) -> None:
    """Queues objects; one that waits already is asked for anew, so that a fetch under way does not count for it. One
    that is known to be gone is not asked for because it is named.
    """
    later: Later | None = connection.info.get(_LATER)
    if later is not None:
        later.ask(resource.name, asks)
    else:
        _ask(connection, account, [((resource.name, one.object_id), one) for one in asks])


def _ask(connection: Connection, account: str, asks: Sequence[tuple[tuple[str, str], Ask]]) -> None:
    if asks:
        said = {
            "resources": [resource for (resource, _), _ in asks],
            "ids": [one.object_id for _, one in asks],
            "reasons": [one.reason for _, one in asks],
            "known": [one.known_at for _, one in asks],
        }
        connection.execute(_ASK, {"connection": account, **said})


def overtake(connection: Connection, account: str, resource: Resource, ids: Sequence[str]) -> None:
    """Has those of the objects that wait looked at anew: what came of them may be newer than a look under way shows.

    Within one second the two cannot be told apart by their times.
    """
    later: Later | None = connection.info.get(_LATER)
    if later is not None:
        later.overtaken.setdefault(resource.name, set()).update(ids)
    else:
        _overtake(connection, account, resource.name, ids)


def _overtake(connection: Connection, account: str, resource: str, ids: Sequence[str]) -> None:
    if ids:
        connection.execute(_OVERTAKE, {"connection": account, "resource": resource, "ids": list(ids)})


def unanswered(connection: Connection, account: str, resource: Resource, asks: Sequence[Ask]) -> list[Ask]:
    """Those asks that no look at Stripe since has answered: one per object, the one that knows the newest version.

    What was read later than an event happened already shows what the event could not tell; without this, reading the
    events of 30 days after an import would fetch everything once more.
    """
    newest: dict[str, Ask] = {}
    for one in asks:
        known = newest.get(one.object_id)
        if known is None or (one.known_at or 0) > (known.known_at or 0):
            newest[one.object_id] = one
    if not newest:
        return []
    answered = connection.scalars(
        text(f"""
select t.id from stripe.{resource.table} t
join unnest(cast(:ids as text[]), cast(:known as bigint[])) as o(id, known) on o.id = t.id
where t.connection = :connection and {known_at(resource.name)} > to_timestamp(o.known)
  and (t.certainty > 0 or t.deleted_at is not null)"""),
        {"connection": account, "ids": list(newest), "known": [one.known_at or 0 for one in newest.values()]},
    ).all()
    return [one for one in newest.values() if one.object_id not in set(answered)]


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


def any_due(connection: Connection, account: str) -> bool:
    """Whether there is an object whose turn has come."""
    return bool(
        connection.scalar(
            text("select exists (select from tidegate.refetches where connection = :c and next_try_at <= now())"),
            {"c": account},
        )
    )


def lease(connection: Connection, account: str, claimed: Sequence[Claimed], seconds: int) -> None:
    """Keeps others from the claimed objects for a while; a process that dies gives them back by not returning."""
    connection.execute(
        text("""
update tidegate.refetches r set next_try_at = now() + make_interval(secs => :seconds)
from unnest(cast(:resources as text[]), cast(:ids as text[])) as o(resource, id)
where r.connection = :connection and r.resource = o.resource and r.object_id = o.id"""),
        {
            "seconds": seconds,
            "connection": account,
            "resources": [one.resource for one in claimed],
            "ids": [one.object_id for one in claimed],
        },
    )


def give_back(connection: Connection, account: str, one: Claimed) -> None:
    """Ends the lease of an object that was not looked at: its turn is now."""
    connection.execute(
        text("""
update tidegate.refetches set next_try_at = now()
where connection = :connection and resource = :resource and object_id = :id and asked_at = :asked_at"""),
        {"connection": account, "resource": one.resource, "id": one.object_id, "asked_at": one.asked_at},
    )


def done(connection: Connection, account: str, one: Claimed) -> bool:
    """Takes an object off the queue; false when it was asked for again meanwhile, or another process has read it."""
    return bool(
        connection.execute(
            text("""
delete from tidegate.refetches
where connection = :connection and resource = :resource and object_id = :id and asked_at = :asked_at"""),
            {"connection": account, "resource": one.resource, "id": one.object_id, "asked_at": one.asked_at},
        ).rowcount
    )


def gone(connection: Connection, account: str, one: Claimed) -> bool:
    """Puts off for ever an object that Stripe does not know and the mirror never had; false as of `done`."""
    return bool(
        connection.execute(
            text("""
update tidegate.refetches set next_try_at = 'infinity', attempts = 0, error = ''
where connection = :connection and resource = :resource and object_id = :id and asked_at = :asked_at"""),
            {"connection": account, "resource": one.resource, "id": one.object_id, "asked_at": one.asked_at},
        ).rowcount
    )


def forget_gone(connection: Connection, account: str, resource: Resource) -> None:
    """Forgets which objects of a resource are gone, so that they are asked for once more when they are named."""
    connection.execute(
        text("""
delete from tidegate.refetches
where connection = :connection and resource = :resource and next_try_at = 'infinity'"""),
        {"connection": account, "resource": resource.name},
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


def summary(connection: Connection, account: str) -> dict[str, Any]:
    """How many objects wait to be looked at, how many of them failed before and the last error, and for how many
    seconds the first has been due; without what is gone.
    """
    row = (
        connection.execute(
            text("""
select count(*) as waiting, count(*) filter (where attempts >= :often) as failing,
  min(asked_at) filter (where attempts >= :often) as failing_since,
  coalesce(max(error) filter (where attempts >= :often), '') as error,
  greatest(0, coalesce(extract(epoch from now() - min(next_try_at)), 0))::int as overdue_seconds
from tidegate.refetches where connection = :connection and next_try_at < 'infinity'"""),
            {"connection": account, "often": FAILING},
        )
        .mappings()
        .one()
    )
    return dict(row)


_HOLD = text("""
select from tidegate.refetches r
join unnest(cast(:resources as text[]), cast(:ids as text[])) as o(resource, id)
  on r.resource = o.resource and r.object_id = o.id
where r.connection = :connection order by r.resource, r.object_id for update of r""")

_ASK = text("""
insert into tidegate.refetches (connection, resource, object_id, reason, known_at)
select :connection, o.resource, o.id, o.reason, to_timestamp(o.known)
from unnest(cast(:resources as text[]), cast(:ids as text[]), cast(:reasons as text[]), cast(:known as bigint[]))
  as o(resource, id, reason, known)
order by o.resource, o.id
on conflict (connection, resource, object_id) do update set reason = excluded.reason, asked_at = clock_timestamp(),
  known_at = greatest(refetches.known_at, excluded.known_at), next_try_at = now(), attempts = 0
  where refetches.next_try_at < 'infinity' or excluded.reason <> 'referenced'""")

_OVERTAKE = text("""
update tidegate.refetches r set asked_at = clock_timestamp(), next_try_at = least(r.next_try_at, now())
from (select object_id from tidegate.refetches
      where connection = :connection and resource = :resource and object_id = any(:ids)
      order by object_id for update) o
where r.connection = :connection and r.resource = :resource and r.object_id = o.object_id""")
