"""Contacts with all that their entitlements are read from: grants, overrides, usage; one statement for many."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, text

from tidegate.contacts.directory import meant
from tidegate.entitlements.access import AccessPolicy
from tidegate.entitlements.buckets import Spent
from tidegate.entitlements.resolve import Grant, Holder, Override
from tidegate.errors import TidegateError
from tidegate.store.driver import rows


class Asked(NamedTuple):
    """A contact that was asked for by an id: itself first, then the accounts that a user belongs to, the longest known
    first. `keys` are internal, `holders` beside them.
    """

    keys: tuple[int, ...]
    holders: tuple[Holder, ...]


class Standing(NamedTuple):
    """What was asked for, by the ids as they were given, with the instant (UTC) and the catalog's revision that it
    stands at. An error: ContactUnknown, ContactAmbiguous. `late`: contacts (internal keys) with reservations that
    nobody settled in time.
    """

    as_of: datetime
    revision: int
    asked: Mapping[str, Asked | TidegateError]
    late: tuple[int, ...] = ()


def load(
    db: Connection, contacts: Sequence[int], as_of: datetime, features: Sequence[str] | None = None
) -> dict[int, Holder]:
    """The holders of these internal keys. `features`: whose usage is loaded; None: of all.

    What was reserved, and by `as_of` neither confirmed nor released in time, is not used.
    """
    if not contacts:
        return {}
    only = list(features) if features is not None else None
    found = rows(db, _BY_KEY, {"contacts": list(contacts), "features": only, "as_of": as_of})
    return {row.key: _holder(row) for row in found}


def ask(
    db: Connection,
    livemode: bool,
    refs: Sequence[str],
    features: Sequence[str] | None = None,
    *,
    as_of: datetime | None = None,
) -> Standing:
    """Finds contacts by any id that they ever had, `acme` or `account:acme`, as `directory.find` does, and loads them
    with their accounts. `features`: whose usage is loaded; None: of all. `as_of` None: the database's time.
    """
    only = [one for one in features if is_text(one)] if features is not None else None
    ids = sorted({one for ref in refs for one in ids_of(ref)})
    lines = rows(db, _BY_ID, {"livemode": livemode, "ids": ids, "features": only, "as_of": as_of})
    head = lines[0]
    found: dict[tuple[str, str], tuple[list[int], list[Holder]]] = {}
    made: dict[int, Holder] = {}
    for row in lines:
        if row.key is not None:
            holder = made.setdefault(row.key, made.get(row.key) or _holder(row))
            keys, holders = found.setdefault((row.asked_kind, row.asked_id), ([], []))
            keys.append(row.key)
            holders.append(holder)
    late = tuple({row.key for row in lines if row.late})
    return Standing(head.moment.astimezone(UTC), head.revision, {ref: _asked(ref, found) for ref in refs}, late)


def ids_of(ref: str) -> list[str]:
    """Every id that a reference may mean: `account:acme` is the account acme, or whoever has just this id."""
    return [one for one in dict.fromkeys((ref, ref.partition(":")[2])) if one and is_text(one)]


def is_text(given: str) -> bool:
    """Whether the database can hold it: one request that asks for anything else must not fail the others."""
    return "\0" not in given and not any("\ud800" <= one <= "\udfff" for one in given)


def _asked(ref: str, found: Mapping[tuple[str, str], tuple[list[int], list[Holder]]]) -> Asked | TidegateError:
    try:
        keys, holders = found[meant(ref, found)]
    except TidegateError as error:
        return error
    return Asked(tuple(keys), tuple(holders))


_GRANTS = msgspec.json.Decoder(list[Grant])
_OVERRIDES = msgspec.json.Decoder(list[Override])
_USED = msgspec.json.Decoder(list[tuple[str, str, datetime, datetime | None, int]])
_PAUSES = msgspec.json.Decoder(dict[str, list[str]])


def _holder(row: Any) -> Holder:
    spent = _USED.decode(row.used) if row.used else ()
    used = {(feature, bucket, start): Spent(units, end) for feature, bucket, start, end, units in spent}
    policies = {key: AccessPolicy(paused_gives=frozenset(said)) for key, said in _PAUSES.decode(row.pauses).items()}
    return Holder(
        f"{row.kind}:{row.external_id}",
        row.created_at,
        _GRANTS.decode(row.grants) if row.grants else (),
        _OVERRIDES.decode(row.overrides) if row.overrides else (),
        used,
        policies,
    )


# JSON, because it is decoded straight into what `resolve` takes, in a fraction of the time that rows of columns need.
_AT = """
with at as materialized (
  select coalesce(cast(:as_of as timestamptz), clock_timestamp()) as moment,
    (select revision from tidegate.catalog_state) as revision,
    (select coalesce(json_object_agg(connection, settings -> 'paused_gives'), '{}')::text
     from tidegate.contact_settings where jsonb_exists(settings, 'paused_gives')) as pauses)"""

_COLUMNS = """
c.key, c.kind, c.external_id, c.created_at, at.moment, at.revision, at.pauses,
exists(select from tidegate.usage_debits r
  where r.contact = c.key and r.state = 'reserved' and r.expires_at <= at.moment) as late,
