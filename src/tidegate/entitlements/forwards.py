"""What was used of features that name one of Stripe's meters: kept with the debit, told to Stripe by a task afterwards.

A forward is `waiting`, `intended` (a request of it may be under way), `sent`, `taken_back` (its event was canceled),
`failed` (Stripe refused it), `unknown` (nobody knows whether it was counted) or `discarded`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, text

from tidegate.entitlements.buckets import Debit
from tidegate.entitlements.resolve import Entitlement
from tidegate.errors import UsageError

State = Literal["waiting", "intended", "sent", "taken_back", "failed", "unknown", "discarded"]
STATES: tuple[State, ...] = ("waiting", "intended", "sent", "taken_back", "failed", "unknown", "discarded")
OPEN = ("waiting", "intended", "failed", "unknown")
"""States of what is not told, or not surely."""


class Told(NamedTuple):
    """A debit to be told: its number, whose it is, the event name of the meter, units (below 0: given back), and the
    customer who pays for it, as (connection, customer); None: nobody is known yet.
    """

    debit: int
    contact: int
    feature: str
    event_name: str
    value: int
    payer: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Forward:
    """A debit on its way to a meter; `first`: nothing was sent of it yet. `age`: seconds since it first was.

    `takes_back`, with `taken`: the forward whose event it cancels, and that one's debit and time.
    """

    id: int
    debit: int
    event_name: str
    value: int
    at: datetime
    customer: str
    generation: int
    first: bool
    age: float
    days: float
    takes_back: int | None = None
    taken_debit: int | None = None
    taken_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a forward. `again`: a waiting or intended one is tried again after so many seconds; `anew`: nothing
    is in doubt any more, and the next try is a first one; `generation`: how much that goes on.
    """

    id: int
    state: State
    error: str = ""
    again: float = 0.0
    anew: bool = False
    generation: int = 0


def state_named(said: str) -> State:
    """The state of that name. Raises UsageError."""
    found: dict[str, State] = {one: one for one in STATES}
    if said not in found:
        raise UsageError(problem=f"There is no state {said}; it is one of {', '.join(STATES)}.")
    return found[said]


def payer_of(standing: Entitlement, debits: Sequence[Debit] | None = None) -> tuple[str, str] | None:
    """The customer whose subscription gives what is debited, else gives or gave the feature, as (connection, customer).
    None: no subscription does.
    """
    buckets = {(one.key, one.start): one for one in standing.buckets}
    debited = [buckets[place] for one in debits or () if (place := (one.bucket, one.start)) in buckets]
    giving = [source for bucket in debited for source in bucket.sources]
    giving += sorted(standing.sources, key=lambda one: not one.access.granted)
    return next(((one.via["connection"], one.via["customer"]) for one in giving if "customer" in one.via), None)


def record(db: Connection, told: Iterable[Told]) -> None:
    """Keeps debits to be told, in the transaction that makes them; of nothing nothing is told."""
    rows = [
        {
            **{name: getattr(one, name) for name in ("debit", "contact", "feature", "event_name", "value")},
            "connection": one.payer[0] if one.payer else None,
            "customer": one.payer[1] if one.payer else None,
        }
        for one in told
        if one.value
    ]
    if rows:
        db.execute(_RECORD, {"rows": msgspec.json.encode(rows).decode()})


def due(db: Connection) -> list[str]:
    """The connections with something to tell whose turn has come; none while outbound is paused."""
    return list(db.scalars(_DUE))


def may_tell(db: Connection) -> bool:
    """Whether anything is told now: outbound is not paused."""
    return not db.scalar(text("select exists (select from tidegate.pauses where what = 'outbound')"))


def take(db: Connection, connection: str, limit: int) -> list[Forward]:
    """What is to be told now, oldest first, as this transaction alone may."""
    rows = db.execute(_TAKE, {"connection": connection, "limit": limit})
    return [Forward(**row._mapping) for row in rows]  # pyright: ignore[reportPrivateUsage]


def intend(db: Connection, forwards: Collection[Forward]) -> None:
    """Says that requests of these are about to be sent."""
    db.execute(_INTEND, {"ids": [one.id for one in forwards], "takes_back": [one.takes_back for one in forwards]})


def cancels(db: Connection, forward: Forward, seconds: int) -> Forward | None:
    """A forward that gives back, as one that cancels the newest event of the same customer, meter and size which Stripe
    got within the last `seconds`; None: there is none.
    """
    row = db.execute(_CANCELS, {"id": forward.id, "seconds": seconds}).first()
    if row is None:
        return None
    known: Mapping[str, Any] = {name: getattr(forward, name) for name in Forward.__slots__}
    return Forward(**{**known, "takes_back": row.id, "taken_debit": row.debit, "taken_at": row.at})


