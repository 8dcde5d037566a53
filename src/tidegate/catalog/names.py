"""What Stripe's prices and products are called: an id alone tells a person nothing."""

from collections.abc import Collection

from sqlalchemy import Connection, text

Of = tuple[str, str]
"""A connection and the id of one of its prices."""


def prices(db: Connection, wanted: Collection[Of]) -> dict[Of, str]:
    """Names of prices: `Team, “launch”, a month`. A price that the mirror lacks, or that nothing names, is left out."""
    if not wanted:
        return {}
    connections, ids = zip(*sorted(wanted), strict=True)
    rows = db.execute(_PRICES, {"connections": list(connections), "prices": list(ids)})
    named = {
        (row.connection, row.price): called(row.product_name, row.nickname, row.interval, row.interval_count)
        for row in rows
    }
    return {of: name for of, name in named.items() if name}


def product(db: Connection, connection: str, id_: str) -> str:
    """The name of a product; empty where the mirror lacks it."""
    return db.scalar(_PRODUCT, {"connection": connection, "product": id_}) or ""


def called(product: str | None, nickname: str | None, interval: str | None, count: int | None) -> str:
    """A price by its product, its own name and its interval; empty where none is known."""
    each = f"every {count} {interval}s" if interval and (count or 1) > 1 else f"a {interval}" if interval else ""
    own = f"“{nickname}”" if nickname and nickname != product else ""
    return ", ".join(one for one in (product, own, each) if one) if product or own else ""


_PRODUCT = text("select name from stripe.products where connection = :connection and id = :product")

_PRICES = text("""
select p.connection, p.id as price, o.name as product_name, p.nickname, p.interval, p.interval_count
from unnest(cast(:connections as text[]), cast(:prices as text[])) as wanted(connection, price)
join stripe.prices p on p.connection = wanted.connection and p.id = wanted.price
left join stripe.products o on o.connection = p.connection and o.id = p.product""")
