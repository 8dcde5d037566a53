"""What redaction takes out of Stripe's objects, what it leaves, and that it is the same every time."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.mirror.redaction import ADDRESSES, EMPTIED, REMOVED, redact, redacted, redacted_event

CUSTOMER: dict[str, Any] = {
    "id": "cus_1",
    "object": "customer",
    "balance": -500,
    "currency": "usd",
    "email": "ada@example.com",
    "name": "Ada",
    "phone": None,
    "description": "a friend of Bob's",
    "address": {"line1": "1 Road", "city": "Paris", "country": "FR", "postal_code": "75001"},
    "shipping": {"name": "Ada", "phone": "+33", "address": {"country": "FR"}},
    "metadata": {"workspace_id": "w1"},
    "tax_ids": {"object": "list", "data": [{"object": "tax_id", "value": "FR1"}]},
    "invoice_settings": {"default_payment_method": "pm_1", "custom_fields": [{"name": "VAT", "value": "FR1"}]},
    "discount": {"id": "di_1", "object": "discount", "coupon": {"id": "X", "object": "coupon", "name": "Spring"}},
}


def test_who_somebody_is_goes_and_what_was_paid_stays() -> None:
    assert redact(CUSTOMER) == {
        "id": "cus_1",
        "object": "customer",
        "balance": -500,
        "currency": "usd",
        "email": None,
        "name": None,
        "phone": None,
        "description": None,
        "address": {"country": "FR"},
        "shipping": {},
        "metadata": {},
        "tax_ids": {},
        "invoice_settings": {"default_payment_method": "pm_1", "custom_fields": []},
        "discount": {"id": "di_1", "object": "discount", "coupon": {"id": "X", "object": "coupon", "name": "Spring"}},
    }


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ({"billing_details": {"email": "a@b.c", "name": "Ada", "address": {"country": None, "city": "X"}}},
         {"billing_details": {"email": None, "name": None, "address": None}}),
        ({"payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": "4242", "exp_year": 2030}}},
         {"payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": None, "exp_year": None}}}),
        ({"object": "dispute", "amount": 5, "evidence": {"customer_name": "Ada"}, "evidence_details": {"due_by": 1}},
         {"object": "dispute", "amount": 5, "evidence": {}, "evidence_details": {"due_by": 1}}),
        ({"object": "invoice", "number": "A-1", "total": 3, "customer_name": "Ada", "hosted_invoice_url": "https://x"},
         {"object": "invoice", "number": "A-1", "total": 3, "customer_name": None, "hosted_invoice_url": None}),
    ],
)  # fmt: skip
def test_what_stands_inside_goes_as_well(body: dict[str, Any], left: dict[str, Any]) -> None:
    assert redact(body) == left


def test_an_item_is_redacted_in_its_list_as_it_is_alone() -> None:
    price = {"id": "price_1", "object": "price", "nickname": "Gold", "metadata": {"a": "b"}}
    item = {"id": "si_1", "object": "subscription_item", "metadata": {"for": "Ada"}, "price": price, "quantity": 2}
    whole = redact({"object": "subscription", "items": {"object": "list", "data": [item], "url": "/v1/items"}})
    assert whole["items"]["data"] == [redact(item)]
    assert whole["items"]["data"][0]["price"] == price
    assert whole["items"]["url"] == "/v1/items"


def test_an_event_keeps_its_envelope() -> None:
    event = {"id": "evt_1", "object": "event", "type": "customer.updated", "data": {"object": CUSTOMER}}
    event["data"] |= {"previous_attributes": {"email": "old@example.com", "balance": 3}}
    told = json.loads(redacted_event(json.dumps(event)))
    assert (told["id"], told["type"], told["data"]["object"]) == ("evt_1", "customer.updated", redact(CUSTOMER))
    assert told["data"]["previous_attributes"] == {"email": None, "balance": 3}


@pytest.mark.parametrize("body", ["[]", "1", "{", ""])
def test_what_is_no_object_cannot_be_redacted(body: str) -> None:
    with pytest.raises(ValueError):
        redacted(body)
    with pytest.raises(ValueError):
        redacted_event(body)


names = st.sampled_from(sorted([*REMOVED, *EMPTIED, *ADDRESSES, "id", "amount", "object", "data", "country"]))
values = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.sampled_from(["price", "customer"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(names, values, max_size=6))
def test_redacting_again_changes_nothing(body: dict[str, Any]) -> None:
    once = redacted(json.dumps(body))
    assert redacted(once) == once
