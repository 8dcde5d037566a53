"""Grandfathering: what subscriptions have of a price they keep, whatever the price means to those who come later."""

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
