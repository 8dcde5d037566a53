"""Quarters of an hour and the days that they belong to: no engine's own idea of time zones decides what a day is."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

QUARTER = 900
"""Seconds. Time zones are whole quarters of an hour from UTC, so every instant of one is of the same day."""


@lru_cache(1 << 16)
def day_of_quarter(quarter: int, zone: ZoneInfo) -> date:
    """The day of a quarter of an hour (its number since the epoch) in a time zone."""
    return datetime.fromtimestamp(quarter * QUARTER, UTC).astimezone(zone).date()


def day_of(at: int, zone: ZoneInfo) -> date:
    """The day of an instant (epoch seconds) in a time zone."""
    return day_of_quarter(at // QUARTER, zone)


def days_of(quarters: Iterable[int], zone: ZoneInfo) -> dict[int, date]:
    """The day of each quarter."""
    return {quarter: day_of_quarter(quarter, zone) for quarter in quarters}
