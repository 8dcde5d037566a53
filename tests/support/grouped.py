"""What reports by group say, read of the whole ledger: what the sums that are kept are held against."""

from collections import Counter
from collections.abc import Sequence
from datetime import date

from sqlalchemy import Connection, text

from tidegate.revenue import days, source
from tidegate.revenue.bridge import SWITCHED
from tidegate.revenue.editions import Ledger
from tidegate.revenue.periods import BYS, periods
from tidegate.revenue.source import Group, Window, group

GROUPS = ("package", "product", "price", "interval", "currency", "country", "contact", "property:tier")
Sums = Counter[tuple[int, str, str, str]]
"""By bucket, currency, group and kind."""


def differences(db: Connection, ledger: Ledger, first: date, last: date) -> tuple[list[str], int]:
    """In which reports, by any group and period, what is kept differs from the ledger; and how many sums were equal."""
    wrong: list[str] = []
    equal = 0
    windows = [(by, Window.of(periods(by, first, last))) for by in BYS]
    windows += [("each day of a month", Window.of(periods("month", first, last), daily=True))]
    for name in GROUPS:
        for by, window in windows:
            kept, whole = read(db, ledger, window, group(name)), in_full(db, ledger, window, group(name))
            wrong += [f"{name} by {by}: {key}" for key in sorted({*kept, *whole}) if kept[key] != whole[key]]
            equal += len(whole)
    return wrong, equal


def read(db: Connection, ledger: Ledger, window: Window, by: Group) -> Sums:
    """What reports read; transfers are switches."""
    found = Sums()
    for row in days.rows(db, ledger, window, by):
        found[row.bucket, row.currency, row.group, SWITCHED if row.kind == "transfer" else row.kind] += row.amount
    return _told(found)


def in_full(db: Connection, ledger: Ledger, window: Window, by: Group) -> Sums:
    """The same of every row of movements, and of the ends of every span."""
    given = source.values(ledger, window, by)
    found, switched = Sums(), Sums()
    for bucket, currency, grp, kind, amount in db.execute(text(_ROWS.format(source=source.movements(by))), given):
        found[bucket, currency, grp, SWITCHED if kind == "transfer" else kind] += amount
        if by.of_prices:
            switched[bucket, currency, grp, SWITCHED] -= amount
    if by.of_prices:
        for bucket, currency, grp, _, amount in db.execute(text(_ROWS.format(source=source.edges(ledger, by))), given):
            switched[bucket, currency, grp, SWITCHED] += amount
    for key, amount in switched.items():
        found[key] += amount
    return _told(found)


def standing(db: Connection) -> Sequence[tuple[object, ...]]:
    """The sums by price and day, but for those that are nothing."""
    return [
        tuple(row)
        for row in db.execute(text("select * from tidegate.price_days where amount <> 0 order by 1,2,3,4,5,6,7"))
    ]


def _told(found: Sums) -> Sums:
    return Sums({key: amount for key, amount in found.items() if amount})


_ROWS = "select bucket, currency, grp, kind, sum(amount)::bigint from ({source}) changes group by 1, 2, 3, 4"
