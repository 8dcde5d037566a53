"""Rules that types do not tell: each refuses what Stripe refuses, names the field, and lets the rest by."""

from typing import Any

import pytest

from tidegate.outbound.fields.catalogue import Operation
from tidegate.outbound.fields.priced import unfit
from tidegate.outbound.fields.shapes import checked

SUBSCRIPTION = {"customer": "cus_1", "items": [{"price": "a"}]}
PRICE = {"product": "prod_1", "currency": "usd", "unit_amount": 500}
ITEM = {"customer": "cus_1", "amount": 500}
INVOICE = {"customer": "cus_1"}
QUOTE = {"customer": "cus_1", "line_items": [{"price": "a"}]}
SENT = {"collection_method": "send_invoice"}
TIERS = [{"up_to": 5, "unit_amount": 700}, {"up_to": "inf", "unit_amount": 0}]
TIERED = {"product": "prod_1", "currency": "usd", "billing_scheme": "tiered", "tiers_mode": "volume", "tiers": TIERS}


def wrong(resource: str, payload: dict[str, Any], operation: Operation = "create") -> list[tuple[str, str]]:
    [(_, problems)] = checked(resource, operation, [payload])
    return [(one.path, one.problem) for one in problems]


@pytest.mark.parametrize(
    ("resource", "payload"),
    [
        ("customers", {}), ("customers", {"email": "pat@example.com", "name": "O'Brien", "invoice_prefix": "AB12"}),
        ("customers", {"email": "", "name": ""}), ("products", {"name": "x" * 5000}),
        ("prices", PRICE), ("prices", PRICE | {"unit_amount": 0}), ("prices", TIERED),
        ("prices", {"product_data": {"name": "a"}, "currency": "JPY", "unit_amount_decimal": "0.123456789012"}),
        ("prices", {"product": "a", "currency": "usd", "custom_unit_amount": {"enabled": True}}),
        ("subscriptions", SUBSCRIPTION), ("subscriptions", SUBSCRIPTION | SENT | {"days_until_due": 0}),
        ("subscriptions", SUBSCRIPTION | {"items": [{"price": "a", "quantity": 0}, {"price": "b"}]}),
        ("subscriptions", SUBSCRIPTION | {"cancel_at": 1900000000, "cancel_at_period_end": False}),
        ("invoices", INVOICE), ("invoices", {"from_invoice": {"action": "revision", "invoice": "in_1"}}),
        ("invoices", INVOICE | SENT | {"due_date": "2030-01-01"}),
        ("invoiceitems", ITEM), ("invoiceitems", ITEM | {"amount": -500, "quantity": 1}),
        ("invoiceitems", {"customer": "a", "unit_amount_decimal": "-0.5", "quantity": 3}),
        ("quotes", QUOTE),
    ],
)  # fmt: skip
def test_what_stripe_takes_passes(resource: str, payload: dict[str, Any]) -> None:
    assert wrong(resource, payload) == []


