"""Prices that are to mean nothing: a person said so, and they wait for no mapping."""

from typing import Any

from sqlalchemy import Connection, text

from tidegate.errors import CatalogInvalid


def ignore(db: Connection, connection: str, price: str, by: str) -> bool:
    """Lets a price of the mirror mean nothing; false when it is so already. Raises CatalogInvalid."""
    values = {"connection": connection, "price": price}
    if db.scalar(_MAPPED, values):
        raise CatalogInvalid(problem=f"The price {price} is mapped; remove the mapping instead.")
    if not db.scalar(_KNOWN, values):
        raise CatalogInvalid(
            problem=f"The mirror of {connection} has no price {price}. Check the id; a new one comes in with "
            "`tidegate catch-up`."
        )
    made = db.execute(_IGNORE, values | {"by": by}).rowcount > 0
    db.execute(_NOTED_NO_MORE, values)
    return made


def heed(db: Connection, connection: str, price: str) -> bool:
    """Ends that a price is ignored; false when it is not."""
    return db.execute(_HEED, {"connection": connection, "price": price}).rowcount > 0


def every(db: Connection, connection: str) -> list[dict[str, Any]]:
    """What is ignored of a connection, by price: {price, product_name, nickname, interval, interval_count, at, by}."""
    return [dict(row) for row in db.execute(_EVERY, {"connection": connection}).mappings()]


_MAPPED = text("""
select exists (select from tidegate.mappings
  where connection = :connection and price = :price and removed_at is null)""")

_KNOWN = text("select exists (select from stripe.prices where connection = :connection and id = :price)")

_IGNORE = text("""
insert into tidegate.ignored_prices (connection, price, by) values (:connection, :price, :by)
on conflict do nothing""")

_NOTED_NO_MORE = text("delete from tidegate.unmapped_prices where connection = :connection and price = :price")

_HEED = text("delete from tidegate.ignored_prices where connection = :connection and price = :price")

_EVERY = text("""
select g.price, o.name as product_name, p.nickname, p.interval, p.interval_count, g.at, g.by
from tidegate.ignored_prices g
left join stripe.prices p on p.connection = g.connection and p.id = g.price
left join stripe.products o on o.connection = p.connection and o.id = p.product
where g.connection = :connection order by g.price""")
