"""The period that usage counts in, whatever the anchor and the calendar."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.catalog.terms import RESETS, Reset
from tidegate.entitlements.periods import EPOCH, Interval, add_months, period_of


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("reset", "anchor", "as_of", "start", "end"),
    [
        ("month", "2026-01-31T10:00", "2026-02-28T09:59", "2026-01-31T10:00", "2026-02-28T10:00"),
        ("month", "2026-01-31T10:00", "2026-02-28T10:00", "2026-02-28T10:00", "2026-03-31T10:00"),
        ("month", "2026-01-31T10:00", "2026-04-30T11:00", "2026-04-30T10:00", "2026-05-31T10:00"),
        ("month", "2024-01-31T00:00", "2024-02-29T00:00", "2024-02-29T00:00", "2024-03-31T00:00"),
        ("month", "2026-05-15T00:00", "2026-01-20T00:00", "2026-01-15T00:00", "2026-02-15T00:00"),
        ("year", "2024-02-29T00:00", "2025-03-01T00:00", "2025-02-28T00:00", "2026-02-28T00:00"),
        ("year", "2024-02-29T00:00", "2028-02-29T00:00", "2028-02-29T00:00", "2029-02-28T00:00"),
        ("week", "2026-01-01T00:00", "2026-01-08T00:00", "2026-01-08T00:00", "2026-01-15T00:00"),
        ("day", "2026-01-01T06:00", "2026-03-05T05:00", "2026-03-04T06:00", "2026-03-05T06:00"),
        ("hour", "2026-01-01T06:30", "2026-01-01T05:00", "2026-01-01T04:30", "2026-01-01T05:30"),
    ],
)
def test_a_period_is_anchored(reset: Reset, anchor: str, as_of: str, start: str, end: str) -> None:
    assert period_of(reset, at(anchor), at(as_of)) == (at(start), at(end))


def test_a_billing_period_repeats_the_interval_of_the_price() -> None:
    anchor = at("2026-01-31T00:00")
    quarter = period_of("billing_period", anchor, at("2026-05-01T00:00"), Interval("month", 3))
    assert quarter == (at("2026-04-30T00:00"), at("2026-07-31T00:00"))
    fortnight = period_of("billing_period", anchor, at("2026-02-14T00:00"), Interval("week", 2))
    assert fortnight == (at("2026-02-14T00:00"), at("2026-02-28T00:00"))
    assert period_of("billing_period", anchor, at("2026-02-01T00:00")) == (anchor, at("2026-02-28T00:00"))


def test_never_is_one_period() -> None:
    assert period_of("never", at("2026-01-31T00:00"), at("2030-01-01T00:00")) == (EPOCH, None)


MOMENTS = st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(st.sampled_from([one for one in RESETS if one != "never"]), MOMENTS, MOMENTS)
def test_periods_follow_each_other_without_a_gap(reset: Reset, anchor: datetime, as_of: datetime) -> None:
    start, end = period_of(reset, anchor, as_of)
    assert end is not None
    assert start <= as_of < end
    assert period_of(reset, anchor, end).start == end
    assert period_of(reset, anchor, start - timedelta(microseconds=1)).end == start


def test_months_keep_the_anchor_day() -> None:
    assert [add_months(at("2026-01-31T00:00"), n).day for n in (1, 2, 3, -2)] == [28, 31, 30, 30]
