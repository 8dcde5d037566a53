"""Grandfathering: what subscriptions have of a price they keep, whatever the price means to those who come later."""

from typing import Any

from sqlalchemy import Connection, text


def keep(db: Connection, connection: str, price: str | None, product: str | None) -> int:
    """Lets the subscriptions that have the price, or a price that its product's mapping speaks for, keep what that
    means now; returns how many prices of subscriptions do. Call it before the mapping changes.

    The mirror says who has it, linked to a contact or not and whether or not a refresh came by since. What is kept
    stays kept until it is let go: a subscription that leaves the price and comes back has again what it kept.
    """
    values = {"connection": connection, "price": price, "product": product}
    db.execute(_KEEP, values)
    return db.scalar(_COUNT, values) or 0


def let_go(db: Connection, connection: str, price: str | None, product: str | None) -> int:
    """Ends the keeping of a price, or of every price of a product that is not mapped itself; returns how many."""
    values = {"connection": connection, "price": price, "product": product}
    return db.execute(_LET_GO, values).rowcount


def every(db: Connection, connection: str | None = None) -> list[dict[str, Any]]:
    """What is kept, by price: `price`, `product`, `product_name`, the `package` or `feature` with its `terms` that it
    gives, and by which `mapping` (its number), `subscriptions` that keep it and have the price now, and `since` when
    the first of them does. What none of them has now is left out.
    """
    return [dict(row) for row in db.execute(_EVERY, {"connection": connection}).mappings()]


# What a product's mapping does not speak for, it does not take away: prices mapped themselves are left alone.
_OF_PRODUCT = """
{0}.price in (
    select id from stripe.prices where connection = :connection and product = cast(:product as text)
    union
    select price from stripe.subscription_items where connection = :connection and product = cast(:product as text))
  and not exists (select from tidegate.mappings own
    where own.connection = :connection and own.removed_at is null and own.price = {0}.price)"""

_KEEP = text("""
insert into tidegate.kept_mappings (connection, subscription, price, mapping)
select distinct on (i.subscription, i.price) i.connection, i.subscription, i.price, coalesce(p.id, q.id)
from stripe.subscription_items i
join stripe.subscriptions s on s.connection = i.connection and s.id = i.subscription and s.deleted_at is null
left join tidegate.mappings p on p.connection = i.connection and p.price = i.price and p.removed_at is null
left join tidegate.mappings q on q.connection = i.connection and q.product = i.product and q.removed_at is null
where i.connection = :connection and i.deleted_at is null and s.status <> 'incomplete_expired'
  and coalesce(p.id, q.id) is not null
  and (i.price = cast(:price as text) or (i.product = cast(:product as text) and p.id is null))
order by i.subscription, i.price, i.id
on conflict do nothing""")

STILL = """
exists (
  select from stripe.subscription_items i
  join stripe.subscriptions s on s.connection = i.connection and s.id = i.subscription and s.deleted_at is null
  where i.connection = {0}.connection and i.subscription = {0}.subscription and i.price = {0}.price
    and i.deleted_at is null)"""
"""SQL: whether the subscription of what is kept, of this name, has the price now."""

_COUNT = text(f"""
select count(*) from tidegate.kept_mappings k
where connection = :connection and (price = cast(:price as text) or ({_OF_PRODUCT.format("k")}))
  and {STILL.format("k")}""")

_LET_GO = text(f"""
delete from tidegate.kept_mappings k
where connection = :connection and (price = cast(:price as text) or ({_OF_PRODUCT.format("k")}))""")

_EVERY = text(f"""
select k.connection, k.price, p.product, d.name as product_name, m.id as mapping, m.package, m.feature, m.terms,
  count(*) as subscriptions, min(k.kept_at) as since
from tidegate.kept_mappings k
join tidegate.mappings m on m.id = k.mapping
left join stripe.prices p on p.connection = k.connection and p.id = k.price
left join stripe.products d on d.connection = k.connection and d.id = p.product
where (cast(:connection as text) is null or k.connection = :connection) and {STILL.format("k")}
group by k.connection, k.price, p.product, d.name, m.package, m.feature, m.terms, m.id
order by k.connection, k.price, m.id""")