def settle(db: Connection, outcomes: Sequence[Outcome]) -> None:
    """Writes down what came of forwards."""
    for one in outcomes:
        db.execute(_SETTLE, {name: getattr(one, name) for name in Outcome.__slots__})


def put_off(db: Connection, connection: str, error: str, seconds: float) -> int:
    """Lets all that is to be told wait, and says why; returns how much it is."""
    return db.execute(_PUT_OFF, {"connection": connection, "error": error, "seconds": seconds}).rowcount


def unassigned(db: Connection, limit: int) -> list[tuple[int, str]]:
    """Contacts (internal keys) and features of which usage waits for somebody who pays, whose turn has come."""
    return [(row.contact, row.feature) for row in db.execute(_UNASSIGNED, {"limit": limit})]


def assign(db: Connection, contact: int, feature: str, payer: tuple[str, str] | None, error: str = "") -> None:
    """Says who pays for what waits of a contact and feature, or (None) why nobody does, and looks again later."""
    values = {"contact": contact, "feature": feature, "connection": payer and payer[0], "customer": payer and payer[1]}
    db.execute(_ASSIGN, values | {"error": error})


def forget_errors(db: Connection, contacts: Sequence[int]) -> int:
    """Erases what Stripe answered of the forwards of these contacts (internal keys); returns of how many."""
    statement = text("""
update tidegate.meter_forwards set error = '' where contact = any(cast(:contacts as bigint[])) and error <> ''""")
    return db.execute(statement, {"contacts": list(contacts)}).rowcount


def expire(db: Connection, days: int) -> int:
    """Gives up what nobody pays for and Stripe takes no more; returns how many debits that are."""
    return db.execute(_EXPIRE, {"days": days}).rowcount


def customers_of(db: Connection, contact: int) -> list[tuple[str, str]]:
    """The customers that a contact is linked to and that are there, as (connection, customer)."""
    return [(row.connection, row.customer) for row in db.execute(_CUSTOMERS, {"contact": contact})]


def listing(db: Connection, livemode: bool, state: State | None, limit: int, after: int = 0) -> list[dict[str, Any]]:
    """Forwards of a mode's contacts, by number, with the contact's id; without a state those that are not told."""
    states = [state] if state else list(OPEN)
    rows = db.execute(_LISTING, {"livemode": livemode, "states": states, "limit": limit, "after": after})
    return [dict(row) for row in rows.mappings()]


def summary(db: Connection, connection: str | None = None) -> dict[str, Any]:
    """How many are waiting, without a customer, failed and unknown, since when; of a connection, or of all."""
    return dict(db.execute(_SUMMARY, {"connection": connection}).mappings().one())


def retry(db: Connection, livemode: bool, ids: Sequence[int] | None = None) -> int:
    """Lets these be told anew, also of those of which nobody knows, or all that failed; returns how many."""
    values = {"ids": None if ids is None else list(ids), "livemode": livemode}
    return db.execute(_RETRY, values).rowcount


def discard(db: Connection, livemode: bool, ids: Sequence[int]) -> int:
    """Gives up telling these; returns how many."""
    return db.execute(_DISCARD, {"ids": list(ids), "livemode": livemode}).rowcount


_RECORD = text("""
insert into tidegate.meter_forwards (debit, contact, feature, event_name, value, connection, customer)
select debit, contact, feature, event_name, value, connection, customer
from jsonb_to_recordset(cast(:rows as jsonb)) as r(debit bigint, contact bigint, feature text, event_name text,
  value bigint, connection text, customer text)
on conflict (debit) do nothing""")

_DUE = text("""
select c.name from tidegate.connections c where c.disconnected_at is null and exists (
  select from tidegate.meter_forwards f
  where f.connection = c.name and f.state in ('waiting', 'intended') and f.next_try_at <= clock_timestamp())
  and not exists (select from tidegate.pauses where what = 'outbound')
order by 1""")

_TAKE = text("""
select f.id, f.debit, f.event_name, f.value, f.at, f.customer, f.generation, f.intended_at is null as first,
  coalesce(extract(epoch from clock_timestamp() - f.intended_at), 0)::float8 as age,
  extract(epoch from clock_timestamp() - f.at)::float8 / 86400 as days,
  f.takes_back, o.debit as taken_debit, o.at as taken_at
from tidegate.meter_forwards f left join tidegate.meter_forwards o on o.id = f.takes_back
where f.connection = :connection and f.state in ('waiting', 'intended') and f.next_try_at <= clock_timestamp()
order by f.next_try_at, f.id limit :limit for update of f""")

_INTEND = text("""
update tidegate.meter_forwards f
set state = 'intended', intended_at = coalesce(f.intended_at, clock_timestamp()), takes_back = said.takes_back
from unnest(cast(:ids as bigint[]), cast(:takes_back as bigint[])) as said(id, takes_back)
where f.id = said.id""")

