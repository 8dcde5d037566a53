"""How many billing periods a month has."""

from fractions import Fraction
from functools import lru_cache

from tidegate.pricing.policy import Policy


def per_month(interval: str | None, count: int | None, policy: Policy) -> Fraction | None:
    """Periods a month of `count` intervals (day, week, month, year) each; None: no such interval."""
    return _per_month(interval or "", count or 1, policy.days, policy.weeks)


@lru_cache(256)
def _per_month(interval: str, count: int, days: str, weeks: str) -> Fraction | None:
    day = Fraction(days)
    week = day / 7 if weeks == "7 days" else Fraction(weeks)
    months = {"year": Fraction(1, 12), "month": Fraction(1), "week": week, "day": day}
    return months[interval] / count if interval in months and count > 0 else None