@pytest.mark.parametrize(
    ("resource", "payload", "path", "problem"),
    [
        ("customers", {"email": "nobody"}, "email", "no e-mail address"),
        ("customers", {"email": "a@b.example" + "x" * 512}, "email", "523 characters, and Stripe takes 512"),
        ("customers", {"name": "x" * 257}, "name", "257 characters"),
        ("customers", {"invoice_prefix": "ab"}, "invoice_prefix", "upper-case"),
        ("customers", {"invoice_settings": {"custom_fields": [{"name": "x" * 41, "value": "a"}]}},
         "invoice_settings.custom_fields.0.name", "41 characters"),
        ("customers", {"invoice_settings": {"custom_fields": [{"name": "x", "value": "a"}] * 5}},
         "invoice_settings.custom_fields", "5 entries"),
        ("products", {"name": " "}, "name", "cannot be empty"),
        ("products", {"name": "a", "statement_descriptor": "it's"}, "statement_descriptor", "none of"),
        ("products", {"name": "a", "unit_label": "x" * 13}, "unit_label", "13 characters"),
        ("products", {"name": "a", "images": ["x"] * 9}, "images", "9 entries"),
        ("prices", {"product": "a", "currency": "usd"}, "unit_amount", "it is required, or unit_amount_decimal"),
        ("prices", {"currency": "usd", "unit_amount": 1}, "product", "it is required"),
        ("prices", PRICE | {"currency": "dollars"}, "currency", "three letters"),
        ("prices", PRICE | {"unit_amount": -1}, "unit_amount", "0 or more"),
        ("prices", PRICE | {"unit_amount_decimal": "1"}, "unit_amount_decimal", "excludes unit_amount"),
        ("prices", PRICE | {"product_data": {"name": "a"}}, "product_data", "excludes product"),
        ("prices", PRICE | {"lookup_key": "x" * 201}, "lookup_key", "201 characters"),
        ("prices", {"product": "a", "currency": "usd", "unit_amount_decimal": "0.1234567890123"},
         "unit_amount_decimal", "13 decimal places"),
        ("prices", {"product": "a", "currency": "usd", "unit_amount_decimal": "-0.5"}, "unit_amount_decimal", "0 or"),
        ("prices", PRICE | {"recurring": {"interval": "year", "interval_count": 4}}, "recurring.interval_count",
         "1 to 3 for the interval year"),
        ("prices", TIERED | {"billing_scheme": "per_unit"}, "billing_scheme", "tiered"),
        ("prices", TIERED | {"tiers": TIERS[:1]}, "tiers", "of the last is inf"),
        ("prices", TIERED | {"tiers": [TIERS[0], *TIERS]}, "tiers", "rises"),
        ("prices", PRICE | {"billing_scheme": "tiered"}, "tiers", "required with billing_scheme"),
        ("prices", {name: value for name, value in TIERED.items() if name != "tiers_mode"}, "tiers_mode", "required"),
        ("subscriptions", {"items": [{"price": "a"}]}, "customer", "it is required"),
        ("subscriptions", {"customer": "a"}, "items", "it is required"),
        ("subscriptions", SUBSCRIPTION | {"items": [{"quantity": 2}]}, "items.0.price", "it is required"),
        ("subscriptions", SUBSCRIPTION | {"items": [{"price": "a"}] * 2}, "items.1.price", "the same price"),
        ("subscriptions", SUBSCRIPTION | {"items": [{"price": "a", "quantity": -1}]}, "items.0.quantity", "0 or more"),
        ("subscriptions", SUBSCRIPTION | {"items": [{"price": f"p{n}"} for n in range(21)]}, "items", "21 entries"),
        ("subscriptions", SUBSCRIPTION | SENT, "days_until_due", "required with collection_method send_invoice"),
        ("subscriptions", SUBSCRIPTION | {"days_until_due": 5}, "days_until_due", "send_invoice only"),
        ("subscriptions", SUBSCRIPTION | {"trial_end": "now", "trial_period_days": 3}, "trial_period_days", "excludes"),
        ("invoices", {}, "customer", "it is required"),
        ("invoices", INVOICE | SENT, "days_until_due", "required with"),
        ("invoices", INVOICE | SENT | {"days_until_due": 3, "due_date": 1900000000}, "due_date", "excludes"),
        ("invoices", INVOICE | {"due_date": 1900000000}, "due_date", "send_invoice only"),
        ("invoices", INVOICE | {"description": "x" * 1501}, "description", "1501 characters"),
        ("invoiceitems", {"amount": 5}, "customer", "it is required"),
        ("invoiceitems", {"customer": "a"}, "amount", "it is required, or pricing"),
        ("invoiceitems", ITEM | {"pricing": {"price": "a"}}, "pricing", "excludes amount"),
        ("invoiceitems", ITEM | {"quantity": 2}, "quantity", "an amount is that of all"),
        ("invoiceitems", ITEM | {"period": {"start": 5, "end": 4}}, "period.start", "begins after its end"),
        ("quotes", {"customer": "a"}, "line_items", "it is required"),
        ("invoices", INVOICE | {"number": "x" * 27}, "number", "27 characters"),
        ("customers", {"invoice_prefix": "AB"}, "invoice_prefix", "3 to 12"),
        ("quotes", QUOTE | {"line_items": [{"price": "a"}, {"price": "a"}]}, "line_items.1.price", "the same price"),
    ],
)  # fmt: skip
def test_what_stripe_refuses_is_told(resource: str, payload: dict[str, Any], path: str, problem: str) -> None:
    [(where, said)] = wrong(resource, payload)
    assert where == path
    assert problem in said


