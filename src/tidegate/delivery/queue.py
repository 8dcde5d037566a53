"""What is due to destinations, in the store: claimed in the order of each contact, settled, given back, replayed.

A claim is a name and a time: until `next_try_at` nobody else sends what is claimed, and afterwards anybody may, so what
a killed process had claimed is due again by itself. Who claims holds the destination's row, so claims see each other.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.store.driver import rows
from tidegate.store.planning import BY_INDEX, planned

LEASE = 120.0
"""Seconds for which a claim holds."""
LOOKED = 200
"""Deliveries that a claim looks at, at least: those that wait for others are put off, and not looked at soon again."""
BUSY = 1.0
"""Seconds after which what waits for another process's claim is looked at again."""
AHEAD = 2.0
"""Seconds of a destination's own limit that are claimed in advance."""


class Claimed(NamedTuple):
    """A delivery that this process sends. `outbox` None: the contact as it is."""

    id: int
    contact: int | None
    outbox: int | None
    attempts: int
    failing_since: datetime | None


class Claim(NamedTuple):
    """What was claimed. `put_off`: rows that wait for one before them, `busy` of them for what another process has in
    hand. `starts_in`: seconds after which the first may be sent, by the destination's own limit. `open`: whether it
    takes anything now. `now`: the database's time.
    """

    rows: Sequence[Claimed]
    put_off: int
    busy: int
    starts_in: float
    open: bool
    now: datetime | None = None


class Settled(NamedTuple):
    """What became of a delivery: `delivered`, `dead`, `failed` (tried again after `after` seconds), or `released` (not
    tried; due again after `after` seconds). `sent`: of a contact, what the destination has of it now, as JSON.
    """

    id: int
    state: str
    status: int | None = None
    error: str = ""
    after: float = 0.0
    sent: str | None = None
    contact: int | None = None


def now(db: Connection, *, ahead: float = 0) -> datetime:
    """The database's time, so many seconds ahead: one clock for all machines."""
    return db.execute(_CLOCK, {"ahead": ahead}).scalar_one()


