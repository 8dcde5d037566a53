"""The usage that is counted, and the note of every order with its answer: locked, read and written together."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from tidegate.entitlements.buckets import Debit


@dataclass(frozen=True, slots=True)
class Note:
    """An order that was decided, to be written: what it debits (below 0: gives back), and its answer.

    `expires_at`: of a reservation. `payer`: whose subscription gives it, as (connection, customer).
    """

    contact: int
    feature: str
    key: str | None
    operation: str
    debits: tuple[Debit, ...]
    answer: dict[str, Any]
    expires_at: datetime | None = None
    payer: tuple[str, str] | None = None


def hold(db: Connection, livemode: bool, places: Collection[tuple[str, str]]) -> set[int]:
    """Until the transaction ends, nobody else debits these features of these contacts, nor of the accounts that they
    belong to. `places`: (id, feature), of every id that may be meant.

    Returns the contacts (internal keys) that the ids led to before it waited: when they lead elsewhere afterwards,
    since a merge was waited for, nobody holds those.
    """
    if not places:
        return set()
    ids, features = zip(*places, strict=True)
    return set(db.scalars(_HOLD, {"livemode": livemode, "ids": list(ids), "features": list(features)}))


def hold_contacts(db: Connection, contacts: Collection[int]) -> None:
    """Until the transaction ends, nobody else debits any feature of these contacts (internal keys)."""
    db.execute(_HOLD_CONTACTS, {"contacts": list(contacts)})


def end_reservations(db: Connection, contacts: Collection[int], as_of: datetime) -> None:
    """Gives back what these contacts (internal keys) reserved and neither confirmed nor released in time. No answer
    hangs on it: `holders` leave it out already.
    """
    db.execute(_END_RESERVATIONS, {"contacts": sorted(contacts), "as_of": as_of})


def known(db: Connection, keys: Sequence[tuple[int, str, str]]) -> dict[tuple[int, str, str], Mapping[str, Any]]:
    """What was answered to orders with these keys, by (contact, feature, key)."""
    contacts, features, given = zip(*keys, strict=True)
    rows = db.execute(_KNOWN, {"contacts": list(contacts), "features": list(features), "keys": list(given)}).mappings()
    return {(row["contact"], row["feature"], row["idempotency_key"]): {**row} for row in rows}


def write(db: Connection, notes: Sequence[Note]) -> list[int]:
    """Counts the debits and keeps the notes, in one statement; returns their numbers, in order."""
    if not notes:
        return []
    rows = [
        {
            "contact": note.contact,
            "feature": note.feature,
            "key": note.key,
            "operation": note.operation,
            "amount": sum(debit.amount for debit in note.debits),
            "debits": [_debit_json(debit) for debit in note.debits],
            "answer": note.answer,
            "expires_at": note.expires_at,
            "state": "reserved" if note.expires_at else "done",
            "place": place,
        }
        for place, note in enumerate(notes)
    ]
    return list(db.scalars(_WRITE, {"notes": msgspec.json.encode(rows).decode()}))


def book(db: Connection, debits: Iterable[tuple[int, str, Debit]]) -> None:
    """Counts debits, in the caller's transaction, which holds them."""
    sums: dict[tuple[int, str, str, datetime, datetime | None], int] = {}
    for contact, feature, one in debits:
        place = (contact, feature, one.bucket, one.start, one.end)
        sums[place] = sums.get(place, 0) + one.amount
    if not sums:
        return
    contacts, features, buckets, starts, ends = zip(*sums, strict=True)
    values = {"contact": list(contacts), "feature": list(features), "bucket": list(buckets), "start": list(starts)}
    values |= {"end": list(ends)}
    db.execute(_BOOK, values | {"n": list(sums.values())})


def debits_of(stored: Sequence[Mapping[str, Any]]) -> list[Debit]:
    """Debits as a note stores them."""
    return [
        Debit(
            one["bucket"],
            datetime.fromisoformat(one["start"]),
            one["amount"],
            datetime.fromisoformat(one["end"]) if one["end"] is not None else None,
        )
        for one in stored
    ]


def _debit_json(one: Debit) -> dict[str, Any]:
    end = one.end.isoformat() if one.end is not None else None
    return {"bucket": one.bucket, "start": one.start.isoformat(), "end": end, "amount": one.amount}


