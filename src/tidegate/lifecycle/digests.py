"""Digests: what happened in a day or a week and what is coming, for each owner and for the default route; sent once.

What is stored of one has no names: alerts and contacts by number, which are looked up when it is sent.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from tidegate.delivery import suppressed_properties
from tidegate.delivery.hidden import Hidden
from tidegate.delivery.outbox import Told, tell
from tidegate.errors import LifecycleInvalid
from tidegate.lifecycle import digest_contents, digest_periods, routes
from tidegate.lifecycle.digest_periods import LENGTH, Every, Period

MADE = "digest.made"
LONGEST = timedelta(days=31)
"""How far back a digest looks after nobody worked."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who is sent digests. `key`: an owner's; empty: the default route. `asked_at`: before it none is due."""

    key: str
    every: Every
    destination: str
    asked_at: datetime
    hour: int
    zone: ZoneInfo
    livemode: bool

    @property
    def named(self) -> str:
        """As people read it."""
        return self.key or "default route"

    @property
    def said(self) -> str:
        """When it is sent, in words."""
        day = "daily" if self.every == "daily" else "Mondays"
        return f"{day} at {self.hour}:00 {self.zone.key}"

    def next_after(self, as_of: datetime) -> datetime:
        """When the next one is due."""
        return digest_periods.following(self.every, as_of, self.hour, self.zone).until


def recipients(db: Connection) -> list[Recipient]:
    """Those that asked for digests and have a destination, which an owner may have of the default route."""
    route = routes.load(db)
    found: list[Recipient] = []
    for row in db.execute(_RECIPIENTS).all():
        livemode = _livemode(db, row.livemode)
        zone = routes.zone(db, route, livemode=livemode)
        found.append(Recipient(row.key, row.digest, row.destination, row.digest_since, route.hour, zone, livemode))
    return found


def make_due(db: Connection, as_of: datetime) -> int:
    """Makes and tells the digests whose period has ended, in the caller's transaction; returns how many. After a time
    without a worker each recipient has one, of the whole time.
    """
    return sum(_make(db, one, as_of) for one in recipients(db))


def make_now(db: Connection, key: str, as_of: datetime) -> dict[str, Any]:
    """Makes and tells a recipient's digest of what happened since its last one, in the caller's transaction; the next
    that is due goes on from there. Returns it as `listing` does. Raises LifecycleInvalid for who gets none.
    """
    found = [one for one in recipients(db) if one.key == key]
    if not found:
        raise LifecycleInvalid(problem=f"{key or 'The default route'} is sent no digest.")
    [one] = found
    period = Period(f"until {as_of.astimezone(one.zone).isoformat(timespec='milliseconds')}", as_of)
    _tell(db, one, period, _since(db, one, period))
    return next(made for made in listing(db, key, 1))


def _make(db: Connection, one: Recipient, as_of: datetime) -> bool:
    period = digest_periods.last(one.every, as_of, one.hour, one.zone)
    if period.until <= one.asked_at or db.scalar(_KNOWN, {"recipient": one.key, "period": period.name}):
        return False
    since = _since(db, one, period)
    return since < period.until and _tell(db, one, period, since)


def _tell(db: Connection, one: Recipient, period: Period, since: datetime) -> bool:
    """Makes and tells one; false where another process was faster."""
    data = digest_contents.gathered(db, one.key, one.livemode, since, period.until, one.every, one.zone)
    values: dict[str, Any] = {
        "recipient": one.key, "period": period.name, "since": since, "until": period.until,
        "destination": one.destination, "data": json.dumps(data, default=str),
    }  # fmt: skip
    if not db.execute(_PUT, values).rowcount:
        return False
    tell(db, [Told(MADE, {"recipient": one.key, "period": period.name}, route=one.destination)])
    return True


