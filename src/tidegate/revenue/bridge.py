"""How MRR went from one end of a period to the other: opening, movements by kind, fx and closing, which add up."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from tidegate.revenue.periods import Period, place
from tidegate.revenue.rates import Rates

KINDS = ("new", "reactivation", "expansion", "contraction", "churn")
SWITCHED = "switched"
"""Within groups: what came from other groups less what went to them. It is nothing over all groups."""


class Row(NamedTuple):
    """Sums of movements, as `days` and `groups` read them: `bucket` is the place among a report's thresholds (0: before
    the first), amounts in millionths of a minor unit, what is lost negative.
    """

    bucket: int
    currency: str
    group: str
    kind: str
    amount: int


class Line(NamedTuple):
    """A period of one group in one currency, in millionths of a minor unit; `moved` by kind, what is lost negative.

    opening + Σ moved + fx = closing. None: a rate is missing.
    """

    period: Period
    currency: str
    group: str
    opening: int | None
    moved: Mapping[str, int | None]
    fx: int | None
    closing: int | None

    @property
    def net_new(self) -> int | None:
        """Closing less opening."""
        return None if self.opening is None or self.closing is None else self.closing - self.opening


def native(rows: Iterable[Row], periods: Sequence[Period]) -> list[Line]:
    """A line for each group, currency and period; thresholds are the first days of the periods."""
    found: list[Line] = []
    for (group, currency), sums in sorted(_by_currency(rows).items()):
        stock = sum(sums[0].values())
        for number, period in enumerate(periods, 1):
            moved = sums[number]
            closing = stock + sum(moved.values())
            found.append(Line(period, currency, group, stock, _moved(moved), 0, closing))
            stock = closing
    return found


def converted(
    rows: Iterable[Row], thresholds: Sequence[date], periods: Sequence[Period], rates: Rates, today: date
) -> list[Line]:
    """A line for each group and period, in the base currency of the rates; the thresholds are all days.

    Each movement by its own day's rate, the stock by the rate of the day that it stands on, the rest is fx.
    """
    by_group: dict[str, dict[str, dict[int, dict[str, int]]]] = defaultdict(dict)
    for (group, currency), sums in _by_currency(rows).items():
        by_group[group][currency] = sums
    found: list[Line] = []
    for group, currencies in sorted(by_group.items()):
        stock = {currency: sum(sums[0].values()) for currency, sums in currencies.items()}
        for period in periods:
            opening = rates.total(stock.items(), min(period.first - timedelta(days=1), today))
            moved: dict[str, int | None] = {}
            for currency, sums in currencies.items():
                for bucket in range(place(thresholds, period.first), place(thresholds, period.last) + 1):
                    if bucket not in sums:
                        continue
                    for kind, amount in sums[bucket].items():
                        stock[currency] += amount
                        told = rates.convert(amount, currency, thresholds[bucket - 1])
                        moved[kind] = _plus(moved.get(kind, 0), told)
            closing = rates.total(stock.items(), min(period.last, today))
            all_moved = _moved(moved)
            fx = _fx(opening, all_moved.values(), closing)
            found.append(Line(period, rates.base, group, opening, all_moved, fx, closing))
    return found


def _by_currency(rows: Iterable[Row]) -> dict[tuple[str, str], dict[int, dict[str, int]]]:
    """By group and currency, bucket and kind."""
    found: dict[tuple[str, str], dict[int, dict[str, int]]] = {}
    for row in rows:
        sums = found.setdefault((row.group, row.currency), defaultdict(lambda: defaultdict(int)))
        sums[row.bucket][row.kind] += row.amount
    return found


def _moved(sums: Mapping[str, int | None]) -> dict[str, int | None]:
    """Every kind, and others where they are not nothing; a transfer is a switch."""
    switched = _plus(sums.get(SWITCHED, 0), sums.get("transfer", 0))
    return {kind: sums.get(kind, 0) for kind in KINDS} | ({SWITCHED: switched} if switched != 0 else {})


def _plus(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _fx(opening: int | None, moved: Iterable[int | None], closing: int | None) -> int | None:
    total = opening
    for amount in moved:
        total = _plus(total, amount)
    return None if total is None or closing is None else closing - total


def stock(rows: Iterable[Row]) -> dict[tuple[str, str], int]:
    """What all rows together come to, by group and currency: the MRR at their end."""
    found: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        found[row.group, row.currency] += row.amount
    return {key: amount for key, amount in found.items() if amount}
