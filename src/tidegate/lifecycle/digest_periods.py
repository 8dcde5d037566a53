"""When a digest is due: every day, or every Monday, at an hour of a time zone; each period once (pure)."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

Every = Literal["daily", "weekly"]
LENGTH: dict[Every, timedelta] = {"daily": timedelta(days=1), "weekly": timedelta(days=7)}


class Period(NamedTuple):
    """A period by its name (2026-03-15, or 2026-W11 for the week that it ends) and its end, UTC."""

    name: str
    until: datetime


def last(every: Every, as_of: datetime, hour: int, zone: ZoneInfo) -> Period:
    """The last period that has ended by then."""
    day = as_of.astimezone(zone).date()
    if every == "weekly":
        day -= timedelta(days=day.weekday())
    if _end(day, hour, zone) > as_of:
        day -= LENGTH[every]
    return Period(_name(every, day), _end(day, hour, zone))


def following(every: Every, as_of: datetime, hour: int, zone: ZoneInfo) -> Period:
    """The one that ends next."""
    day = last(every, as_of, hour, zone).until.astimezone(zone).date() + LENGTH[every]
    return Period(_name(every, day), _end(day, hour, zone))


def _end(day: date, hour: int, zone: ZoneInfo) -> datetime:
    """An hour that a change of the clocks leaves out is the one after it, and of one that comes twice the first."""
    return datetime.combine(day, time(hour), zone).astimezone(UTC)


def _name(every: Every, day: date) -> str:
    if every == "daily":
        return day.isoformat()
    year, week, _ = (day - timedelta(days=1)).isocalendar()
    return f"{year}-W{week:02d}"