def test_an_update_needs_nothing_but_what_it_says_is_checked() -> None:
    for resource in ("subscriptions", "invoices", "invoiceitems", "quotes"):
        assert wrong(resource, {"description": "a"}, "update") == []
    assert wrong("subscriptions", SENT, "update") == []
    assert wrong("subscriptions", {"items": []}, "update") == [("items", "it cannot be empty")]
    assert wrong("products", {"name": ""}, "update") == [("name", "it cannot be empty")]


def test_a_currency_is_written_as_stripe_shows_it() -> None:
    [(payload, _)] = checked("prices", "create", [PRICE | {"currency": " EUR"}])
    assert payload["currency"] == "eur"


MONTHLY: dict[str, Any] = {
    "id": "a",
    "active": True,
    "currency": "usd",
    "recurring": {"interval": "month", "usage_type": "licensed"},
}
ONCE: dict[str, Any] = {"id": "once", "active": True, "currency": "usd", "recurring": None}
PRICES: dict[str, dict[str, Any]] = {
    "a": MONTHLY,
    "euro": MONTHLY | {"currency": "eur"},
    "both": MONTHLY | {"currency_options": {"eur": {}}},
    "old": MONTHLY | {"active": False},
    "used": MONTHLY | {"recurring": {"interval": "month", "usage_type": "metered"}},
    "once": ONCE,
}


@pytest.mark.parametrize(
    ("resource", "payload", "path", "problem"),
    [
        ("subscriptions", {"items": [{"price": "a"}, {"price": "later"}]}, "", ""),
        ("subscriptions", {"items": [{"price": "once"}]}, "items.0.price", "paid once"),
        ("subscriptions", {"items": [{"price": "old"}]}, "items.0.price", "archived"),
        ("subscriptions", {"items": [{"price": "used", "quantity": 1}]}, "items.0.quantity", "takes no quantity"),
        ("subscriptions", {"items": [{"price": "a"}, {"price": "euro"}]}, "items.1.price", "its currency is eur"),
        ("subscriptions", {"currency": "eur", "items": [{"price": "a"}]}, "currency", "items.0.price is in usd"),
        ("subscriptions", {"currency": "eur", "items": [{"price": "both"}]}, "", ""),
        ("invoiceitems", {"pricing": {"price": "a"}}, "pricing.price", "recurs"),
        ("invoiceitems", {"currency": "eur", "pricing": {"price": "once"}}, "currency", "is in usd"),
        ("invoiceitems", {"amount": 5}, "", ""),
        ("quotes", {"line_items": [{"price": "a"}, {"price": "once"}]}, "", ""),
        ("quotes", {"line_items": [{"price": "old"}]}, "line_items.0.price", "archived"),
        ("customers", {"name": "a"}, "", ""),
    ],
)
def test_prices_that_do_not_fit(resource: str, payload: dict[str, Any], path: str, problem: str) -> None:
    found = unfit(resource, "create", payload, PRICES)
    assert [one.path for one in found] == ([path] if path else [])
    assert all(problem in one.problem for one in found)


def test_a_price_that_was_archived_stays_where_it_is() -> None:
    assert unfit("subscriptions", "update", {"items": [{"price": "old"}]}, PRICES) == []
