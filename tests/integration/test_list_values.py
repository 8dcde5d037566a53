"""What waits for a meaning or for a contact, with its value at list price."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.builders import customer, item, price, subscription
from tests.support.shop import Shop, opened

from tidegate.catalog import mappings
from tidegate.contacts import reviewing


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    with opened(fresh_database_url) as shop:
        yield shop


TIERS = [{"up_to": 10, "unit_amount": 100, "flat_amount": 500}, {"up_to": None, "unit_amount": 50}]
PACKS = {"divide_by": 100, "round": "up"}
USE = {"interval": "month", "interval_count": 1, "usage_type": "metered"}
NO_UNIT = {"unit_amount": None, "unit_amount_decimal": None}
WAITING: dict[str, tuple[dict[str, Any], int, int | None, str]] = {
    "tiers": (NO_UNIT | {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": TIERS}, 30, 2500, "usd"),
    "packs": ({"unit_amount": 500, "unit_amount_decimal": "500", "transform_quantity": PACKS}, 4300, 43 * 500, "usd"),
    "cents": (NO_UNIT | {"unit_amount_decimal": "0.5"}, 333, 167, "usd"),
    "euros": ({"currency_options": {"eur": {"unit_amount": 900}}}, 2, 1800, "eur"),
    "usage": ({"recurring": USE}, 1, None, "usd"),
}
"""By price: its terms, the quantity that waits, what that comes to and in which currency."""
NEVER_EMBEDDED = frozenset({"tiers", "currency_options"})


def test_what_waits_is_worth_what_stripe_would_charge_for_it(shop: Shop) -> None:
    """Tiers, packages of units, fractions of a cent, another currency of the price; usage is not known beforehand."""
    for name, (terms, quantity, _, currency) in WAITING.items():
        whole = price(name, product=f"prod_{name}", **terms)
        embedded = {key: value for key, value in whole.items() if key not in NEVER_EMBEDDED}
        owned = [item(f"si_{name}", f"sub_{name}", quantity, price=embedded)]
        owner = customer(f"cus_{name}", email=f"{name}@example.com")
        shop.has(whole, owner, subscription(f"sub_{name}", owned, customer=owner["id"], currency=currency))
    shop.refresh()
    with shop.engine.connect() as db:
        found = {one["price"]: (one["list_value"], one["currency"]) for one in mappings.queue(db, "acme")}
        people, _ = reviewing.queue(db, "acme")
    assert found == {name: (value, currency) for name, (_, _, value, currency) in WAITING.items()}
    worth = {row["customer"]: [(one["amount"], one["currency"]) for one in row["list_value"]] for row in people}
    assert worth == {f"cus_{name}": [(value or 0, currency)] for name, (_, _, value, currency) in WAITING.items()}


def test_one_price_in_two_currencies_has_no_sum(shop: Shop) -> None:
    shop.has(price("euros", currency_options={"eur": {"unit_amount": 900}}))
    for number, currency in enumerate(("usd", "eur"), 1):
        owned = [item(f"si_{number}", f"sub_{number}", price=price("euros"))]
        owner = customer(f"cus_{number}", email=f"{number}@example.com")
        shop.has(owner, subscription(f"sub_{number}", owned, customer=owner["id"], currency=currency))
    shop.refresh()
    with shop.engine.connect() as db:
        [waiting] = mappings.queue(db, "acme")
    assert (waiting["subscriptions"], waiting["list_value"]) == (2, None)
