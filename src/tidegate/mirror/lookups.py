"""Finds mirrored objects by what others know of them: an e-mail address, a metadata value, a lookup key. No request."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, text

BY: Mapping[str, str] = {
    "id": "o.id",
    "email": "lower(o.email)",
    "lookup_key": "o.lookup_key",
    "number": "o.number",
    "code": "o.code",
    "metadata": "o.data -> 'metadata' ->> :name",
}
"""What a way to find an object compares, in SQL."""
ENDED: Mapping[str, str] = {
    "products": "not coalesce(o.active, true)",
    "prices": "not coalesce(o.active, true)",
    "subscriptions": "o.status in ('canceled', 'incomplete_expired')",
    "invoices": "o.status in ('void', 'uncollectible')",
    "quotes": "o.status = 'canceled'",
}
"""Which objects of a resource count only where no other one is found: they are archived, or over."""


UNLISTED = frozenset({"meter_events", "contacts"})
"""Resources of which Stripe has no list, so that the mirror knows none: contacts are the hub's own."""


class Object(NamedTuple):
    """A mirrored object: its body, Stripe's time of this version, and whether it was deleted."""

    body: Mapping[str, Any]
    at: datetime
    deleted: bool


def find(
    db: Connection, connection: str, resource: str, way: str, name: str, values: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """The ids of the objects of a resource that have one of these values, by value; those that are over are named only
    where no other has it. E-mail addresses are compared whatever the case of their letters, by the database alone.

    `way`: a key of `BY`; `name`: the metadata key, else empty. Values that nothing has are left out.
    """
    if not values:
        return {}
    by, value = BY[way], "lower(wanted.value)" if way == "email" else "wanted.value"
    sql = f"""
select wanted.value, array_agg(o.id order by o.created, o.id) as ids, {ENDED.get(resource, "false")} as ended
from unnest(cast(:values as text[])) as wanted(value)
join stripe.{resource} o on o.connection = :connection and o.deleted_at is null and {by} = {value}
group by 1, 3"""
    said = {"connection": connection, "name": name, "values": sorted(values)}
    found: dict[str, tuple[bool, tuple[str, ...]]] = {}
    for row in db.execute(text(sql), said):
        if row.value not in found or found[row.value][0] > row.ended:
            found[row.value] = (row.ended, tuple(row.ids))
    return {value: ids for value, (_, ids) in found.items()}


def bodies(db: Connection, connection: str, resource: str, ids: Sequence[str]) -> dict[str, Object]:
    """Objects by their ids; those that the mirror lacks are left out. Of children they hold as many as lists showed."""
    if not ids or resource in UNLISTED:
        return {}
    sql = f"""
select id, data::text as data, updated_at, deleted_at is not null as deleted from stripe.{resource}
where connection = :connection and id = any(cast(:ids as text[]))"""
    rows = db.execute(text(sql), {"connection": connection, "ids": list(ids)}).all()
    return {id_: Object(msgspec.json.decode(data), at, deleted) for id_, data, at, deleted in rows}


def living(db: Connection, connection: str, resource: str, ids: Collection[str]) -> set[str]:
    """Those of these objects that the mirror has and that were not deleted."""
    if not ids:
        return set()
    sql = f"""
select id from stripe.{resource}
where connection = :connection and id = any(cast(:ids as text[])) and deleted_at is null"""
    return set(db.scalars(text(sql), {"connection": connection, "ids": sorted(set(ids))}))


def said_since(
    db: Connection, connection: str, resource: str, way: str, name: str, since: datetime | None
) -> list[str]:
    """What objects that changed since have of what they are found by (`find`); `since` None: what all have."""
    by = BY[way]
    sql = f"""
select distinct {by} from stripe.{resource} o
where o.connection = :connection and {by} is not null
  and (cast(:since as timestamptz) is null or o.updated_at >= cast(:since as timestamptz) - interval '1 second')"""
    return list(db.scalars(text(sql), {"connection": connection, "name": name, "since": since}))


class Mark(NamedTuple):
    """What tells whether an object was stored anew since: the same `storing` is the same one; `at`: Stripe's time of
    that version, in epoch seconds.
    """

    storing: str
    at: int


def marks(db: Connection, connection: str, resource: str, ids: Sequence[str]) -> dict[str, Mark]:
    """The marks of objects, by id; those that the mirror lacks have none."""
    if resource in UNLISTED:
        return {}
    sql = f"""
select id, xmin::text as storing, extract(epoch from updated_at)::bigint as at from stripe.{resource}
where connection = :connection and id = any(cast(:ids as text[]))"""
    rows = db.execute(text(sql), {"connection": connection, "ids": list(ids)})
    return {row.id: Mark(row.storing, row.at) for row in rows}


HANGING: Mapping[str, str] = {
    "customers": """
select o.id, 'live_subscriptions' as what, count(*)::text as said from unnest(cast(:ids as text[])) as o(id)
join stripe.subscriptions s on s.connection = :connection and s.customer = o.id and s.deleted_at is null
  and s.status not in ('canceled', 'incomplete_expired') group by 1""",
    "products": """
select o.id, 'has_prices' as what, count(*)::text as said from unnest(cast(:ids as text[])) as o(id)
join stripe.prices p on p.connection = :connection and p.product = o.id and p.deleted_at is null group by 1""",
    "invoiceitems": """
select o.id, 'invoice_status' as what, coalesce(i.status, 'draft') as said
from unnest(cast(:ids as text[])) as o(id)
join stripe.invoiceitems t on t.connection = :connection and t.id = o.id
join stripe.invoices i on i.connection = :connection and i.id = t.invoice""",
}


def hanging(db: Connection, connection: str, resource: str, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """What hangs on objects that decides what may be done with them, by id: `live_subscriptions` of a customer,
    `has_prices` of a product (how many), `invoice_status` of an invoice item.
    """
    found: dict[str, dict[str, str]] = {}
    if ids and resource in HANGING:
        for row in db.execute(text(HANGING[resource]), {"connection": connection, "ids": list(ids)}):
            found.setdefault(row.id, {})[row.what] = row.said
    return found


def forgotten(db: Connection, connection: str, customers: Collection[str]) -> set[str]:
    """Those of these customers (Stripe ids) who were forgotten: of them nothing is to be sent any more."""
    if not customers:
        return set()
    sql = """
select customer from tidegate.forgotten
where connection = :connection and customer = any(cast(:customers as text[]))"""
    return set(db.scalars(text(sql), {"connection": connection, "customers": sorted(customers)}))