_CANCELS = text("""
select o.id, o.debit, o.at from tidegate.meter_forwards f
join tidegate.meter_forwards o on o.connection = f.connection and o.customer = f.customer
  and o.event_name = f.event_name and o.contact = f.contact and o.feature = f.feature and o.value = -f.value
where f.id = :id and o.id < f.id and o.state = 'sent' and o.takes_back is null and o.value > 0
  and o.intended_at > clock_timestamp() - make_interval(secs => :seconds)
  and not exists (select from tidegate.meter_forwards t where t.takes_back = o.id)
order by o.id desc limit 1""")

_SETTLE = text("""
with settled as (
  update tidegate.meter_forwards f
  set state = :state, error = :error, next_try_at = clock_timestamp() + make_interval(secs => :again),
    intended_at = case when :anew then null else f.intended_at end, generation = f.generation + :generation,
    settled_at = case when cast(:state as text) in ('waiting', 'intended') then null else clock_timestamp() end
  where f.id = :id returning f.takes_back, f.state)
update tidegate.meter_forwards o set state = 'taken_back', settled_at = clock_timestamp()
from settled where o.id = settled.takes_back and settled.state = 'sent'""")

_PUT_OFF = text("""
update tidegate.meter_forwards
set error = :error, next_try_at = clock_timestamp() + make_interval(secs => :seconds)
where connection = :connection and state in ('waiting', 'intended') and next_try_at <= clock_timestamp()""")

_UNASSIGNED = text("""
select contact, feature from tidegate.meter_forwards
where connection is null and state = 'waiting' and next_try_at <= clock_timestamp()
group by 1, 2 order by min(next_try_at) limit :limit""")

_ASSIGN = text("""
update tidegate.meter_forwards
set connection = :connection, customer = :customer, error = :error,
  next_try_at = case when cast(:connection as text) is null then clock_timestamp() + interval '10 minutes'
    else clock_timestamp() end
where contact = :contact and feature = :feature and connection is null and state = 'waiting'""")

_EXPIRE = text("""
update tidegate.meter_forwards
set state = 'discarded', error = 'nobody paid for it while Stripe would have taken it', settled_at = clock_timestamp()
where connection is null and state = 'waiting' and at < clock_timestamp() - make_interval(days => :days)""")

_CUSTOMERS = text("""
select l.connection, l.customer from tidegate.links l
join stripe.customers o on o.connection = l.connection and o.id = l.customer and o.deleted_at is null
where l.contact = :contact order by 1, 2""")

_LISTING = text("""
select f.id, f.debit, c.kind || ':' || c.external_id as contact, f.feature, f.event_name as meter, f.value, f.at,
  f.connection, f.customer, f.state, f.error, f.takes_back, f.intended_at, f.next_try_at, f.settled_at
from tidegate.meter_forwards f join tidegate.contacts c on c.key = f.contact
where c.livemode = :livemode and f.state = any(cast(:states as text[])) and f.id > :after
order by f.id limit :limit""")

_SUMMARY = text("""
select count(*) filter (where state in ('waiting', 'intended') and connection is not null) as waiting,
  count(*) filter (where state = 'waiting' and connection is null) as without_customer,
  count(*) filter (where state = 'failed') as failed, count(*) filter (where state = 'unknown') as unknown,
  min(at) filter (where state in ('waiting', 'intended') and connection is not null) as waiting_since,
  min(settled_at) filter (where state in ('failed', 'unknown')) as failed_since,
  (array_agg(error order by settled_at desc) filter (where state in ('failed', 'unknown')))[1] as failed_error,
  (array_agg(error order by id) filter (where state in ('waiting', 'intended') and connection is not null
    and error <> ''))[1] as waiting_error
from tidegate.meter_forwards
where state in ('waiting', 'intended', 'failed', 'unknown')
  and (cast(:connection as text) is null or connection = :connection)""")

_RETRY = text("""
update tidegate.meter_forwards f
set state = 'waiting', error = '', next_try_at = clock_timestamp(), intended_at = null, settled_at = null,
  generation = f.generation + 1, takes_back = null
from tidegate.contacts c
where c.key = f.contact and c.livemode = :livemode and (
  cast(:ids as bigint[]) is null and f.state = 'failed'
  or f.id = any(cast(:ids as bigint[])) and f.state in ('failed', 'unknown', 'discarded', 'waiting'))""")

_DISCARD = text("""
update tidegate.meter_forwards f set state = 'discarded', settled_at = clock_timestamp()
from tidegate.contacts c
where c.key = f.contact and c.livemode = :livemode and f.id = any(cast(:ids as bigint[]))
  and f.state in ('waiting', 'failed', 'unknown')""")
