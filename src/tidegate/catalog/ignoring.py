"""Prices that are to mean nothing: a person said so, and they wait for no mapping."""

from typing import Any

from sqlalchemy import Connection, text

from tidegate.errors import CatalogInvalid, ManagedByFile


def ignore(db: Connection, connection: str, price: str, by: str, managed_by: str = "") -> bool:
    """Lets a price of the mirror mean nothing; false when it is so already. `managed_by`: `file`, where tidegate.yaml
    says so. Raises CatalogInvalid.
    """
    values = {"connection": connection, "price": price}
    if db.scalar(_MAPPED, values):
        raise CatalogInvalid(problem=f"The price {price} is mapped; remove the mapping instead.")
    if not db.scalar(_KNOWN, values):
        raise CatalogInvalid(
            problem=f"The mirror of {connection} has no price {price}. Check the id; a new one comes in with "
            "`tidegate catch-up`."
        )
    made = db.execute(_IGNORE, values | {"by": by, "managed_by": managed_by}).rowcount > 0
    db.execute(_NOTED_NO_MORE, values)
    return made


def heed(db: Connection, connection: str, price: str, *, by_file: bool = False) -> bool:
    """Ends that a price is ignored; false when it is not. Raises ManagedByFile."""
    values = {"connection": connection, "price": price}
    if not by_file and db.scalar(_MANAGED, values):
        raise ManagedByFile(what=f"That the price {price} is ignored")
    return db.execute(_HEED, {"connection": connection, "price": price}).rowcount > 0


def every(db: Connection, connection: str) -> list[dict[str, Any]]:
    """What is ignored of a connection, by price: {price, product_name, nickname, interval, interval_count, at, by,
    managed_by}."""
    return [dict(row) for row in db.execute(_EVERY, {"connection": connection}).mappings()]


def all_of_them(db: Connection) -> list[dict[str, Any]]:
    """What is ignored of every connection: {connection, price, managed_by}."""
    return [dict(row) for row in db.execute(_ALL).mappings()]


def release(db: Connection, connection: str, price: str) -> None:
    """Lets what the file managed be changed elsewhere."""
    db.execute(_RELEASE, {"connection": connection, "price": price})


_MAPPED = text("""
select exists (select from tidegate.mappings
  where connection = :connection and price = :price and removed_at is null)""")

_KNOWN = text("select exists (select from stripe.prices where connection = :connection and id = :price)")

_IGNORE = text("""
insert into tidegate.ignored_prices as g (connection, price, by, managed_by)
values (:connection, :price, :by, :managed_by)
on conflict (connection, price) do update set managed_by = excluded.managed_by
where g.managed_by = '' and excluded.managed_by <> ''""")

_MANAGED = text("""
select managed_by <> '' from tidegate.ignored_prices where connection = :connection and price = :price""")

_RELEASE = text("""
update tidegate.ignored_prices set managed_by = '' where connection = :connection and price = :price""")

_ALL = text("select connection, price, managed_by from tidegate.ignored_prices order by connection, price")

_NOTED_NO_MORE = text("delete from tidegate.unmapped_prices where connection = :connection and price = :price")

_HEED = text("delete from tidegate.ignored_prices where connection = :connection and price = :price")

_EVERY = text("""
select g.price, o.name as product_name, p.nickname, p.interval, p.interval_count, g.at, g.by, g.managed_by
from tidegate.ignored_prices g
left join stripe.prices p on p.connection = g.connection and p.id = g.price
left join stripe.products o on o.connection = p.connection and o.id = p.product
where g.connection = :connection order by g.price""")
