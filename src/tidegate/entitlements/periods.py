"""The period that usage counts in: anchored at an instant, repeated by the calendar (pure)."""

import calendar
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from tidegate.catalog.terms import Reset

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Period(NamedTuple):
    """From `start` up to `end`, UTC; `end` None: it never ends."""

    start: datetime
    end: datetime | None


class Interval(NamedTuple):
    """A price's interval: Stripe's `interval` and `interval_count`."""

    unit: str
    length: int


@lru_cache(maxsize=1024)
def period_of(reset: Reset, anchor: datetime, as_of: datetime, billing: Interval | None = None) -> Period:
    """The period of a reset that `as_of` lies in.

    Months and years start on the anchor's day and hour, on the last day of shorter months when it has none (an anchor
    on the 31st: Jan 31, Feb 28, Mar 31), as Stripe's billing cycles do. `billing_period` repeats the price's interval
    from the anchor; without one it is a month. `never`: one period for good.
    """
    if reset == "never":
        return Period(EPOCH, None)
    unit, count = _repeated(reset, billing)
    if unit in _FIXED:
        step = _FIXED[unit] * count
        start = anchor + step * ((as_of - anchor) // step)
        return Period(start, start + step)
    months = count * (12 if unit == "year" else 1)
    n = ((as_of.year - anchor.year) * 12 + as_of.month - anchor.month) // months
    if add_months(anchor, n * months) > as_of:
        n -= 1
    return Period(add_months(anchor, n * months), add_months(anchor, (n + 1) * months))


_FIXED = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}


def _repeated(reset: Reset, billing: Interval | None) -> Interval:
    if reset != "billing_period":
        return Interval(reset, 1)
    return billing if billing is not None and billing.length > 0 else Interval("month", 1)


def add_months(anchor: datetime, months: int) -> datetime:
    """The same day and hour so many months later or earlier, or the last day of that month when it is shorter."""
    year, month = divmod(anchor.year * 12 + anchor.month - 1 + months, 12)
    day = min(anchor.day, calendar.monthrange(year, month + 1)[1])
    return anchor.replace(year=year, month=month + 1, day=day)


def per_year(reset: Reset, billing: Interval | None = None) -> float:
    """About how many periods a year has; of what never resets one."""
    if reset == "never":
        return 1.0
    unit, count = _repeated(reset, billing)
    return _PER_YEAR[unit] / count


_PER_YEAR = {"hour": 8766.0, "day": 365.25, "week": 365.25 / 7, "month": 12.0, "year": 1.0}
