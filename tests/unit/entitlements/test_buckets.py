"""Where usage is debited that happened while nobody could ask."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tidegate.catalog.terms import Terms
from tidegate.entitlements.access import Access
from tidegate.entitlements.buckets import Bucket, Source, take, take_anyway
from tidegate.entitlements.periods import EPOCH

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
SOURCE = Source("base", Terms(limit=1), Access(True, "active"), 1, NOW, NOW)


def bucket(key: str, limit: int | None, used: int, *, gives: bool = True) -> Bucket:
    return Bucket(key, limit, used, EPOCH, None, EPOCH, sources=(SOURCE,) if gives else ())


def test_what_is_not_left_goes_over_the_last_limit_that_something_gives() -> None:
    buckets = [bucket("first", 5, 2), bucket("second", 10, 4), bucket("gone", 0, 3, gives=False)]
    assert [(one.bucket, one.amount) for one in take_anyway(buckets, 20)] == [("first", 3), ("second", 17)]
    assert take_anyway([bucket("gone", 0, 3, gives=False)], 1) == []
    assert take_anyway([], 1) == []


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 30)), min_size=1, max_size=4),
    st.integers(1, 50),
)
def test_all_of_it_is_counted_and_what_is_left_goes_first(said: list[tuple[int, int]], amount: int) -> None:
    buckets = [bucket(str(place), limit, used) for place, (limit, used) in enumerate(said)]
    debits = take_anyway(buckets, amount)
    assert sum(one.amount for one in debits) == amount
    assert all(one.amount > 0 for one in debits)
    assert (take(buckets, amount) or debits) == debits
