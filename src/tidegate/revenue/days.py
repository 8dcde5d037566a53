"""Reads how MRR moved: from the sums by day, or by price and day, fast however many customers there are; by groups of
customers from the ledger.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, text

from tidegate.revenue import source
from tidegate.revenue.bridge import SWITCHED, Row
from tidegate.revenue.editions import Ledger
from tidegate.revenue.price_days import WORTH
from tidegate.revenue.source import UNGROUPED, Group, Window


def currencies(db: Connection, ledger: Ledger) -> list[str]:
    """The currencies that there is MRR in, or was."""
    return list(db.scalars(_CURRENCIES, {"connection": ledger.connection, "edition": ledger.edition}))


def rows(db: Connection, ledger: Ledger, window: Window, by: Group = UNGROUPED) -> list[Row]:
    """The sums of movements by bucket, currency, group and kind, up to the window's last day.

    Where groups are of prices, what an item's new price brings and its old one loses are rows of kind `switched`.
    """
    given = source.values(ledger, window, by)
    if not by.name or by.name == "currency":
        found = [Row(*row) for row in db.execute(_BY_DAY, given)]
        return [row._replace(group=row.currency) for row in found] if by.name else found
    source.roomy(db)
    if not by.of_prices:
        return [Row(*row) for row in db.execute(text(_BY_GROUP.format(source=source.moves(ledger, by))), given)]
    names = {"named": source.named(by), "joined": source.joined(by)}
    found = [Row(*row) for row in db.execute(text(_BY_PRICE.format(source=source.prices(ledger), **names)), given)]
    moved = [row for row in found if row.kind != WORTH]
    return [*moved, *_switched(moved, [row for row in found if row.kind == WORTH])]


def _switched(moved: Iterable[Row], stocks: Sequence[Row]) -> list[Row]:
    """By how much more, or less, each group's stock changed than its movements tell."""
    rest: dict[tuple[int, str, str], int] = {}
    for row, sign in [*((row, 1) for row in stocks), *((row, -1) for row in moved)]:
        key = row.bucket, row.currency, row.group
        rest[key] = rest.get(key, 0) + sign * row.amount
    return [Row(*key, SWITCHED, amount) for key, amount in rest.items() if amount]


_CURRENCIES = text("""
select distinct currency from tidegate.mrr_days where connection = :connection and edition = :edition order by 1""")

_BY_DAY = text("""
select width_bucket(day, cast(:days as date[])) as bucket, currency, '' as grp, kind, sum(amount)::bigint as amount
from tidegate.mrr_days
where connection = :connection and edition = :edition and day <= :last and kind <> 'transfer'
group by 1, 2, 4""")

_BY_GROUP = """
select bucket, currency, grp, kind, sum(amount)::bigint as amount from ({source}) changes
group by bucket, currency, grp, kind"""

# Prices are few, so that sums by price are made before these are looked up.
_BY_PRICE = """
with sums as ({source})
select m.bucket, m.currency, {named} as grp, m.kind, sum(m.amount)::bigint as amount from sums m{joined}
group by m.bucket, m.currency, grp, m.kind having sum(m.amount) <> 0"""
