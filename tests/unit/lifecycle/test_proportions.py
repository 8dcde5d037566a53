"""Intervals of shares and of their differences, held against published figures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.lifecycle.proportions import difference, verdict, wilson

# R. G. Newcombe, Statistics in Medicine 17 (1998), 873-890, table II, method 10: (a, m, b, n) and the interval.
PUBLISHED = [
    ((56, 70, 48, 80), (0.0524, 0.3339)),
    ((9, 10, 3, 10), (0.1705, 0.8090)),
    ((6, 7, 2, 7), (0.0582, 0.8062)),
    ((5, 56, 0, 29), (-0.0381, 0.1926)),
    ((0, 10, 0, 20), (-0.1611, 0.2775)),
    ((0, 10, 0, 10), (-0.2775, 0.2775)),
    ((10, 10, 0, 20), (0.6791, 1.0000)),
    ((10, 10, 0, 10), (0.6075, 1.0000)),
]


@pytest.mark.parametrize(("counts", "interval"), PUBLISHED, ids=str)
def test_the_interval_is_newcombes(counts: tuple[int, int, int, int], interval: tuple[float, float]) -> None:
    found = difference(*counts)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(interval, abs=0.00006)
    assert found.value == pytest.approx(counts[0] / counts[1] - counts[2] / counts[3])


def test_a_share_has_wilsons_interval() -> None:
    assert wilson(81, 263) == pytest.approx(
        (0.2553, 0.3662), abs=0.00006
    )  # Newcombe 1998, Two-sided intervals, table I
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=0.00006)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=0.00006)


counts = st.integers(1, 5_000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


@given(counts, counts)
def test_the_interval_holds_the_difference_and_turns_round(one: tuple[int, int], other: tuple[int, int]) -> None:
    found, back = difference(*one, *other), difference(*other, *one)
    assert found is not None
    assert back is not None
    assert -1 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low), abs=1e-9)


@pytest.mark.parametrize(
    ("four", "words"),
    [
        ((20, 29, 10, 500), "Too small a sample"),
        ((20, 500, 0, 0), "Too small a sample"),
        ((250, 500, 24, 50), "cannot be told from chance"),
        ((400, 500, 20, 50), "more often"),
        ((200, 500, 40, 50), "less often"),
    ],
)
def test_the_verdict_says_what_can_be_said(four: tuple[int, int, int, int], words: str) -> None:
    assert words in verdict(*four)
