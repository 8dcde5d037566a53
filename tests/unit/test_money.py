"""Rounding and decimals of amounts, of which everything else has its own from here."""

from decimal import Decimal

import pytest

from tidegate.money import decimal, half_away


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [(5, 2, 3), (-5, 2, -3), (499_999, 1_000_000, 0), (-1, 2, -1), (0, 7, 0), (10**30 + 1, 2, 5 * 10**29 + 1)],
)
def test_halves_go_away_from_zero(numerator: int, denominator: int, expected: int) -> None:
    assert half_away(numerator, denominator) == expected


def test_decimals_follow_the_currency() -> None:
    assert [decimal(4900, code) for code in ("usd", "jpy", "kwd")] == [Decimal("49.00"), Decimal(4900), Decimal("4.9")]
