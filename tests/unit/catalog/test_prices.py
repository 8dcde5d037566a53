"""The prices of a package, checked before they are stored."""

from typing import Any

import pytest

from tidegate.catalog.prices import checked_prices
from tidegate.errors import CatalogInvalid
from tidegate.money import shown


def test_prices_are_kept_in_one_form() -> None:
    given = [
        {"interval": "month", "amount": 4900, "currency": "USD", "interval_count": 1},
        {"amount": 49000, "currency": "usd", "interval": "year", "interval_count": 2},
    ]
    assert checked_prices("pro", given) == [
        {"amount": 4900, "currency": "usd", "interval": "month"},
        {"amount": 49000, "currency": "usd", "interval": "year", "interval_count": 2},
    ]


GOOD = {"amount": 1, "currency": "usd", "interval": "month"}


@pytest.mark.parametrize(
    ("price", "told"),
    [
        ("4900", "say {amount"),
        (GOOD | {"amount": 49.0}, "whole number of minor units"),
        (GOOD | {"amount": True}, "whole number of minor units"),
        (GOOD | {"amount": -1}, "whole number of minor units"),
        (GOOD | {"currency": "dollar"}, "three letters"),
        (GOOD | {"interval": "monthly"}, "one of day, week, month, year"),
        (GOOD | {"interval_count": 0}, "from 1 on"),
        (GOOD | {"intervall": "month"}, "Did you mean interval?"),
    ],
)
def test_a_price_that_cannot_be_is_refused(price: Any, told: str) -> None:
    with pytest.raises(CatalogInvalid, match=r"package pro, price 1") as refused:
        checked_prices("pro", [price])
    assert told in str(refused.value)


def test_a_price_that_stands_twice_is_refused() -> None:
    with pytest.raises(CatalogInvalid, match="twice"):
        checked_prices("pro", [GOOD, GOOD | {"currency": "USD"}])


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (1400, "usd", "14.00 USD"),
        (5, "eur", "0.05 EUR"),
        (1400, "jpy", "1,400 JPY"),
        (-1234567, "kwd", "-1,234.567 KWD"),
    ],
)
def test_amounts_are_shown_with_the_currencys_decimals(amount: int, currency: str, text: str) -> None:
    assert shown(amount, currency) == text
