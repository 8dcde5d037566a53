"""Days, weeks and months."""

from datetime import date

import pytest

from tidegate.errors import ReportInvalid
from tidegate.revenue.periods import By, back, period_of, periods, read_day, read_month
from tidegate.revenue.source import group


@pytest.mark.parametrize(
    ("by", "day", "name", "first", "last"),
    [
        ("month", date(2028, 2, 29), "2028-02", date(2028, 2, 1), date(2028, 2, 29)),
        ("month", date(2026, 12, 31), "2026-12", date(2026, 12, 1), date(2026, 12, 31)),
        ("week", date(2027, 1, 1), "2026-W53", date(2026, 12, 28), date(2027, 1, 3)),
        ("day", date(2026, 3, 29), "2026-03-29", date(2026, 3, 29), date(2026, 3, 29)),
    ],
)
def test_a_day_is_in_a_period(by: By, day: date, name: str, first: date, last: date) -> None:
    assert period_of(by, day) == (name, first, last)


def test_periods_are_whole_and_follow_each_other() -> None:
    assert [one.name for one in periods("month", date(2025, 11, 15), date(2026, 1, 2))] == [
        "2025-11", "2025-12", "2026-01",
    ]  # fmt: skip
    assert [one.name for one in periods("day", date(2028, 2, 29), date(2028, 2, 29))] == ["2028-02-29"]
    assert back("month", date(2026, 1, 31), 11) == date(2025, 2, 1)
    assert back("week", date(2026, 1, 7), 1) == date(2025, 12, 29)


def test_what_is_no_period_is_refused() -> None:
    with pytest.raises(ReportInvalid, match="comes after"):
        periods("day", date(2026, 2, 1), date(2026, 1, 1))
    with pytest.raises(ReportInvalid, match="more than"):
        periods("day", date(1900, 1, 1), date(2026, 1, 1))
    with pytest.raises(ReportInvalid, match="no month"):
        read_month("2026-13")
    with pytest.raises(ReportInvalid, match="no day"):
        read_day("yesterday")
    for day in ("9999-12-31", "2201-01-01", "1969-12-31"):
        with pytest.raises(ReportInvalid, match="out of reach"):
            read_day(day)
    with pytest.raises(ReportInvalid, match="out of reach"):
        read_month("9999-12")
    assert (read_day("2200-12-31"), read_month("1970-01").first) == (date(2200, 12, 31), date(1970, 1, 1))
    with pytest.raises(ReportInvalid, match="no grouping by plan"):
        group("plan")
    assert group("property:plan").field == "plan"
