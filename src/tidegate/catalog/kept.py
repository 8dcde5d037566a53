"""Grandfathering: what subscriptions have of a price they keep, whatever the price means to those who come later."""

from typing import Any

from sqlalchemy import Connection, text


def keep(db: Connection, connection: str, price: str | None, product: str | None) -> int:
    """Lets the subscriptions that have the price, or a price that its product's mapping speaks for, keep what they
    have now; returns how many prices of subscriptions do. Call it before the mapping changes.
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
    gives, `subscriptions` that keep it, and `since` when the first of them does.
    """
    return [dict(row) for row in db.execute(_EVERY, {"connection": connection}).mappings()]


# What a product's mapping does not speak for, it does not take away: prices mapped themselves are left alone.
_OF_PRODUCT = """
{0}.price in (select id from stripe.prices where connection = :connection and product = cast(:product as text))
  and not exists (select from tidegate.mappings own
    where own.connection = :connection and own.removed_at is null and own.price = {0}.price)"""

_KEEP = text(f"""
insert into tidegate.kept_mappings (connection, subscription, price, mapping)
select distinct on (connection, subscription, price) connection, subscription, price, mapping
from tidegate.grants g
where connection = :connection and (price = cast(:price as text) or ({_OF_PRODUCT.format("g")}))
on conflict do nothing""")

_COUNT = text(f"""
select count(*) from tidegate.kept_mappings k
where connection = :connection and (price = cast(:price as text) or ({_OF_PRODUCT.format("k")}))""")

_LET_GO = text(f"""
delete from tidegate.kept_mappings k
where connection = :connection and (price = cast(:price as text) or ({_OF_PRODUCT.format("k")}))""")

_EVERY = text("""
select k.connection, k.price, p.product, d.name as product_name, m.package, m.feature, m.terms,
  count(*) as subscriptions, min(k.kept_at) as since
from tidegate.kept_mappings k
join tidegate.mappings m on m.id = k.mapping
left join stripe.prices p on p.connection = k.connection and p.id = k.price
left join stripe.products d on d.connection = k.connection and d.id = p.product
where cast(:connection as text) is null or k.connection = :connection
group by k.connection, k.price, p.product, d.name, m.package, m.feature, m.terms, m.id
order by k.connection, k.price, m.id""")
