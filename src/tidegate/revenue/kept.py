"""Reports that took long, kept as they were told until they are told anew: what, as of when, and who wants it yet.

Names of people may be in them: who forgets somebody drops what all of them told, and waits for those that are being
read. What was asked for stays, so that a worker reads it before the next one looks.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

AGAIN = 60.0
"""Seconds after which one that is looked at is read anew, at the earliest."""
SHARE = 20
"""What is looked at all the time is read anew for a twentieth of the time, at most."""
UNSEEN = 3_600.0
"""Seconds after which one that nobody looked at meanwhile is read anew, so that the next one finds it fresh."""
LASTING = 86_400.0
"""Seconds after which one is too old to be shown: no worker can be there."""
WANTED_DAYS = 7
"""One that nobody looked at for so long is let go."""


class Kept(NamedTuple):
    """What a report told, as JSON has it; `as_of` UTC. `read`: a worker has come to read it."""

    told: Any
    as_of: datetime
    read: bool


class Due(NamedTuple):
    """A report that is to be read anew, as of what it is kept now."""

    name: str
    asked: Mapping[str, Any]


def find(db: Connection, name: str, asked: Mapping[str, Any]) -> Kept | None:
    """What is kept, if it is not too old; and whether it is still to be read (`leave`)."""
    row = db.execute(_FIND, _key(name, asked) | {"lasting": LASTING}).first()
    return None if row is None else Kept(row.told, row.as_of, row.read)


def want(db: Connection, name: str, asked: Mapping[str, Any]) -> None:
    """Somebody looks at it. Nothing is written where that is known, or where somebody else just says so."""
    db.execute(_WANT, _key(name, asked))


def keep(db: Connection, name: str, asked: Mapping[str, Any], told: Any, as_of: datetime, seconds: float) -> None:
    """Keeps what a report told, which took so many seconds. In the transaction that read it (`alone`)."""
    db.execute(_KEEP, _key(name, asked) | {"told": json.dumps(told), "as_of": as_of, "seconds": seconds})


def leave(db: Connection, name: str, asked: Mapping[str, Any]) -> None:
    """Leaves it to a worker, as reading it takes too long here. Nothing is kept of it until then."""
    db.execute(_LEAVE, _key(name, asked))


def exists(db: Connection, name: str, asked: Mapping[str, Any]) -> bool:
    """Whether it is still kept, or left."""
    return bool(db.scalar(_EXISTS, _key(name, asked)))


def let_go(db: Connection, name: str, asked: Mapping[str, Any]) -> None:
    """Keeps it no longer."""
    db.execute(_LET_GO, _key(name, asked))


def of_ledgers(db: Connection) -> list[Due]:
    """Those that are about an edition of a ledger."""
    return [Due(row.name, row.asked) for row in db.execute(_OF_LEDGERS)]


def follow(db: Connection, one: Due, asked: Mapping[str, Any]) -> None:
    """In the place of one, the same that is about something else: a worker reads it, unless a page comes first."""
    db.execute(_FOLLOW, _key(one.name, one.asked) | {"now": json.dumps(asked)})
    let_go(db, one.name, one.asked)


def due(db: Connection) -> list[Due]:
    """What is to be read anew, the longest ago first; what nobody wants any more is let go."""
    db.execute(_UNWANTED, {"days": WANTED_DAYS})
    rows = db.execute(_DUE, {"again": AGAIN, "share": SHARE, "unseen": UNSEEN})
    return [Due(row.name, row.asked) for row in rows]


def alone(db: Connection, name: str, asked: Mapping[str, Any], *, wait: bool) -> bool:
    """Whether nobody else reads this report while the transaction lasts; with `wait` whoever does is waited for."""
    db.execute(_READING)
    what = f"{name} {json.dumps(asked, sort_keys=True)}"
    return bool(db.scalar(_WAIT if wait else _TRY, {"what": what}))


def drop(db: Connection) -> None:
    """Lets go what they told, those that are being read as well. In the transaction that forgets somebody."""
    for statement in (_DROPPING, _OF_ONE, _UNTOLD):
        db.execute(statement)


def _key(name: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "asked": json.dumps(asked)}


_FIND = text("""
select told, as_of, as_of <> 'epoch' as read from tidegate.kept_reports
where name = :name and asked = cast(:asked as jsonb)
  and (as_of = 'epoch' or as_of > clock_timestamp() - make_interval(secs => :lasting))""")

_LEAVE = text("""
insert into tidegate.kept_reports (name, asked, told, as_of, seconds)
values (:name, cast(:asked as jsonb), 'null', 'epoch', 0)
on conflict (name, asked) do update set told = excluded.told, as_of = excluded.as_of""")

_EXISTS = text("""
select exists (select from tidegate.kept_reports where name = :name and asked = cast(:asked as jsonb))""")

_WANT = text("""
update tidegate.kept_reports set wanted_at = clock_timestamp() where (name, asked) in (
  select name, asked from tidegate.kept_reports
  where name = :name and asked = cast(:asked as jsonb) and wanted_at <= as_of for update skip locked)""")

_KEEP = text("""
insert into tidegate.kept_reports (name, asked, told, as_of, seconds)
values (:name, cast(:asked as jsonb), cast(:told as jsonb), :as_of, :seconds)
on conflict (name, asked) do update set told = excluded.told, as_of = excluded.as_of, seconds = excluded.seconds""")

_LET_GO = text("delete from tidegate.kept_reports where name = :name and asked = cast(:asked as jsonb)")

_OF_LEDGERS = text("""
select name, asked from tidegate.kept_reports where asked ? 'edition' order by name, asked""")

# 2 January 1970 is no time at which anything was read: too old for pages, and due.
_FOLLOW = text("""
insert into tidegate.kept_reports (name, asked, told, as_of, seconds, wanted_at)
select name, cast(:now as jsonb), 'null', '1970-01-02 00:00+00', seconds, wanted_at
from tidegate.kept_reports where name = :name and asked = cast(:asked as jsonb)
on conflict do nothing""")

# A person may look after others, and be asked for by name.
_OF_ONE = text("delete from tidegate.kept_reports where asked ->> 'owner' <> ''")

_UNTOLD = text("""
update tidegate.kept_reports set told = 'null', as_of = '1970-01-02 00:00+00' where as_of <> 'epoch'""")

_UNWANTED = text("delete from tidegate.kept_reports where wanted_at < clock_timestamp() - make_interval(days => :days)")

_DUE = text("""
select name, asked from tidegate.kept_reports, lateral (
  select extract(epoch from clock_timestamp() - as_of)::float8 as age) a
where age >= greatest(case when wanted_at > as_of then :again else :unseen end, :share * seconds)
order by as_of""")

# One lock that all who read reports share, and one of each report.
_READING = text("select pg_advisory_xact_lock_shared(hashtextextended('tidegate kept reports', 0))")
_DROPPING = text("select pg_advisory_xact_lock(hashtextextended('tidegate kept reports', 0))")
_WAIT = text("select true from pg_advisory_xact_lock(hashtextextended(:what, 1))")
_TRY = text("select pg_try_advisory_xact_lock(hashtextextended(:what, 1))")