def preview(db: Connection, key: str, every: Every, as_of: datetime) -> dict[str, Any]:
    """What a digest would say of the period that runs; whether or not somebody asked for one. `key` empty: default."""
    route = routes.load(db)
    asked = next((one for one in recipients(db) if one.key == key), None)
    livemode = asked.livemode if asked else _livemode(db, None)
    zone = routes.zone(db, route, livemode=livemode)
    one = Recipient(key, every, asked.destination if asked else "", as_of, route.hour, zone, livemode)
    last = digest_periods.last(every, as_of, route.hour, zone)
    since = max(last.until, _since(db, one, Period("", as_of)))
    since = last.until if since >= as_of else since
    period = digest_periods.following(every, as_of, route.hour, zone).name
    data = digest_contents.gathered(db, key, livemode, since, as_of, every, zone)
    head = {"recipient": key, "period": period, "since": since, "until": as_of, "destination": one.destination}
    return digest_contents.filled(db, head, data, suppressed_properties.hidden(db))


def of_message(db: Connection, told: dict[str, Any], hidden: Hidden) -> dict[str, Any]:
    """What is sent of a digest that was told: with names as they are now, without what is `hidden`, as fields and as
    text.
    """
    row = db.execute(_ONE, told).mappings().one_or_none()
    if row is None:
        return told
    head = {name: row[name] for name in ("recipient", "period", "since", "until", "destination")}
    return digest_contents.filled(db, head, row["data"], hidden)


def last_of(db: Connection, key: str) -> datetime | None:
    """When a recipient was last made one."""
    return db.scalar(text("select max(made_at) from tidegate.digests where recipient = :key"), {"key": key})


def listing(
    db: Connection, key: str | None = None, limit: int = 50, *, before: tuple[datetime, str] | None = None
) -> list[dict[str, Any]]:
    """Digests that were made, of one recipient or (None) of all, the newest first: {recipient, period, since, until,
    destination, made_at}. `before`: when the last one of the page before was made, and for whom.
    """
    at, than = before or (None, "")
    return [dict(row) for row in db.execute(_LISTING, {"key": key, "limit": limit, "at": at, "than": than}).mappings()]


def _since(db: Connection, one: Recipient, period: Period) -> datetime:
    """The end of the recipient's last one, where it had any; not for ever back."""
    before: datetime | None = db.scalar(_LAST, {"recipient": one.key})
    if before is None:
        return period.until - LENGTH[one.every]
    return max(before, period.until - LONGEST)


def _livemode(db: Connection, of_destination: bool | None) -> bool:
    """Whose contacts it is about: live and test data never add up."""
    if of_destination is not None:
        return of_destination
    return bool(db.scalar(text("select coalesce(bool_or(livemode), false) from tidegate.connections")))


_RECIPIENTS = text("""
select a.key, a.digest, a.digest_since, d.key as destination, d.livemode
from (
  select '' as key, digest, digest_since, destination, -1 as place from tidegate.alert_route
  union all
  select o.key, o.digest, o.digest_since,
    coalesce((select d.key from tidegate.destinations d where d.key = o.destination),
      (select r.destination from tidegate.alert_route r)), o.place from tidegate.owners o) a
join tidegate.destinations d on d.key = a.destination
where a.digest <> '' order by a.place, a.key""")

_KNOWN = text("select exists (select from tidegate.digests where recipient = :recipient and period = :period)")

_LAST = text("select max(until) from tidegate.digests where recipient = :recipient")

_PUT = text("""
insert into tidegate.digests (recipient, period, since, until, destination, data)
values (:recipient, :period, :since, :until, :destination, cast(:data as jsonb)) on conflict do nothing""")

_ONE = text("""
select recipient, period, since, until, destination, data from tidegate.digests
where recipient = :recipient and period = :period""")

_LISTING = text("""
select recipient, period, since, until, destination, made_at from tidegate.digests
where (cast(:key as text) is null or recipient = :key)
  and (cast(:at as timestamptz) is null or (made_at, recipient) < (cast(:at as timestamptz), :than))
order by made_at desc, recipient desc limit :limit""")
