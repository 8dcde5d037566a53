"""Days, weeks and months that reports are made by, in the connection's time zone."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

from tidegate.errors import ReportInvalid

By = Literal["day", "week", "month"]
BYS: tuple[By, ...] = get_args(By)
MOST = 4000
"""Periods of a report: ten years by day."""

EARLIEST, LATEST = date(1970, 1, 1), date(2200, 12, 31)
"""The days that reports may be asked about: arithmetic with them stays within the calendar."""

PER_MONTH = {"day": Fraction(365, 12), "week": Fraction(52, 12), "month": Fraction(1)}
"""How many periods a month has."""


class Period(NamedTuple):
    """A period by its name (`2026-03`, `2026-W09`, `2026-03-01`), with its first and last day."""

    name: str
    first: date
    last: date


def period_of(by: By, day: date) -> Period:
    """The period that a day is in; weeks begin on Monday and are named as ISO 8601 does."""
    if by == "month":
        first = day.replace(day=1)
        after = (first + timedelta(days=31)).replace(day=1)
        return Period(f"{first:%Y-%m}", first, after - timedelta(days=1))
    if by == "week":
        first = day - timedelta(days=day.weekday())
        year, week, _ = first.isocalendar()
        return Period(f"{year}-W{week:02d}", first, first + timedelta(days=6))
    return Period(day.isoformat(), day, day)


def periods(by: By, first: date, last: date) -> list[Period]:
    """The periods from the one that `first` is in to the one that `last` is in. Raises ReportInvalid."""
    if last < first:
        raise ReportInvalid(problem=f"{first} comes after {last}.")
    found: list[Period] = []
    day = first
    while day <= last:
        found.append(period_of(by, day))
        day = found[-1].last + timedelta(days=1)
        if len(found) > MOST:
            raise ReportInvalid(problem=f"From {first} to {last} there are more than {MOST:,} periods by {by}.")
    return found


def back(by: By, day: date, count: int) -> date:
    """The first day of the period that lies so many before the one of a day."""
    found = period_of(by, day).first
    for _ in range(count):
        found = period_of(by, found - timedelta(days=1)).first
    return found


def place(thresholds: Sequence[date], day: date) -> int:
    """As PostgreSQL's width_bucket: how many of the ascending thresholds are not after the day."""
    return bisect_right(thresholds, day)


def instant(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins in a time zone."""
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def today(as_of: datetime, zone: ZoneInfo) -> date:
    """The day that it is in a time zone."""
    return as_of.astimezone(zone).date()


def within(day: date) -> date:
    """The day itself. Raises ReportInvalid for one that reports cannot be asked about."""
    if not EARLIEST <= day <= LATEST:
        raise ReportInvalid(problem=f"{day} is out of reach: days go from {EARLIEST} to {LATEST}.")
    return day


def read_month(name: str) -> Period:
    """The month of a name such as `2026-03`. Raises ReportInvalid."""
    try:
        first = date.fromisoformat(f"{name}-01")
    except ValueError:
        raise ReportInvalid(problem=f"{name!r} is no month: write it as 2026-03.") from None
    return period_of("month", within(first))


def read_day(said: str) -> date:
    """The day of `2026-03-31`. Raises ReportInvalid."""
    try:
        day = date.fromisoformat(said)
    except ValueError:
        raise ReportInvalid(problem=f"{said!r} is no day: write it as 2026-03-31.") from None
    return within(day)
