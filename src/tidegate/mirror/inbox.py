"""The inbox: every event of Stripe is kept durably before it is acknowledged, and handled afterwards."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum, auto
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, text

from tidegate.connections import problems
from tidegate.store.bulk import Texts


class Entry(NamedTuple):
    """An event as it came: times in epoch seconds, `body` the raw JSON, `source` is `webhook` or `events`.

    `account` (Stripe's id) and `livemode`: whose event it is; it is kept only while the connection of that name is
    theirs. None: not checked.
    `skipped`: why it is kept without being handled; empty for an event to handle.
    """

    connection: str
    event_id: str
    type: str
    created: int
    source: str
    body: str
    account: str | None = None
    livemode: bool | None = None
    skipped: str = ""


class Kept(Enum):
    """What became of an event that came."""

    NEW = auto()
    KNOWN = auto()  # it was there already
    STRAY = auto()  # there is no such connection, or it is another account's by now


class Waiting(NamedTuple):
    """A claimed event."""

    event_id: str
    body: str
    attempts: int
    received_at: datetime


def keep(db: Connection, entries: Sequence[Entry]) -> int:
    """Stores events that are not there yet, by (connection, event id); returns how many were new.

    One that came cut off and could not be read counts as not there: a whole copy takes its place.
    """
    return sum(one is Kept.NEW for one in keep_each(db, entries))


def keep_each(db: Connection, entries: Sequence[Entry]) -> list[Kept]:
    """Stores events that are not there yet, by (connection, event id); tells what became of each.

    A connection keeps from being purged until the transaction ends, so no event is left behind for the next one that
    has its name. An event that says that an account took back its access is noted as the problem it is: Stripe may tell
    nothing more. To a platform it tells it of another: there the fan-out sees to it.
    """
    if not entries:
        return []
    columns: dict[str, Any] = {name: [getattr(entry, name) for entry in entries] for name in Entry._fields}
    rows = db.execute(_KEEP, columns | {"body": Texts(columns["body"])}).all()
    outcomes: list[Kept] = []
    seen: set[tuple[str, str]] = set()
    for entry, row in zip(entries, rows, strict=True):
        key = (entry.connection, entry.event_id)
        new = row.new and key not in seen
        outcomes.append(Kept.STRAY if not row.theirs else Kept.NEW if new else Kept.KNOWN)
        seen.add(key)
        if entry.type == problems.DEAUTHORIZED and row.theirs and not (row.platform or entry.skipped):
            problems.note(db, entry.connection, "oauth_revoked", f"Stripe told so by the event {entry.event_id}.")
    return outcomes


_KEEP = text("""
with held as materialized (
  select name, account, livemode, fan_out_at is not null as platform from tidegate.connections
  where name = any(cast(:connection as text[])) order by name for key share),
came as materialized (
  select o.*, held.name is not null as theirs, held.platform
  from unnest(cast(:connection as text[]), cast(:event_id as text[]), cast(:type as text[]),
              cast(:created as bigint[]), cast(:source as text[]), cast(:body as text[]), cast(:account as text[]),
              cast(:livemode as boolean[]), cast(:skipped as text[]))
    with ordinality as o(connection, event_id, type, created, source, body, account, livemode, skipped, place)
  left join held on held.name = o.connection and held.account = coalesce(o.account, held.account)
    and held.livemode = coalesce(o.livemode, held.livemode)),
put as (
  insert into tidegate.inbox (connection, event_id, type, created, source, body, state, error, handled_at)
  select connection, event_id, type, to_timestamp(created), source, body,
    case when skipped = '' then 'waiting' else 'skipped' end, skipped, case when skipped <> '' then now() end
  from came where theirs
  order by connection, event_id
  on conflict do nothing returning connection, event_id),
mended as (
  update tidegate.inbox i set type = came.type, created = to_timestamp(came.created), source = came.source,
    body = came.body, state = 'waiting', error = '', attempts = 0, next_try_at = now()
  from came where theirs and came.type <> '' and came.skipped = ''
    and i.connection = came.connection and i.event_id = came.event_id and i.state = 'parked' and i.type = ''
  returning i.connection, i.event_id)
select came.theirs, came.platform, put.event_id is not null or mended.event_id is not null as new
from came left join put using (connection, event_id) left join mended using (connection, event_id)
order by came.place""")


def claim(db: Connection, connection: str, limit: int) -> list[Waiting]:
    """Events whose turn has come, locked for this transaction; other workers skip them."""
    rows = db.execute(
        text("""
select event_id, body, attempts, received_at from tidegate.inbox
where connection = :connection and state = 'waiting' and next_try_at <= now()
order by next_try_at, created, event_id limit :limit for update skip locked"""),
        {"connection": connection, "limit": limit},
    )
    return [Waiting(*row) for row in rows]


def floods(db: Connection, connection: str, events: int) -> bool:
    """Whether more events than so many wait to be handled."""
    statement = text("""
select count(*) > :events from (
  select from tidegate.inbox where connection = :connection and state = 'waiting' and next_try_at <= clock_timestamp()
  limit :events + 1) waiting""")
    return bool(db.scalar(statement, {"connection": connection, "events": events}))


def settle(db: Connection, connection: str, event_ids: Sequence[str], state: str, note: str = "") -> None:
    """Marks claimed events `handled` or `skipped` (with the reason)."""
    db.execute(
        text("""
update tidegate.inbox set state = :state, error = :note, handled_at = clock_timestamp()
where connection = :connection and event_id = any(:ids)"""),
        {"connection": connection, "ids": list(event_ids), "state": state, "note": note},
    )


def fail(db: Connection, connection: str, event_id: str, problem: str, attempts: int) -> str:
    """Notes a failure: tried again after 2, 4, 8 … up to 3600 seconds, parked after `attempts`. Returns the new
    state.
    """
    return db.scalar(
        text("""
update tidegate.inbox set attempts = attempts + 1, error = :problem,
  state = case when attempts + 1 >= :attempts then 'parked' else 'waiting' end,
  next_try_at = clock_timestamp() + make_interval(secs => least(3600, power(2, attempts + 1)))
where connection = :connection and event_id = :id returning state"""),
        {"connection": connection, "id": event_id, "problem": problem, "attempts": attempts},
    )  # pyright: ignore[reportReturnType]


def put_off(db: Connection, connection: str, event_id: str, problem: str, seconds: int) -> None:
    """Lets an event wait that the database could not take now; that is no failure of the event's."""
    db.execute(
        text("""
update tidegate.inbox set error = :problem, next_try_at = clock_timestamp() + make_interval(secs => :seconds)
where connection = :connection and event_id = :id"""),
        {"connection": connection, "id": event_id, "problem": problem, "seconds": seconds},
    )


def listing(
    db: Connection, connection: str, state: str | None, limit: int | None, skip: int = 0
) -> Sequence[RowMapping]:
    """Events of a connection without their bodies, newest first; `state` None: waiting and parked ones. `limit` None:
    all of them.
    """
    chosen = "state = :state" if state else "(state = 'waiting' or state = 'parked')"  # as the partial indexes say it
    return (
        db.execute(
            text(f"""
select event_id, type, state, source, created, received_at, handled_at, attempts, next_try_at, error
from tidegate.inbox where connection = :connection and {chosen}
order by received_at desc, event_id offset :skip limit cast(:limit as bigint)"""),
            {"connection": connection, "state": state, "limit": limit, "skip": skip},
        )
        .mappings()
        .all()
    )


def show(db: Connection, connection: str, event_id: str) -> RowMapping | None:
    """One event with its body; None when there is none of that id."""
    return (
        db.execute(
            text("select * from tidegate.inbox where connection = :connection and event_id = :id"),
            {"connection": connection, "id": event_id},
        )
        .mappings()
        .first()
    )


def replay(db: Connection, connection: str, event_ids: Sequence[str] | None) -> int:
    """Lets events be handled again at once: the named ones whatever their state, or all that are parked."""
    return db.execute(
        text("""
update tidegate.inbox set state = 'waiting', attempts = 0, next_try_at = now(), error = '', handled_at = null
where connection = :connection and (event_id = any(:ids) or (:parked and state = 'parked'))"""),
        {"connection": connection, "ids": list(event_ids or ()), "parked": event_ids is None},
    ).rowcount


def discard(db: Connection, connection: str, event_ids: Sequence[str]) -> int:
    """Marks waiting or parked events as skipped by a person; returns how many."""
    return db.execute(
        text("""
update tidegate.inbox set state = 'skipped', error = 'discarded by hand', handled_at = now()
where connection = :connection and event_id = any(:ids) and state in ('waiting', 'parked')"""),
        {"connection": connection, "ids": list(event_ids)},
    ).rowcount


def summary(db: Connection, connection: str) -> dict[str, Any]:
    """How many events wait and are parked; in seconds since when the oldest waits, and how long the first has been due.

    `parked_since` (UTC) is when the oldest parked one came; None when none is parked.
    """
    # Two queries, each on its partial index: the events that were handled are many times as many.
    row = (
        db.execute(
            text("""
select w.waiting, p.parked, w.oldest_seconds, w.overdue_seconds, p.parked_since
from (select count(*) as waiting,
        coalesce(extract(epoch from now() - min(received_at)), 0)::int as oldest_seconds,
        greatest(0, coalesce(extract(epoch from now() - min(next_try_at)), 0))::int as overdue_seconds
      from tidegate.inbox where connection = :connection and state = 'waiting') w,
     (select count(*) as parked, min(received_at) as parked_since
      from tidegate.inbox where connection = :connection and state = 'parked') p"""),
            {"connection": connection},
        )
        .mappings()
        .one()
    )
    return dict(row)
