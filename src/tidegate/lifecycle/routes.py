"""Where alerts go: to the destination of the contact's owner, else to the default route, if there is one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection, text

from tidegate.delivery import stored
from tidegate.errors import LifecycleInvalid
from tidegate.revenue.editions import FALLBACK

Digest = Literal["", "daily", "weekly"]
TAKING = ("apprise", "files", "webhook")
"""Kinds of destinations that can be sent an alert; the others take events or properties of persons."""


@dataclass(frozen=True, slots=True)
class Route:
    """The default route. `destination` empty: there is none. `hour` (0 to 23) and `time_zone` are those of all
    digests; without a time zone their days are the connection's, as those of revenue are (`zone`).
    """

    destination: str = ""
    digest: Digest = ""
    hour: int = 8
    time_zone: str = ""

    def as_json(self) -> dict[str, Any]:
        """As the API, the file and `--json` have it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def load(db: Connection) -> Route:
    """The default route as it is."""
    row = db.execute(_LOAD).one_or_none()
    return Route() if row is None else Route(row.destination, row.digest, row.hour, row.time_zone)


def zone(db: Connection, route: Route, *, livemode: bool) -> ZoneInfo:
    """The time zone of digests about contacts of this mode: the route's, else that of the first connection's ledger."""
    return ZoneInfo(route.time_zone or db.scalar(_ZONE, {"livemode": livemode}) or FALLBACK)


def managed_by(db: Connection) -> str:
    """Who wrote it: `file`, or "" for anybody."""
    return db.scalar(text("select managed_by from tidegate.alert_route")) or ""


def put(db: Connection, route: Route, managed_by: str = "") -> None:
    """Makes this the default route. Raises LifecycleInvalid, and DestinationUnknown for a destination that is none."""
    require_taking(db, route.destination)
    if route.digest not in ("", "daily", "weekly"):
        raise LifecycleInvalid(problem=f"A digest is daily or weekly, not {route.digest!r}; empty: none is sent.")
    if route.digest and not route.destination:
        raise LifecycleInvalid(problem="A digest of the default route needs its `destination`.")
    if not 0 <= route.hour <= 23:
        raise LifecycleInvalid(problem=f"The hour of digests is 0 to 23, not {route.hour}.")
    try:
        ZoneInfo(route.time_zone or FALLBACK)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problem = f"There is no time zone {route.time_zone!r}; it is named like Europe/Paris."
        raise LifecycleInvalid(problem=problem) from None
    db.execute(_PUT, route.as_json() | {"managed_by": managed_by})


def require_taking(db: Connection, destination: str) -> None:
    """Raises DestinationUnknown for one that is none, and LifecycleInvalid for one that takes no alerts; empty is
    none.
    """
    if destination and (kind := stored.shown(db, destination)["kind"]) not in TAKING:
        problem = f"The destination {destination} is of the kind {kind}, which takes no alerts. {', '.join(TAKING)} do."
        raise LifecycleInvalid(problem=problem)


def of_contacts(db: Connection, contacts: Sequence[int]) -> Mapping[int, str]:
    """By contact (internal key) the destination of its alerts; those that nobody is told of are left out."""
    found = db.execute(_OF_CONTACTS, {"contacts": list(contacts)}) if contacts else ()
    return {row.key: row.destination for row in found}


def users(db: Connection, destination: str) -> list[str]:
    """Who is sent alerts by a destination, in words: the default route, owners."""
    return list(db.scalars(_USERS, {"destination": destination}))


def require_unused(db: Connection, destination: str) -> None:
    """Raises LifecycleInvalid while alerts are routed to a destination: removed, it would swallow them."""
    if named := users(db, destination):
        problem = f"Alerts go to {destination} by {', '.join(named)}; name another destination there first."
        raise LifecycleInvalid(problem=problem)


_ZONE = text("""
select g.time_zone from tidegate.connections n
join tidegate.ledgers g on g.connection = n.name and g.adopted_at is not null and g.retired_at is null
where n.livemode = :livemode and g.time_zone <> '' order by n.name limit 1""")

_LOAD = text("select destination, digest, hour, time_zone from tidegate.alert_route")

_PUT = text("""
insert into tidegate.alert_route as r (destination, digest, hour, time_zone, managed_by, digest_since)
values (:destination, :digest, :hour, :time_zone, :managed_by,
  case when :digest <> '' then clock_timestamp() end)
on conflict (alone) do update set destination = excluded.destination, digest = excluded.digest, hour = excluded.hour,
  time_zone = excluded.time_zone, managed_by = excluded.managed_by,
  digest_since = case when excluded.digest <> '' then coalesce(r.digest_since, excluded.digest_since) end""")

# A destination of live data is sent nothing of test data, nor the other way round.
_OF_CONTACTS = text("""
select c.key, coalesce(d.key, r.key) as destination
from tidegate.contacts c
left join tidegate.owners o on o.key = c.owner
left join tidegate.destinations d on d.key = o.destination and (d.livemode is null or d.livemode = c.livemode)
left join lateral (
  select e.key from tidegate.alert_route a join tidegate.destinations e on e.key = a.destination
  where e.livemode is null or e.livemode = c.livemode) r on true
where c.key = any(cast(:contacts as bigint[])) and coalesce(d.key, r.key) is not null
  and not exists (select from tidegate.suppressed_contacts u where u.contact = c.key)""")

_USERS = text("""
select 'the default route' from tidegate.alert_route where destination = :destination
union all
(select 'the owner ' || key from tidegate.owners where destination = :destination order by key)""")
