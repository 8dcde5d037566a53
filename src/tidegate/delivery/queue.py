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
LATE = 50_000
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
    # Two of one contact: the later says what the destination has.
    kept = {one.contact: one for one in settled if one.state == "delivered" and one.sent is not None}.values()
    if kept:
        values = {
            "destination": destination,
            "contacts": [one.contact for one in kept],
            "sent": [one.sent for one in kept],
        }
        db.execute(_REMEMBER, values)
    if about:
        db.execute(_DONE_OF_CONTACTS, {"ids": about})


def expand_noted(db: Connection, limit: int) -> int:
    """Makes what is due of contacts that were noted, for each destination that keeps them; returns how many notes there
    were. One contact waits once for a destination, unless it is being sent just now.
    """
    return int(db.execute(_EXPAND, {"limit": limit}).scalar_one())


def note_contacts(db: Connection, contacts: Sequence[int]) -> None:
    """Notes that something of these contacts (internal keys) may have changed, where a destination keeps any."""
    if contacts:
        db.execute(_NOTE, {"contacts": list(contacts)})


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


def forget_due(db: Connection, contacts: Sequence[int]) -> int:
    """Takes back what is due about these contacts (internal keys), but that they were forgotten; returns how many."""
    return db.execute(_FORGET_DUE, {"contacts": list(contacts)}).rowcount


def forget_sent(db: Connection, contacts: Sequence[int]) -> int:
    """Forgets what destinations were sent of these contacts (internal keys); returns how many rows."""
    return db.execute(_FORGET_SENT, {"contacts": list(contacts)}).rowcount


def counts(db: Connection) -> dict[str, dict[str, Any]]:
    """By destination {waiting, dead, oldest}: `oldest` is since when the first that waits has been told."""
    return {row["destination"]: dict(row) for row in db.execute(_COUNTS).mappings()}


def dead(db: Connection, destination: str, *, after: int = 0, limit: int = 50) -> list[dict[str, Any]]:
    """Dead letters, oldest first: {delivery, outbox, type, contact, status, error, attempts, at, died_at, data}."""
    values = {"destination": destination, "after": after, "limit": limit}
    return [dict(row) for row in db.execute(_DEAD, values).mappings()]


def failing(db: Connection, destination: str, limit: int = 50) -> list[dict[str, Any]]:
    """What failed and will be tried again, oldest first: as `dead`, with `next_try_at` and `failing_since`."""
    values = {"destination": destination, "limit": limit}
    return [dict(row) for row in db.execute(_FAILING, values).mappings()]


def delivered(db: Connection, destination: str, limit: int = 20) -> list[dict[str, Any]]:
    """What was taken of late, newest first: as `dead`. Only the newest `LATE` deliveries of all are looked at, and how
    a contact is, once it was taken, is none any more.
    """
    values = {"destination": destination, "limit": limit, "late": LATE}
    return [dict(row) for row in db.execute(_DELIVERED, values).mappings()]


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

_EXPAND = text("""
with taken as (
  delete from tidegate.noted_contacts where id = any(array(
    select id from tidegate.noted_contacts order by id limit :limit for update skip locked))
  returning contacts),
keys as (select distinct unnest(contacts) as contact from taken),
made as (
  insert into tidegate.deliveries (destination, contact)
  select d.key, c.key from keys k
  join tidegate.contacts c on c.key = k.contact and c.merged_into is null and c.forgotten_at is null
  join tidegate.destinations d on d.keeps and (d.livemode is null or d.livemode = c.livemode)
  where not exists (select from tidegate.suppressed_contacts s where s.contact = c.key) and not exists (
    select from tidegate.deliveries w
    where w.destination = d.key and w.contact = c.key and w.state = 'waiting' and w.outbox is null
      and w.claimed_by is null)
  order by c.key)
select count(*) from taken""")

_NOTE = text("""
insert into tidegate.noted_contacts (contacts)
select cast(:contacts as bigint[]) where exists (select from tidegate.destinations where keeps)
  and coalesce(current_setting('tidegate.history', true), '') <> 'on'""")

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

_FORGET_DUE = text("""
delete from tidegate.deliveries d
where d.contact = any(cast(:contacts as bigint[])) and d.state in ('waiting', 'dead') and not exists (
  select from tidegate.outbox o where o.id = d.outbox and o.type = 'contact.forgotten')""")

_FORGET_SENT = text("delete from tidegate.destination_contacts where contact = any(cast(:contacts as bigint[]))")

_COUNTS = text("""
select destination, count(*) filter (where state = 'waiting') as waiting, count(*) filter (where state = 'dead') as dead
from tidegate.deliveries where state in ('waiting', 'dead') group by 1""")

_LOOKED_AT = """
select d.id as delivery, d.outbox, coalesce(o.type, 'contact.updated') as type,
  k.kind || ':' || k.external_id as contact, d.status, d.error, d.attempts, o.at, d.done_at as died_at, o.data,
  d.next_try_at, d.failing_since
from tidegate.deliveries d
left join tidegate.outbox o on o.id = d.outbox left join tidegate.contacts k on k.key = d.contact"""

_DEAD = text(f"""{_LOOKED_AT}
where d.destination = :destination and d.state = 'dead' and d.id > :after order by d.id limit :limit""")

_FAILING = text(f"""{_LOOKED_AT}
where d.destination = :destination and d.state = 'waiting' and d.attempts > 0 order by d.id limit :limit""")

_DELIVERED = text(f"""{_LOOKED_AT}
where d.destination = :destination and d.state = 'delivered'
  and d.id > (select coalesce(max(id), 0) - :late from tidegate.deliveries)
order by d.id desc limit :limit""")
