"""What a quantity costs a period under each kind of price."""

from fractions import Fraction
from typing import Any

import msgspec
import pytest
from tests.support.priced import Json, item, mrr, only, price, subscription, tiered, valued

from tidegate.pricing.terms import Unpriced, charges, exact
from tidegate.stripe_api.shapes.catalog import Price

FLAT_TIERS = ((5, 100, 1000), (10, 50, 500), (None, 10, 0))
OPTIONS = {"eur": {"unit_amount": 900, "tax_behavior": "inclusive"}, "gbp": {"unit_amount_decimal": "0.5"}}
TIER_OPTIONS = {"eur": {"tiers": [{"up_to": 5, "unit_amount": 90}, {"up_to": None, "unit_amount": 70}]}}


def charged(of: Json, quantity: int, currency: str = "usd") -> Fraction | str:
    found = charges(msgspec.convert(of, Price), quantity, currency)
    return found.reason if isinstance(found, Unpriced) else sum((one.amount for one in found), Fraction(0))


@pytest.mark.parametrize(
    ("of", "quantity", "currency", "amount"),
    [
        (price(1000), 3, "usd", 3000),
        (price(1000), 0, "usd", 0),
        (price(1000), 3, "", 3000),
        (price("0.000000000001"), 1, "usd", Fraction(1, 10**12)),
        (price("105.5"), 2, "usd", 211),
        (price(100, transform_quantity={"divide_by": 5, "round": "up"}), 11, "usd", 300),
        (price(100, transform_quantity={"divide_by": 5, "round": "down"}), 11, "usd", 200),
        (price(100, transform_quantity={"divide_by": 0, "round": "up"}), 11, "usd", 1100),
        (price(100, transform_quantity={"divide_by": -5, "round": "up"}), 11, "usd", 1100),
        (price(1000, currency_options=OPTIONS), 2, "eur", 1800),
        (price(1000, currency_options=OPTIONS), 2, "gbp", 1),
        (price(1000, currency="USD"), 2, "usd", 2000),
        (tiered("graduated", *FLAT_TIERS), 0, "usd", 1000),
        (tiered("graduated", *FLAT_TIERS), 5, "usd", 1500),
        (tiered("graduated", *FLAT_TIERS), 6, "usd", 2050),
        (tiered("graduated", *FLAT_TIERS), 12, "usd", 1500 + 750 + 20),
        (tiered("volume", *FLAT_TIERS), 0, "usd", 1000),
        (tiered("volume", *FLAT_TIERS), 6, "usd", 800),
        (tiered("volume", *FLAT_TIERS), 12, "usd", 120),
        (tiered("volume", (5, 100), (None, 80), currency_options=TIER_OPTIONS), 6, "eur", 420),
        (tiered("graduated", (5, 100), (None, 80), currency_options=TIER_OPTIONS), 6, "eur", 520),
        ({**tiered("volume", (None, 7)), "billing_scheme": None}, 2, "usd", 14),
    ],
)
def test_the_price_of_a_quantity(of: Json, quantity: int, currency: str, amount: Fraction) -> None:
    assert charged(of, quantity, currency) == amount


@pytest.mark.parametrize(
    ("of", "quantity", "currency", "reason"),
    [
        (price(1000), -1, "usd", "its quantity is -1"),
        (price(-5), 1, "usd", "the price price_1 has no amount"),
        (price(None), 1, "usd", "the price price_1 has no amount"),
        (price("a lot"), 1, "usd", "the price price_1 has no amount"),
        (price("1e999999999"), 1, "usd", "the price price_1 has no amount"),
        (price(1000, currency_options=OPTIONS), 1, "sek", "the price price_1 has no amount in SEK"),
        (price(None, billing_scheme="tiered"), 1, "usd", "the tiers of the price price_1 are not told; expand them"),
        (tiered("volume", (5, 100)), 6, "usd", "no tier takes a quantity of 6"),
        (tiered("graduated", (5, 100)), 6, "usd", "no tier takes a quantity of 6"),
        (tiered("graduated", (5, -100)), 3, "usd", "tier 1 takes 3 at -100 and 0"),
        (tiered("graduated", (5, 1), (3, 1), (None, 1)), 6, "usd", "tier 2 takes -2 at 1 and 0"),
    ],
)
def test_a_price_that_tells_no_amount_says_why(of: Json, quantity: int, currency: str, reason: str) -> None:
    assert charged(of, quantity, currency) == reason
    if currency != "sek":
        found = only(valued(subscription(item(of, quantity))))
        assert (found.monthly, found.problem) == (0, reason)


@pytest.mark.parametrize(
    ("decimal", "whole", "amount"),
    [
        ("12.5", 13, Fraction(25, 2)),
        (None, 13, 13),
        (None, None, None),
        ("-3.25", None, Fraction(-13, 4)),
        ("x", 1, None),
    ],
)
def test_the_decimal_amount_is_the_exact_one(decimal: str | None, whole: int | None, amount: Fraction | None) -> None:
    assert exact(decimal, whole) == amount


KNOWN = price(1000, currency_options=OPTIONS) | {"id": "price_1"}
EMBEDDED_TIERED = price(None, billing_scheme="tiered", tiers_mode="volume")


@pytest.mark.parametrize(
    ("own", "known", "currency", "amount"),
    [
        (EMBEDDED_TIERED, tiered("volume", (None, 300)), "usd", 300),
        (tiered("volume", (None, 300)), EMBEDDED_TIERED, "usd", 300),
        (price(1000), KNOWN, "eur", 900),
        ("price_1", KNOWN, "usd", 1000),
        (price(1500), KNOWN, "usd", 1500),
        (price(1500), {"id": "price_1"}, "usd", 1500),
        (price("1500.5"), KNOWN, "usd", Fraction("1500.5")),
    ],
    ids=[
        "tiers known",
        "tiers its own",
        "other currency",
        "named by id",
        "id used again",
        "known by id alone",
        "a decimal alone",
    ],
)
def test_what_an_items_price_leaves_out_stands_in_the_known_one(
    own: Any, known: Json, currency: str, amount: int
) -> None:
    assert mrr(subscription(item(own), currency=currency), prices=[known]) == amount
