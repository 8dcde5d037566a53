"""Every version of an object that is known, oldest first: those that were kept, the current one, and what stood before
the events.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, TextClause, text

from tidegate.mirror.arrivals import Arrival
from tidegate.mirror.before import before
from tidegate.store.driver import rows
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
    """The versions of objects by their ids, oldest first, undecoded and without those that events let rebuild.

    Events of one second follow each other as they changed the object; what is current comes last of its second.
    """
    if not resource.versions:
        raise ValueError(f"{resource.name} keep no versions")
    found: dict[str, list[Stored]] = {}
    for object_id, at, _, event, previous, body in rows(
        db,
        _stored(resource),
        {"connection": account, "resource": resource.name, "ids": list(object_ids)},
    ):
        found.setdefault(object_id, []).append(Stored(at, event, previous, body))
    return {object_id: in_order(kept) for object_id, kept in found.items()}


@cache
def _stored(resource: Resource) -> TextClause:
    return text(f"""
select object_id, extract(epoch from at)::bigint as at, 0 as current, event, previous, data::text from tidegate.versions
where connection = :connection and resource = :resource and object_id = any(cast(:ids as text[]))
union all
select t.id, extract(epoch from coalesce(t.told_at, t.updated_at))::bigint, 1, '', null, t.data::text
from stripe.{resource.table} t
where t.connection = :connection and t.id = any(cast(:ids as text[])) and not exists (
  select from tidegate.versions v where v.connection = t.connection and v.resource = :resource and v.object_id = t.id
  and v.at = coalesce(t.told_at, t.updated_at) and v.data = t.data)
order by 1, 2, 3, 4""")


def in_order(kept: Sequence[Stored]) -> list[Stored]:
    """Versions in order of time; those of one second each after the one whose state its event says it changed."""
    found: list[Stored] = []
    for _, those in groupby(kept, key=lambda one: one.at):
        same = list(those)
        found += same if len(same) == 1 else _chained(found[-1] if found else None, same)
    return found


def _chained(last: Stored | None, same: Sequence[Stored]) -> list[Stored]:
    states = {id(one): _canonical(json.loads(one.body)) for one in same}
    stood = {
        id(one): _canonical(before(json.loads(one.body), one.previous)) if one.previous is not None else None
        for one in same
    }
    state = _canonical(json.loads(last.body)) if last else ""
    left, found = list(same), list[Stored]()
    while left:
        told = {states[id(one)] for one in left}
        following = (one for one in left if stood[id(one)] is not None and stood[id(one)] == state)
        first = (one for one in left if stood[id(one)] not in told)
        one = next(following, None) or next(first, left[0])
        left = [other for other in left if other is not one]
        found.append(one)
        state = states[id(one)]
    return found


def _canonical(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True)


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
