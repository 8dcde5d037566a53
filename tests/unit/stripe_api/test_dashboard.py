"""Where Stripe's dashboard shows an object."""

import pytest

from tidegate.stripe_api import dashboard

HERE = "https://dashboard.stripe.com/acct_1"


@pytest.mark.parametrize(
    ("object_", "livemode", "place"),
    [
        ("customer", True, f"{HERE}/customers/x_1"),
        ("customer", False, f"{HERE}/test/customers/x_1"),
        ("charge", True, f"{HERE}/payments/x_1"),
        ("line_item", True, None),
    ],
)
def test_an_object_has_its_page(object_: str, livemode: bool, place: str | None) -> None:
    assert dashboard.page(object_, "x_1", account="acct_1", livemode=livemode) == place


def test_an_id_is_part_of_the_address_whatever_it_is() -> None:
    assert dashboard.page("coupon", "50%/off?", account="acct_1", livemode=True) == f"{HERE}/coupons/50%25%2Foff%3F"
    assert dashboard.search("a&b", account="acct_1", livemode=False) == f"{HERE}/test/search?query=a%26b"