def claim(
    db: Connection,
    destination: str,
    me: str,
    limit: int,
    *,
    rate: float | None = None,
    batch: int = 1,
    ahead: float = 0,
) -> Claim:
    """Claims up to `limit` deliveries that are due, none before those of the same contact that came before it.

    `rate`: requests a second, of which each takes up to `batch`. `ahead`: seconds that the clock is taken to be ahead.
    """
    row = hold(db, destination, ahead=ahead)
    if row is None or not row.open:
        return Claim((), 0, 0, 0.0, False)
    starts_in = max(0.0, float(row.slot_in)) if rate else 0.0
    if rate:
        allowed = int((AHEAD - starts_in) * rate)
        limit = min(limit, batch * max(allowed, 1 if starts_in <= 0 else 0))
        if limit <= 0:
            return Claim((), 1, 1, starts_in, True)
    values = {
        "destination": destination,
        "me": me,
        "limit": limit,
        "now": row.now,
        "lease": LEASE,
        "busy": BUSY,
        "looked": LOOKED,
        "keeps": row.keeps,
    }
    found = rows(db, _CLAIM, values)
    mine = sorted(
        Claimed(one.id, one.contact, one.outbox, one.attempts, one.failing_since) for one in found if one.mine
    )
    if rate and mine:
        db.execute(_SLOT, {"key": destination, "now": row.now, "seconds": -(-len(mine) // batch) / rate})
    return Claim(mine, len(found) - len(mine), sum(one.busy for one in found), starts_in, True, row.now)


def hold(db: Connection, destination: str, *, ahead: float = 0) -> Any:
    """Lets nobody else claim of it until the caller's transaction ends; returns how it stands (None: it is gone)."""
    return db.execute(_HOLD, {"key": destination, "ahead": ahead}).one_or_none()


def settle(db: Connection, destination: str, me: str, settled: Sequence[Settled], now: datetime) -> None:
    """Writes down what became of what this process had claimed; what it has lost meanwhile is another's."""
    if not settled:
        return
    columns = {
        "ids": [one.id for one in settled],
        "states": [one.state for one in settled],
        "statuses": [one.status for one in settled],
        "errors": [one.error[:500].replace("\0", "") for one in settled],
        "afters": [one.after for one in settled],
    }
    with planned(db, BY_INDEX):
        about = [one.id for one in rows(db, _SETTLE, columns | {"me": me, "now": now})]
    # Two of one contact: the later says what the destination has. Nothing of who was forgotten meanwhile.
    mine = set(about)
    kept = {one.contact: one for one in settled if one.id in mine and one.sent is not None}.values()
    if kept:
        values = {
            "destination": destination,
            "contacts": [one.contact for one in kept],
            "sent": [one.sent for one in kept],
        }
        db.execute(_REMEMBER, values)
    if about:
        db.execute(_DONE_OF_CONTACTS, {"ids": about})


def replay(db: Connection, destination: str, ids: Sequence[int] | None = None) -> int:
    """Lets dead letters be sent again, at once and in their order; None: all. Returns how many."""
    return db.execute(_REPLAY, {"destination": destination, "ids": None if ids is None else list(ids)}).rowcount


def due(db: Connection, *, ahead: float = 0) -> list[str]:
    """Destinations that have something due, by key."""
    return list(db.scalars(_DUE, {"ahead": ahead}))


def anything_due(db: Connection) -> bool:
    """Whether something is due to a destination, or a contact was noted."""
    return bool(db.scalar(_ANYTHING)) or bool(due(db))


def next_due(db: Connection) -> float | None:
    """Seconds until the next delivery is due; None: none is waiting where it could be sent."""
    found = db.scalar(_NEXT)
    return None if found is None else max(0.0, float(found))


_CLOCK = text("select clock_timestamp() + make_interval(secs => :ahead)")

_HOLD = text("""
select clock_timestamp() + make_interval(secs => :ahead) as now, keeps,
  paused_at is null and next_try_at <= clock_timestamp() + make_interval(secs => :ahead) as open,
  case when slot_at = '-infinity' then 0
    else extract(epoch from slot_at - clock_timestamp() - make_interval(secs => :ahead)) end as slot_in
from tidegate.destinations where key = :key for no key update""")

_SLOT = text("""
update tidegate.destinations
set slot_at = greatest(slot_at, cast(:now as timestamptz)) + make_interval(secs => :seconds) where key = :key""")

# The oldest that are due; those that may be sent are claimed, the others put off until what they wait for is due. How a
# contact is waits, with all that comes after it, until the one before it is settled: it tells what changed since that.
_CLAIM = text("""
with candidates as materialized (
  select id, contact from tidegate.deliveries
  where destination = :destination and state = 'waiting' and next_try_at <= :now
  order by next_try_at, id limit greatest(:limit, :looked)),
behind as materialized (
  select c.id, b.claimed_by, b.next_try_at from candidates c
  join lateral (
    select e.claimed_by, e.next_try_at from tidegate.deliveries e
    where e.destination = :destination and e.contact = c.contact and e.state = 'waiting' and e.id < c.id
      and e.claimed_by is distinct from :me and e.id not in (select id from candidates)
    order by e.id limit 1) b on true),
again as materialized (
  select k.contact, b.id from (select distinct contact from candidates where cast(:keeps as boolean)) k
  join lateral (
    select e.id from tidegate.deliveries e
    where e.destination = :destination and e.contact = k.contact and e.state = 'waiting' and e.outbox is null
    order by e.id offset 1 limit 1) b on true),
after as materialized (
  select c.id from candidates c join again a on a.contact = c.contact and c.id >= a.id
  where c.id not in (select id from behind)),
chosen as materialized (
  select id from candidates where id not in (select id from behind union all select id from after)
  order by id limit :limit),
fates as (
  select id, true as mine, false as busy, cast(:now as timestamptz) + make_interval(secs => :lease) as at from chosen
  union all
  select id, false, claimed_by is not null, case when claimed_by is null then next_try_at
    else cast(:now as timestamptz) + make_interval(secs => :busy) end from behind
  union all
  select id, false, true, cast(:now as timestamptz) + make_interval(secs => :busy) from after)
update tidegate.deliveries d
set claimed_by = case when f.mine then :me else d.claimed_by end, next_try_at = f.at
from fates f where d.id = f.id
returning f.mine, f.busy, d.id, d.contact, d.outbox, d.attempts,
  d.failing_since""")

# What was not tried goes before what came after it. Found by id alone: asked for `waiting`, PostgreSQL would read the
# index of all that waits, each time.
_SETTLE = text("""
with settled as (update tidegate.deliveries d set
  state = case said.state when 'delivered' then 'delivered' when 'dead' then 'dead' else 'waiting' end,
  attempts = d.attempts + case when said.state = 'released' then 0 else 1 end,
  claimed_by = null,
  next_try_at = cast(:now as timestamptz) + case when said.state = 'released' and said.after = 0 then interval '-5 min'
    else make_interval(secs => said.after) end,
  failing_since = case when said.state in ('failed', 'dead') then coalesce(d.failing_since, :now)
    else d.failing_since end,
  status = case when said.state = 'released' then d.status else said.status end,
  error = case when said.state = 'released' then d.error else said.error end,
  done_at = case when said.state in ('delivered', 'dead') then cast(:now as timestamptz) end
from unnest(cast(:ids as bigint[]), cast(:states as text[]), cast(:statuses as int[]), cast(:errors as text[]),
  cast(:afters as float8[])) as said(id, state, status, error, after)
where d.id = said.id and d.claimed_by = :me
returning d.id, d.outbox, d.state)
select id from settled where outbox is null and state = 'delivered'""")

_REMEMBER = text("""
insert into tidegate.destination_contacts as s (destination, contact, sent, number)
select :destination, contact, sent, 1
from unnest(cast(:contacts as bigint[]), cast(:sent as jsonb[])) as n(contact, sent)
on conflict (destination, contact) do update set sent = excluded.sent, number = s.number + 1, at = clock_timestamp()""")

_DONE_OF_CONTACTS = text("""
delete from tidegate.deliveries where id = any(cast(:ids as bigint[])) and outbox is null and state = 'delivered'""")


_REPLAY = text("""
update tidegate.deliveries set state = 'waiting', next_try_at = clock_timestamp(), attempts = 0, failing_since = null,
  done_at = null
where destination = :destination and state = 'dead'
  and (cast(:ids as bigint[]) is null or id = any(cast(:ids as bigint[])))""")

_DUE = text("""
select key from tidegate.destinations d
where paused_at is null and next_try_at <= clock_timestamp() + make_interval(secs => :ahead) and exists (
  select from tidegate.deliveries w where w.destination = d.key and w.state = 'waiting'
    and w.next_try_at <= clock_timestamp() + make_interval(secs => :ahead))
order by key""")

_ANYTHING = text("select exists (select from tidegate.noted_contacts)")

_NEXT = text("""
select extract(epoch from min(greatest(d.next_try_at, w.next_try_at)) - clock_timestamp())
from tidegate.destinations d
join lateral (
  select next_try_at from tidegate.deliveries w where w.destination = d.key and w.state = 'waiting'
  order by next_try_at limit 1) w on true
where d.paused_at is null""")