# In one order for everybody, lest two transactions wait for each other.
_ORDERED = """
select contact, pg_advisory_xact_lock(a, b) from (
  select distinct ((contact % 2147483648) - 1073741824)::int as a, hashtext(feature) as b, contact
  from ({places}) places
  order by 1, 2) ordered"""

_HOLD = text(
    _ORDERED.format(
        places="""
    select i.contact, held.feature from unnest(cast(:ids as text[]), cast(:features as text[])) as held(id, feature)
    join tidegate.contact_ids i on i.external_id = held.id and i.livemode = :livemode
    union
    select m.account, held.feature from unnest(cast(:ids as text[]), cast(:features as text[])) as held(id, feature)
    join tidegate.contact_ids i on i.external_id = held.id and i.livemode = :livemode
    join tidegate.contact_members m on m."user" = i.contact"""
    )
)

_HOLD_CONTACTS = text(
    _ORDERED.format(
        places="""
    select held.contact, f.key as feature
    from unnest(cast(:contacts as bigint[])) as held(contact), tidegate.features f where f.type = 'metered'"""
    )
)

_END_RESERVATIONS = text("""
with over as (
  update tidegate.usage_debits d set state = 'released', amount = 0
  where d.contact = any(cast(:contacts as bigint[])) and d.state = 'reserved' and d.expires_at <= :as_of
  returning d.contact, d.feature, d.debits),
back as (
  select contact, feature, one ->> 'bucket' as bucket, (one ->> 'start')::timestamptz as start,
    sum((one ->> 'amount')::bigint)::bigint as n
  from over, jsonb_array_elements(debits) one group by 1, 2, 3, 4),
noted as (
  insert into tidegate.used_contacts (contacts)
  select array_agg(distinct contact) from over having count(*) > 0)
update tidegate.usage u set used = greatest(0, u.used - back.n) from back
where (u.contact, u.feature, u.bucket, u.period_start) = (back.contact, back.feature, back.bucket, back.start)""")

_KNOWN = text("""
select d.contact, d.feature, d.idempotency_key, d.id, d.operation, d.answer, d.expires_at
from unnest(cast(:contacts as bigint[]), cast(:features as text[]), cast(:keys as text[]))
  as given(contact, feature, key)
join tidegate.usage_debits d
  on d.contact = given.contact and d.feature = given.feature and d.idempotency_key = given.key""")

_COUNTED = """
there as (
  update tidegate.usage u set used = greatest(0, u.used + new.n), period_end = greatest(u.period_end, new.period_end)
  from new
  where (u.contact, u.feature, u.bucket, u.period_start) = (new.contact, new.feature, new.bucket, new.period_start)
  returning u.contact, u.feature, u.bucket, u.period_start),
added as (
  insert into tidegate.usage as u (contact, feature, bucket, period_start, period_end, used)
  select contact, feature, bucket, period_start, period_end, greatest(0, n) from new
  where (contact, feature, bucket, period_start) not in (select contact, feature, bucket, period_start from there)
  on conflict (contact, feature, bucket, period_start) do update set used = u.used + excluded.used)"""

_NOTED = """
noted as (
  insert into tidegate.used_contacts (contacts) select array_agg(distinct contact) from {of} having count(*) > 0)"""

_BOOK = text(f"""
with new as (
  select * from unnest(cast(:contact as bigint[]), cast(:feature as text[]), cast(:bucket as text[]),
    cast(:start as timestamptz[]), cast(:end as timestamptz[]), cast(:n as bigint[]))
    as new(contact, feature, bucket, period_start, period_end, n)),
{_COUNTED},
{_NOTED.format(of="new")}
select""")

# One parameter: a list for each column would take the driver longer than all else takes here.
_WRITE = text(f"""
with notes as (
  select * from jsonb_to_recordset(cast(:notes as jsonb)) as n(contact bigint, feature text, key text, operation text,
    amount bigint, debits jsonb, answer jsonb, expires_at timestamptz, state text, place integer)),
new as (
  select contact, feature, one ->> 'bucket' as bucket, (one ->> 'start')::timestamptz as period_start,
    max((one ->> 'end')::timestamptz) as period_end, sum((one ->> 'amount')::bigint)::bigint as n
  from notes, jsonb_array_elements(debits) one group by 1, 2, 3, 4),
{_COUNTED},
{_NOTED.format(of="notes")}
insert into tidegate.usage_debits
  (contact, feature, idempotency_key, operation, amount, debits, answer, expires_at, state)
select contact, feature, key, operation, amount, debits, answer, expires_at, state from notes
order by place returning id""")
