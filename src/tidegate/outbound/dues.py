"""Which syncs are to run: what their schedules, the end of something else, or somebody asks for, until it is done."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.errors import SyncInvalid

ORDER = (
    "products",
    "prices",
    "customers",
    "subscriptions",
    "quotes",
    "invoices",
    "invoiceitems",
    "meter_events",
    "contacts",
)
"""In which objects need each other: syncs name rows of those before them, and contacts need none."""
BEGUN = "run "
"""What a sync is due for, with its number, when a run began and did not come to its end."""


class Due(NamedTuple):
    """A sync that is to run: since when, what for, and how the run is wanted (None: as a schedule wants it)."""

    sync: str
    connection: str
    resource: str
    at: datetime
    why: str
    asked: Mapping[str, Any] | None


def ask(db: Connection, sync: str, why: str, asked: Mapping[str, Any] | None = None) -> None:
    """Lets a sync be run once, wherever a worker is free. What is due already stays so; `asked` takes the place of how
    it was wanted.
    """
    values = {"sync": sync, "why": why, "asked": None if asked is None else json.dumps(asked)}
    db.execute(_ASK, values)


def begin(db: Connection, sync: str, run: int, asked: Mapping[str, Any]) -> datetime:
    """Says that a run began whose end is owed whatever becomes of its process; returns since when one is due."""
    values = {"sync": sync, "why": f"{BEGUN}{run}", "asked": json.dumps(asked)}
    return db.execute(_BEGIN, values).scalar_one()


def by_the_clock(db: Connection, as_of: datetime) -> list[str]:
    """Makes due what a schedule names for now or missed, once however often it was missed; returns the syncs. A
    stored sync that cannot be read any more is left out.
    """
    from tidegate.outbound import specs  # a tenth of a second, which an import has no use for
    from tidegate.outbound.schedule import next_time, parse

    found: list[str] = []
    for row in db.execute(_TIMED, {"as_of": as_of}).all():
        try:
            sync = specs.sync(row.spec)
        except SyncInvalid:  # told by `status`; the others' schedules go on
            continue
        said = parse(sync.schedule)
        following = next_time(said, as_of, sync.zone) if said is not None else None
        db.execute(_NEXT, {"sync": row.key, "at": following})
        if row.next_at is not None:
            ask(db, row.key, "schedule")
            found.append(row.key)
    return found


def after_import(db: Connection, connection: str) -> None:
    """Makes due what runs after an import of the connection."""
    db.execute(_AFTER, {"said": "after import", "why": "import", "connection": connection})


def after_sync(db: Connection, sync: str) -> None:
    """Makes due what runs after a run of a sync."""
    db.execute(_AFTER, {"said": f"after sync {sync}", "why": f"sync {sync}", "connection": None})


def due(db: Connection) -> list[Due]:
    """What is to run and may, in the order in which objects need each other; none while outbound is paused."""
    found = db.execute(_DUE, {"order": list(ORDER)})
    return [Due(**row._mapping) for row in found]  # pyright: ignore[reportPrivateUsage]


def of(db: Connection, sync: str) -> Due | None:
    """Whether a sync is to run."""
    return next((one for one in due(db) if one.sync == sync), None)


def settle(db: Connection, sync: str, since: datetime | None) -> bool:
    """Says that what was due came to its end; what was asked for since stays due. `since`: `Due.at`; None: all.

    False: it was not due.
    """
    return bool(db.execute(_SETTLE, {"sync": sync, "since": since}).rowcount)


# What is asked for while a run is at work is due after it: `settle` finds another time then.
_DUE_NOW = """
update tidegate.syncs
set due_at = case when due_at is null or due_for like 'run %' then clock_timestamp() else due_at end,"""

_ASK = text(f"""{_DUE_NOW}
  due_for = case when due_for like 'run %' and cast(:asked as jsonb) is null then due_for else :why end,
  asked = coalesce(cast(:asked as jsonb), asked)
where key = :sync""")

_BEGIN = text("""
update tidegate.syncs set due_at = coalesce(due_at, clock_timestamp()), due_for = :why, asked = cast(:asked as jsonb)
where key = :sync returning due_at""")

_TIMED = text("""
select key, spec, next_at from tidegate.syncs
where enabled and coalesce(spec ->> 'schedule', '') not in ('') and lower(spec ->> 'schedule') not like 'after %'
  and (next_at is null or next_at <= :as_of)
order by key for update skip locked""")

_NEXT = text("update tidegate.syncs set next_at = :at where key = :sync")

_AFTER = text(rf"""{_DUE_NOW}
  due_for = case when due_for like 'run %' then due_for else :why end
where enabled and lower(regexp_replace(trim(spec ->> 'schedule'), '\s+', ' ', 'g')) = lower(:said)
  and (cast(:connection as text) is null or connection = :connection)""")

_DUE = text("""
select s.key as sync, s.connection, s.resource, s.due_at as at, s.due_for as why, s.asked
from tidegate.syncs s join tidegate.connections c on c.name = s.connection and c.disconnected_at is null
where s.due_at is not null and not exists (select from tidegate.pauses where what = 'outbound')
order by array_position(cast(:order as text[]), s.resource), s.key""")

_SETTLE = text("""
update tidegate.syncs set due_at = null, due_for = '', asked = null
where key = :sync and due_at is not null and (cast(:since as timestamptz) is null or due_at = :since)""")
