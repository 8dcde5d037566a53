"""The subscriptions that numbers of mappings count: those that wait, that have a price, that keep what it meant."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, text

from tidegate.catalog.kept import STILL
from tidegate.catalog.mappings import LIVE, UNMAPPED

What = Literal["waiting", "price", "product", "kept"]


class Of(NamedTuple):
    """Live subscriptions with a price that waits for a mapping, with a price or a product, or those that `kept` what
    the price meant by a `mapping`.
    """

    what: What
    id: str
    mapping: int = 0


class After(NamedTuple):
    """Where a page ended: at which of what is asked for, and at which subscription."""

    place: int = 0
    subscription: str = ""


def subscriptions(
    db: Connection, connection: str, wanted: Sequence[Of], after: After | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """By id, of one after the other: {place (of what is asked for), of (the price or product), subscription, status,
    customer, contact, name}. A subscription with two of them stands there twice, as it counts in their sum.
    """
    found: list[dict[str, Any]] = []
    start = after or After()
    for place, one in [*enumerate(wanted)][start.place :]:
        left = None if limit is None else limit - len(found)
        if left is not None and left <= 0:
            break
        given = {"connection": connection, "id": one.id, "mapping": one.mapping, "limit": left}
        given["after"] = start.subscription if place == start.place else ""
        rows = db.execute(_OF[one.what], given).mappings()
        found += [{"place": place, "of": one.id, **row} for row in rows]
    return found


_SHOWN = """
select s.id as subscription, s.status, s.customer, t.kind || ':' || t.external_id as contact,
  coalesce(nullif(t.name, ''), nullif(c.name, ''), c.email, '') as name"""

_WHOSE = """
left join stripe.customers c on c.connection = s.connection and c.id = s.customer
left join tidegate.links k on k.connection = s.connection and k.customer = s.customer
left join tidegate.contacts t on t.key = k.contact"""

# Of the items of a subscription the first one speaks for it, so that the order of ids needs no sorting.
_WITH = f"""{_SHOWN}
from stripe.subscription_items i
join stripe.subscriptions s on s.connection = i.connection and s.id = i.subscription {_WHOSE}
where i.connection = :connection and i.{{column}} = :id and i.deleted_at is null and i.price is not null
  and s.deleted_at is null and s.status in {LIVE} and i.subscription > :after {{only}}
  and not exists (
    select from stripe.subscription_items e
    where e.connection = i.connection and e.subscription = i.subscription and e.{{column}} = :id
      and e.deleted_at is null and e.price is not null and e.id < i.id)
order by i.subscription limit cast(:limit as bigint)"""

_KEPT = f"""{_SHOWN}
from tidegate.kept_mappings m join stripe.subscriptions s on s.connection = m.connection and s.id = m.subscription
{_WHOSE}
where m.connection = :connection and m.price = :id and m.mapping = :mapping and m.subscription > :after
  and {STILL.format("m")}
order by m.subscription limit cast(:limit as bigint)"""

# Within a case it is asked of the rows that are shown; as joins PostgreSQL takes them to leave one row, and sorts all.
# What is mapped or ignored by now is found so before any row is read.
_WAITS = f"""and case when {UNMAPPED} then true else false end
  and not exists (
    select from tidegate.mappings m where m.connection = :connection and m.removed_at is null and (
      m.price = :id or m.product = (select product from stripe.prices where connection = :connection and id = :id)))
  and not exists (select from tidegate.ignored_prices g where g.connection = :connection and g.price = :id)"""

_OF = {
    "waiting": text(_WITH.format(column="price", only=_WAITS)),
    "price": text(_WITH.format(column="price", only="")),
    "product": text(_WITH.format(column="product", only="")),
    "kept": text(_KEPT),
}
