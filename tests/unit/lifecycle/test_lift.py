"""What converts more often than the rest: rates, lift, intervals, and when there are too few to say anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.lifecycle.lift import Group, compared
from tidegate.lifecycle.proportions import wilson


def test_each_group_stands_against_all_others() -> None:
    (one,) = compared([Group("property", "tier", "pro", 40, 30)], 100, 45)
    assert (one["rate"], one["others"], one["lift"], one["small"]) == (
        0.75, {"contacts": 60, "converted": 15, "rate": 0.25}, 3.0, False,
    )  # fmt: skip


def test_what_has_a_hold_out_stands_against_it() -> None:
    (one,) = compared([Group("action", "hello", "fired", 40, 20, (40, 10))], 500, 400)
    assert (one["against"], one["others"], one["lift"]) == (
        "hold_out", {"contacts": 40, "converted": 10, "rate": 0.25}, 2.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("group", "contacts", "converted", "small"),
    [
        ((30, 10), 60, 20, False),
        ((29, 10), 60, 20, True),
        ((31, 10), 60, 20, True),  # 29 others
        ((30, 2), 60, 4, True),  # 4 conversions
        ((30, 28), 60, 56, True),  # 4 that did not
    ],
)
def test_too_few_on_either_side_are_said_to_be(
    group: tuple[int, int], contacts: int, converted: int, *, small: bool
) -> None:
    (one,) = compared([Group("usage", "seats", "used", *group)], contacts, converted)
    assert one["small"] is small


def test_the_largest_lift_leads_and_small_samples_come_last() -> None:
    told = compared(
        [
            Group("property", "a", "x", 50, 20),
            Group("property", "b", "x", 50, 40),
            Group("property", "c", "x", 3, 3),
            Group("property", "all", "x", 100, 60),
        ],
        100,
        60,
    )
    assert [one["name"] for one in told] == ["b", "a", "c"], "what all have is compared with nothing"


def test_where_no_other_converts_there_is_no_multiple() -> None:
    (one,) = compared([Group("property", "a", "x", 50, 20)], 100, 20)
    assert one["lift"] is None


@pytest.mark.parametrize(
    ("converted", "contacts", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718), (15, 148, 0.0624, 0.1605)],
)
def test_the_interval_is_wilsons(converted: int, contacts: int, low: float, high: float) -> None:
    """The four of R. G. Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17
    (1998), table I.
    """
    assert wilson(converted, contacts) == pytest.approx((low, high), abs=0.00006)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_rate(counts: tuple[int, int]) -> None:
    converted, contacts = counts
    low, high = wilson(converted, contacts)
    assert 0 <= low <= converted / contacts + 1e-12
    assert converted / contacts - 1e-12 <= high <= 1