(select json_agg(json_build_array(g.connection, g.customer, g.subscription, g.item, g.price, g.mapping,
    json_build_array(g.status, g.ends_at, g.grace_until, g.pause, g.resumes_at), g.since, g.anchor, g.package,
    g.version, g.feature, g.terms, g.times,
    case when g.interval is not null then json_build_array(g.interval, coalesce(g.interval_count, 1)) end)
    order by g.since, g.connection, g.subscription, g.item)::text
  from tidegate.grants g where g.contact = c.key) as grants,
(select json_agg(json_build_array(o.id, o.since, o.by, o.reason, o.operation, o.package, o.version, o.feature, o.terms,
    o.expires_at, o.priority) order by o.since, o.id)::text
  from tidegate.overrides o where o.contact = c.key and o.revoked_at is null) as overrides,
(select json_agg(json_build_array(u.feature, u.bucket, u.period_start, u.period_end, u.used - coalesce((
    select sum((one ->> 'amount')::bigint) from tidegate.usage_debits r, jsonb_array_elements(r.debits) one
    where r.contact = u.contact and r.feature = u.feature and r.state = 'reserved' and r.expires_at <= at.moment
      and one ->> 'bucket' = u.bucket and (one ->> 'start')::timestamptz = u.period_start), 0)::bigint))::text
  from tidegate.usage u where u.contact = c.key
    and u.period_start <= at.moment and (u.period_end is null or u.period_end > at.moment)
    and (cast(:features as text[]) is null or u.feature = any(cast(:features as text[])))) as used"""

_BY_KEY = text(f"""{_AT}
select {_COLUMNS}
from at, unnest(cast(:contacts as bigint[])) as wanted(key) join tidegate.contacts c on c.key = wanted.key""")

_BY_ID = text(f"""{_AT}
select asked.kind as asked_kind, asked.external_id as asked_id, {_COLUMNS}
from at
left join (
  select i.kind, i.external_id, i.contact as key, 0::bigint as place
  from tidegate.contact_ids i where i.livemode = :livemode and i.external_id = any(cast(:ids as text[]))
  union all
  select i.kind, i.external_id, m.account, m.place
  from tidegate.contact_ids i
  cross join lateral (
    select m.account, row_number() over (order by a.created_at, a.key) as place
    from tidegate.contact_members m join tidegate.contacts a on a.key = m.account and a.merged_into is null
    where m."user" = i.contact) m
  where i.livemode = :livemode and i.external_id = any(cast(:ids as text[]))) asked on true
left join tidegate.contacts c on c.key = asked.key
order by asked.kind, asked.external_id, asked.place""")
