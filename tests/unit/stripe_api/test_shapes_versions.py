"""The same fact told by different API versions comes out in the same column."""

import json
from typing import Any

import msgspec
import pytest

from tidegate.stripe_api.resources import resource
from tidegate.stripe_api.shapes.discounts import Discount
from tidegate.stripe_api.shapes.lines import InvoiceLine
from tidegate.stripe_api.shapes.read import Reading, read
from tidegate.stripe_api.shapes.subscriptions import Subscription, SubscriptionItem

PRICE = {
    "id": "price_1",
    "product": "prod_1",
    "currency": "usd",
    "unit_amount": 1000,
    "recurring": {"interval": "month"},
}
PLAN = {"id": "price_1", "product": "prod_1", "currency": "usd", "amount": 1000, "interval": "month"}
COUPON = {"id": "SAVE", "object": "coupon", "percent_off": 25.5}
OLD_DISCOUNT = {"id": "di_1", "object": "discount", "coupon": COUPON}
CLOVER_DISCOUNT = {"id": "di_1", "object": "discount", "source": {"type": "coupon", "coupon": "SAVE"}}


def columns(name: str, body: dict[str, Any]) -> dict[str, Any]:
    kind = resource(name)
    reading = read(kind, json.dumps({"id": "x_1", "object": kind.object, **body}).encode())
    assert isinstance(reading, Reading)
    assert reading.faults == ()
    return dict(zip((column.name for column in kind.columns), reading.values, strict=True))


def items(*periods: tuple[int, int]) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [{"id": "si", "current_period_start": start, "current_period_end": end} for start, end in periods],
    }


def parent(**details: Any) -> dict[str, Any]:
    return {"parent": {"type": f"{next(iter(details))}", **details}}


# fmt: off
SAME: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
    ("subscriptions", {"current_period_start": 10, "current_period_end": 20}, [
        {"current_period_start": 10, "current_period_end": 20, "items": items((1, 2))},
        {"items": items((10, 20))},
        {"items": items((12, 40), (10, 20), (15, 30))},
        {"current_period_start": 10, "current_period_end": 20, "plan": PLAN, "quantity": 3},
    ]),
    ("subscriptions", {"currency": "usd"}, [
        {"currency": "usd"},
        {"plan": PLAN},
        {"items": {"data": [{"id": "si"}, {"id": "si", "price": PRICE}]}},
        {"items": {"data": [{"id": "si", "plan": PLAN}]}},
    ]),
    ("subscriptions", {"coupons": ["SAVE"]}, [
        {"discount": OLD_DISCOUNT},
        {"discount": OLD_DISCOUNT, "discounts": []},
        {"discount": OLD_DISCOUNT, "discounts": [OLD_DISCOUNT]},
        {"discounts": [CLOVER_DISCOUNT]},
        {"discounts": ["di_0", CLOVER_DISCOUNT]},
    ]),
    ("subscriptions", {"coupons": []}, [{}, {"discounts": ["di_1"]}, {"discount": None}]),
    ("subscriptions", {"start_date": 7}, [{"start": 7}, {"start_date": 7}]),
    ("subscriptions", {"customer": "cus_1"}, [{"customer": "cus_1"}, {"customer": {"id": "cus_1", "deleted": True}}]),
    ("subscription_items", {"price": "price_1", "product": "prod_1", "currency": "usd", "unit_amount": 1000,
                            "interval": "month"}, [
        {"price": PRICE}, {"plan": PLAN}, {"price": PRICE, "plan": PLAN},
        {"price": {**PRICE, "product": {"id": "prod_1", "name": "Pro"}}},
    ]),
    ("invoices", {"subscription": "sub_1"}, [
        {"subscription": "sub_1"}, {"subscription": {"id": "sub_1"}},
        {"subscription": None, **parent(subscription_details={"subscription": "sub_1"})},
        parent(subscription_details={"subscription": {"id": "sub_1"}}),
    ]),
    ("invoices", {"quote": "qt_1"}, [{"quote": "qt_1"}, parent(quote_details={"quote": "qt_1"})]),
    ("invoices", {"paid": True}, [{"paid": True}, {"status": "paid"}]),
    ("invoices", {"paid": False}, [{"paid": False}, {"status": "open"}]),
    ("invoices", {"tax": 30}, [
        {"tax": 30}, {"tax": None, "total_tax_amounts": [{"amount": 10}, {"amount": 20}]},
        {"total_taxes": [{"amount": 10}, {"amount": 20}]},
    ]),
    ("invoices", {"payment_intent": "pi_1", "charge": None}, [
        {"payment_intent": "pi_1"},
        {"payments": {"data": [{"payment": {"payment_intent": "pi_0"}},
                               {"is_default": True, "payment": {"payment_intent": {"id": "pi_1"}}}]}},
    ]),
    ("invoices", {"coupons": ["SAVE"]}, [{"discount": OLD_DISCOUNT}, {"discounts": [CLOVER_DISCOUNT]}]),
    ("invoice_lines", {"price": "price_1", "product": "prod_1", "unit_amount_decimal": "1000"}, [
        {"price": PRICE}, {"plan": PLAN}, {"price": {**PRICE, "unit_amount_decimal": "1000"}},
        {"pricing": {"price_details": {"price": "price_1", "product": "prod_1"}, "unit_amount_decimal": "1000"}},
        {"pricing": {"price_details": {"price": PRICE, "product": "prod_1"}}},
    ]),
    ("invoice_lines", {"subscription": "sub_1", "subscription_item": "si_1", "proration": False, "type": "subscription",
                       "invoice_item": None}, [
        {"subscription": "sub_1", "subscription_item": "si_1", "proration": False, "type": "subscription"},
        parent(subscription_item_details={"subscription": "sub_1", "subscription_item": "si_1", "proration": False}),
    ]),
    ("invoice_lines", {"subscription": "sub_1", "invoice_item": "ii_1", "proration": True, "type": "invoiceitem"}, [
        {"subscription": "sub_1", "invoice_item": "ii_1", "proration": True, "type": "invoiceitem"},
        parent(invoice_item_details={"subscription": "sub_1", "invoice_item": "ii_1", "proration": True}),
        parent(subscription_item_details={"subscription": "sub_1", "invoice_item": "ii_1", "proration": True}),
    ]),
    ("invoice_lines", {"tax_amount": 7}, [{"tax_amounts": [{"amount": 7}]}, {"taxes": [{"amount": 7}]}]),
    ("invoiceitems", {"subscription": "sub_1", "price": "price_1", "unit_amount_decimal": "1000"}, [
        {"subscription": "sub_1", "price": PRICE}, {"subscription": "sub_1", "plan": PLAN, "unit_amount": 1000},
        {**parent(subscription_details={"subscription": "sub_1"}),
         "pricing": {"price_details": {"price": "price_1"}, "unit_amount_decimal": "1000"}},
    ]),
    ("discounts", {"coupon": "SAVE"}, [
        {"coupon": COUPON}, {"source": {"coupon": "SAVE"}}, {"source": {"coupon": COUPON}},
    ]),
    ("promotion_codes", {"coupon": "SAVE"}, [{"coupon": COUPON}, {"promotion": {"type": "coupon", "coupon": "SAVE"}}]),
    ("customers", {"balance": -500}, [{"account_balance": -500}, {"balance": -500}]),
    ("customers", {"coupons": ["SAVE"]}, [{"discount": OLD_DISCOUNT}, {"discount": CLOVER_DISCOUNT}]),
    ("payment_intents", {"latest_charge": "ch_1"}, [
        {"latest_charge": "ch_1"}, {"charges": {"data": [{"id": "ch_1"}, {"id": "ch_0"}]}},
    ]),
    ("credit_notes", {"refunds": ["re_1"]}, [
        {"refund": "re_1"}, {"refunds": [{"amount_refunded": 5, "refund": {"id": "re_1"}}]},
    ]),
    ("credit_notes", {"pre_payment_amount": 0, "post_payment_amount": 90}, [
        {"type": "post_payment", "amount": 90}, {"pre_payment_amount": 0, "post_payment_amount": 90},
    ]),
    ("accounts", {"timezone": "Etc/UTC", "name": "Acme"}, [
        {"timezone": "Etc/UTC", "display_name": "Acme"},
        {"business_profile": {"name": None},
         "settings": {"dashboard": {"display_name": "Acme", "timezone": "Etc/UTC"}}},
    ]),
]
# fmt: on


