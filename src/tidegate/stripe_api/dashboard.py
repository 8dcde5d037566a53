"""Where Stripe's dashboard shows an object (pure)."""

from urllib.parse import quote

DASHBOARD = "https://dashboard.stripe.com"
PLACES = {
    "billing.meter": "meters",
    "charge": "payments",
    "coupon": "coupons",
    "customer": "customers",
    "dispute": "disputes",
    "invoice": "invoices",
    "payment_intent": "payments",
    "price": "prices",
    "product": "products",
    "promotion_code": "promotion_codes",
    "quote": "quotes",
    "subscription": "subscriptions",
    "subscription_schedule": "subscription_schedules",
    "tax_rate": "tax-rates",
    "test_helpers.test_clock": "billing/test-clocks",
}
"""The kinds of objects (Stripe's `object`) that have a page of their own; Stripe documents none of the addresses."""


def page(object_: str, id_: str, *, account: str, livemode: bool) -> str | None:
    """The page of an object of a Stripe account (`acct_…`); None: its kind has none."""
    place = PLACES.get(object_)
    return f"{_begin(account, livemode)}/{place}/{quote(id_, safe='')}" if place else None


def search(id_: str, *, account: str, livemode: bool) -> str:
    """What the dashboard finds of an id."""
    return f"{_begin(account, livemode)}/search?query={quote(id_, safe='')}"


def _begin(account: str, livemode: bool) -> str:
    return f"{DASHBOARD}/{quote(account)}{'' if livemode else '/test'}"
