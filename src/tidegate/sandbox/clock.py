"""The sandbox's own time, which moves only when told, and how it is written in a Date header."""

from calendar import monthrange
from datetime import UTC, datetime
from email.utils import formatdate


class Clock:
    """Holds `now`, UTC epoch seconds."""

    def __init__(self, now: int) -> None:
        self.now = now

    def http_date(self) -> bytes:
        """The current instant as RFC 7231 writes it, for example `Tue, 01 Sep 2026 00:00:00 GMT`."""
        return formatdate(self.now, usegmt=True).encode()


def add_interval(start: int, interval: str, count: int, anchor_day: int | None = None) -> int:
    """`start` (UTC epoch seconds) plus `count` days, weeks, months or years.

    A day that the month lacks becomes its last (31 January + 1 month = 28 February); `anchor_day` brings the 31st back
    in longer months, as Stripe's billing cycle anchor does.
    """
    if interval in ("day", "week"):
        return start + count * (86_400 if interval == "day" else 604_800)
    at = datetime.fromtimestamp(start, UTC)
    months = at.year * 12 + at.month - 1 + count * (12 if interval == "year" else 1)
    year, month = months // 12, months % 12 + 1
    day = min(anchor_day or at.day, monthrange(year, month)[1])
    return int(at.replace(year=year, month=month, day=day).timestamp())


def day_of_month(instant: int) -> int:
    """The day (1 to 31) of an instant, UTC."""
    return datetime.fromtimestamp(instant, UTC).day