@pytest.mark.parametrize(
    ("name", "expected", "body"),
    [(name, expected, body) for name, expected, bodies in SAME for body in bodies],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_shape_for_every_version(name: str, expected: dict[str, Any], body: dict[str, Any]) -> None:
    filled = columns(name, body)
    assert {column: filled[column] for column in expected} == expected


@pytest.mark.parametrize(
    ("number", "text"), [(25.5, "25.5"), (100, "100"), (100.0, "100"), (0, "0"), (33.333333333333, "33.333333333333")]
)
def test_percentages_are_shortest_decimals(number: float, text: str) -> None:
    assert columns("coupons", {"percent_off": number})["percent_off"] == text
    assert columns("tax_rates", {"percentage": number})["percentage"] == text


def test_a_discount_without_an_id_goes_by_its_owner() -> None:
    reading = read(resource("discounts"), json.dumps({"customer": "cus_1", "coupon": COUPON}).encode())
    assert isinstance(reading, Reading)
    assert reading.id == "cus_1"


def test_terms_are_told_whole_where_stripe_sent_them_whole() -> None:
    def decode(shape: type[Any], body: dict[str, Any]) -> Any:
        return msgspec.json.decode(json.dumps(body), type=shape)

    for body in ({"price": PRICE}, {"plan": PLAN}):
        item = decode(SubscriptionItem, body)
        assert (item.terms.id, item.terms.unit_amount, item.terms.interval) == ("price_1", 1000, "month")
    line = decode(InvoiceLine, {"pricing": {"price_details": {"price": PRICE}}})
    assert line.terms.product == "prod_1"
    assert decode(InvoiceLine, {"pricing": {"price_details": {"price": "price_1"}}}).terms is None
    assert decode(Discount, OLD_DISCOUNT).terms.percent_off == "25.5"
    assert decode(Discount, CLOVER_DISCOUNT).terms is None
    subscription = decode(Subscription, {"items": {"data": [{"id": "si_1", "price": PRICE, "quantity": 4}]}})
    assert [(item.id, item.quantity) for item in subscription.items.read(SubscriptionItem)] == [("si_1", 4)]
