"""When a sync runs by itself: what a schedule may say, and the times that it names, over changes of the clocks too."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.outbound.schedule import DEFAULT, AfterImport, AfterSync, Cron, Every, Schedule, next_time, parse

BERLIN, HAVANA, LORD_HOWE = (ZoneInfo(name) for name in ("Europe/Berlin", "America/Havana", "Australia/Lord_Howe"))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("", None),
        ("every 15 minutes", Every(900)),
        ("15m", Every(900)),
        ("every hour", Every(3600)),
        ("2 hours", Every(7200)),
        ("1d", Every(86_400)),
        ("  after   import ", AfterImport()),
        ("after sync accounts", AfterSync("accounts")),
        (DEFAULT, Cron(DEFAULT)),
        ("0  6 1 * *", Cron("0 6 1 * *")),
    ],
)
def test_what_a_schedule_may_say(said: str, meant: Schedule | None) -> None:
    assert parse(said) == meant


@pytest.mark.parametrize(
    "said", ["often", "0m", "15 seconds", "15ms", "* * * *", "* * * * * *", "61 * * * *", "0 0 31 2 *", "after sync",
             "H * * * *", "@daily"]
)  # fmt: skip
def test_what_it_may_not_say_is_told_with_what_it_may(said: str) -> None:
    with pytest.raises(ValueError, match=r"every 15 minutes|shortest") as told:
        parse(said)
    assert repr(said) in str(told.value)


def times(said: str, zone: ZoneInfo, after: str, count: int) -> list[str]:
    schedule = parse(said)
    assert schedule is not None
    moment, found = datetime.fromisoformat(after).replace(tzinfo=zone), list[str]()
    for _ in range(count):
        following = next_time(schedule, moment, zone)
        assert following is not None
        found.append(following.astimezone(zone).strftime("%d %H:%M%z"))
        moment = following
    return found


def test_business_hours_end_in_the_evening_and_on_friday() -> None:
    assert times(DEFAULT, BERLIN, "2026-03-27T17:00", 3) == ["27 17:30+0100", "30 09:00+0200", "30 09:30+0200"]


@pytest.mark.parametrize(
    ("said", "zone", "after", "expected"),
    [
        # The clocks of Berlin skip the hour from 2 on 29 March 2026 and have it twice on 25 October.
        ("30 2 * * *", BERLIN, "2026-03-28T12:00", ["29 03:30+0200", "30 02:30+0200"]),
        ("30 2 * * *", BERLIN, "2026-10-24T12:00", ["25 02:30+0200", "26 02:30+0100"]),
        ("30 * * * *", BERLIN, "2026-03-29T01:00", ["29 01:30+0100", "29 03:30+0200", "29 04:30+0200"]),
        ("30 * * * *", BERLIN, "2026-10-25T02:00", ["25 02:30+0200", "25 02:30+0100", "25 03:30+0100"]),
        # Havana's skip midnight; Lord Howe's move by half an hour.
        ("0 0 * * *", HAVANA, "2026-03-07T12:00", ["08 01:00-0400", "09 00:00-0400"]),
        ("15 2 * * *", LORD_HOWE, "2026-10-03T12:00", ["04 02:45+1100", "05 02:15+1100"]),
    ],
)  # fmt: skip
def test_clocks_that_are_changed(said: str, zone: ZoneInfo, after: str, expected: list[str]) -> None:
    assert times(said, zone, after, len(expected)) == expected


def test_what_follows_something_else_goes_by_no_clock() -> None:
    assert next_time(AfterImport(), datetime.now(UTC), UTC) is None
    assert next_time(AfterSync("a"), datetime.now(UTC), UTC) is None


moments = st.integers(0, 4 * 365 * 86_400).map(lambda seconds: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(0, seconds))
zones = st.sampled_from([ZoneInfo("UTC"), ZoneInfo("America/New_York"), BERLIN, HAVANA, LORD_HOWE])
lines = st.tuples(
    st.sampled_from(["0", "30", "*/20", "*", "15,45"]),
    st.sampled_from(["*", "*/3", "0", "2", "9-17", "1-3"]),
    st.just("*"),
    st.just("*"),
    st.sampled_from(["*", "mon-fri", "sun"]),
).map(" ".join)


@given(moments, st.integers(60, 10**6))
def test_an_interval_keeps_its_beat(after: datetime, seconds: int) -> None:
    following = next_time(Every(seconds), after, UTC)
    assert following is not None
    assert after < following <= after + timedelta(seconds=seconds)
    assert int(following.timestamp()) % seconds == 0


@given(lines, moments, zones, st.integers(0, 10**6))
def test_a_time_comes_once_in_order_and_whenever_it_is_asked_for(
    line: str, after: datetime, zone: ZoneInfo, sooner: int
) -> None:
    """The next time is after the moment, and no moment between the two has another: nothing is skipped or doubled."""
    cron = Cron(line)
    following = next_time(cron, after, zone)
    assert following is not None
    assert following > after
    between = after + (following - after) * sooner / 10**6
    assert next_time(cron, between, zone) == following or between >= following
    assert (next_time(cron, following, zone) or after) > following


@given(lines, moments, zones)
def test_away_from_changes_of_the_clocks_it_is_what_the_line_says(line: str, after: datetime, zone: ZoneInfo) -> None:
    following = next_time(Cron(line), after, zone)
    assert following is not None
    face = following.astimezone(zone)
    if (face + timedelta(hours=4)).utcoffset() != (face - timedelta(hours=4)).utcoffset():
        return
    minute, hour, _, _, weekday = line.split(" ")
    assert face.minute in values(minute, 60)
    assert face.hour in values(hour, 24)
    assert {"*": True, "mon-fri": face.isoweekday() < 6, "sun": face.isoweekday() == 7}[weekday]


def values(field: str, end: int) -> set[int]:
    """What a field of a cron line names."""
    if field.startswith("*"):
        return set(range(0, end, int(field.partition("/")[2] or 1)))
    if "-" in field:
        first, last = map(int, field.split("-"))
        return set(range(first, last + 1))
    return set(map(int, field.split(",")))
