"""Rounding and decimals of amounts, of which everything else has its own from here."""

from decimal import Decimal
from fractions import Fraction

import pytest

from tidegate.money import decimal, exponent, half_away, said, shown, shown_exactly


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [(5, 2, 3), (-5, 2, -3), (499_999, 1_000_000, 0), (-1, 2, -1), (0, 7, 0), (10**30 + 1, 2, 5 * 10**29 + 1)],
)
def test_halves_go_away_from_zero(numerator: int, denominator: int, expected: int) -> None:
    assert half_away(numerator, denominator) == expected


def test_decimals_follow_the_currency() -> None:
    assert [decimal(4900, code) for code in ("usd", "jpy", "kwd")] == [Decimal("49.00"), Decimal(4900), Decimal("4.9")]


NONE = ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"]
THREE = ["bhd", "jod", "kwd", "omr", "tnd"]
TWO = ["usd", "eur", "isk", "ugx", "huf", "twd"]
"""Among them those that Stripe's page calls special cases: of two decimals, whatever ISO 4217 says."""


def test_the_decimals_are_those_of_stripes_page() -> None:
    """docs.stripe.com/currencies, "zero-decimal", "three-decimal" and "special cases"."""
    assert {code: exponent(code.upper()) for code in (*NONE, *TWO, *THREE)} == (
        dict.fromkeys(NONE, 0) | dict.fromkeys(TWO, 2) | dict.fromkeys(THREE, 3)
    )


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [
        (Fraction(5000, 3), "usd", "16.6667 USD"),
        (Fraction(-1500), "usd", "-15.00 USD"),
        (Fraction(12_345), "jpy", "12,345 JPY"),
        (Fraction(1, 3), "jpy", "0.33 JPY"),
        (Fraction(1500), "kwd", "1.500 KWD"),
        (Fraction(-1, 10**6), "usd", "0.00 USD"),
    ],
)
def test_an_exact_amount_is_shown_with_two_places_more_where_it_needs_them(
    amount: Fraction, currency: str, words: str
) -> None:
    assert shown_exactly(amount, currency) == words


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [
        (1_400, "usd", "14.00 USD"),
        (-5, "usd", "-0.05 USD"),
        (1_234_567, "usd", "12,345.67 USD"),
        (0, "usd", "0.00 USD"),
        (1_400, "jpy", "1,400 JPY"),
        (1_400, "kwd", "1.400 KWD"),
    ],
)
def test_an_amount_is_shown_with_the_decimals_of_its_currency(amount: int, currency: str, words: str) -> None:
    assert shown(amount, currency) == said(amount, currency) == words
    assert said(None, currency) == "–"
