"""When digests are due: at an hour of a day or a Monday, over changes of the clocks, each period once."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tidegate.lifecycle.digest_periods import following, last

PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    ("every", "as_of", "name", "until"),
    [
        ("daily", "2026-03-15T06:59", "2026-03-14", "2026-03-14T07:00"),
        ("daily", "2026-03-15T07:00", "2026-03-15", "2026-03-15T07:00"),
        ("daily", "2026-03-15T23:59", "2026-03-15", "2026-03-15T07:00"),
        ("daily", "2026-03-29T06:00", "2026-03-29", "2026-03-29T06:00"),  # clocks go forward that night
        ("daily", "2026-10-25T06:59", "2026-10-24", "2026-10-24T06:00"),  # and back
        ("weekly", "2026-03-15T12:00", "2026-W10", "2026-03-09T07:00"),  # a Sunday
        ("weekly", "2026-03-16T07:00", "2026-W11", "2026-03-16T07:00"),  # Monday at eight
        ("weekly", "2026-03-16T06:59", "2026-W10", "2026-03-09T07:00"),
        ("weekly", "2027-01-04T08:00", "2026-W53", "2027-01-04T07:00"),
    ],
)
def test_the_last_period_that_ended(every: Any, as_of: str, name: str, until: str) -> None:
    at = datetime.fromisoformat(as_of).replace(tzinfo=UTC)
    assert last(every, at, 8, PARIS) == (name, datetime.fromisoformat(until).replace(tzinfo=UTC))


@pytest.mark.parametrize("every", ["daily", "weekly"])
def test_each_period_of_a_year_comes_once_and_in_order(every: Any) -> None:
    at, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    names: list[str] = []
    while at < end:
        period = last(every, at, 2, PARIS)  # an hour that a night in March does not have
        assert period.until <= at < following(every, at, 2, PARIS).until
        if period.name not in names:
            names.append(period.name)
        at += timedelta(minutes=30)
    assert len(names) == {"daily": 366, "weekly": 53}[every]
    assert names == sorted(names)
