"""Every version of an object that is known, oldest first: those that were kept, the current one, and what stood before
the events.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, text

from tidegate.mirror.arrivals import Arrival
from tidegate.mirror.before import before
from tidegate.stripe_api.resources.resource import Resource


class Version(NamedTuple):
    """What Stripe showed of an object: `data` is its JSON.

    `told` by an event and `read` from a list or by id hold from `at` (epoch seconds, Stripe's clock). `rebuilt` stood
    until `until`, the time of the event whose previous attributes tell of it; since when, nobody has said (`at` None).
    """

    source: Literal["told", "read", "rebuilt"]
    at: int | None
    until: int | None
    event: str
    data: dict[str, Any]


def known_versions(db: Connection, account: str, resource: Resource, object_id: str) -> list[Version]:
    """The versions of one object of a resource that keeps them; empty for one that was never seen.

    A rebuilt version is left out where the version before the event is known and says the same. Raises ValueError for
    a resource without versions.
    """
    return versions_of(db, account, resource, [object_id]).get(object_id, [])


def versions_of(
    db: Connection, account: str, resource: Resource, object_ids: Sequence[str]
) -> dict[str, list[Version]]:
    """The same of many objects at once, by their ids; those that were never seen are left out."""
    found: dict[str, list[Version]] = {}
    for object_id, kept in stored(db, account, resource, object_ids).items():
        known = found.setdefault(object_id, [])
        for one in kept:
            data = json.loads(one.body)
            if one.previous:
                stood = Version("rebuilt", None, one.at, one.event, before(data, one.previous))
                if not known or known[-1].data != stood.data:
                    known.append(stood)
            known.append(Version("told" if one.event else "read", one.at, None, one.event, data))
    return found


class Stored(NamedTuple):
    """A version as it is stored: `event` empty where it was read; `previous` is the event's previous attributes."""

    at: int
    event: str
    previous: dict[str, Any] | None
    body: str


def stored(db: Connection, account: str, resource: Resource, object_ids: Sequence[str]) -> dict[str, list[Stored]]:
    """The versions of objects by their ids, oldest first, undecoded and without those that events let rebuild."""
    if not resource.versions:
        raise ValueError(f"{resource.name} keep no versions")
    rows = db.execute(
        text(f"""
select object_id, extract(epoch from at)::bigint as at, event, previous, data::text from tidegate.versions
where connection = :connection and resource = :resource and object_id = any(cast(:ids as text[]))
union all
select t.id, extract(epoch from coalesce(t.told_at, t.updated_at))::bigint, '', null, t.data::text
from stripe.{resource.table} t
where t.connection = :connection and t.id = any(cast(:ids as text[])) and not exists (
  select from tidegate.versions v where v.connection = t.connection and v.resource = :resource and v.object_id = t.id
  and v.at = coalesce(t.told_at, t.updated_at) and v.data = t.data)
order by 1, 2, 3"""),
        {"connection": account, "resource": resource.name, "ids": list(object_ids)},
    )
    found: dict[str, list[Stored]] = {}
    for object_id, at, event, previous, body in rows:
        found.setdefault(object_id, []).append(Stored(at, event, previous, body))
    return found


def followed(db: Connection, account: str, resource: Resource, arrival: Arrival) -> bool:
    """Whether an event of the same second that is kept changed just what this version of an object tells."""
    if not resource.versions:
        return False
    rows = db.execute(
        text("""
select previous, data from tidegate.versions
where connection = :connection and resource = :resource and object_id = :id and at = to_timestamp(:at)
  and event <> :event and previous is not null"""),
        {
            "connection": account,
            "resource": resource.name,
            "id": arrival.id,
            "at": arrival.at,
            "event": arrival.event,
        },
    )
    body = json.loads(arrival.body)
    return any(before(data, previous) == body for previous, data in rows)
