"""What may be handed over, and how a mistake in it is told."""

import json
from typing import Any

import pytest
from tests.support.priced import MONTH_AGO, MONTH_AHEAD, NOW, Json, discount, item, line, price, subscription, tiered
from tests.support.priced import coupon as cut

from tidegate.errors import SubscriptionInvalid
from tidegate.pricing.given import LISTS, given

ONE = subscription(item(price(1000)))


def test_a_bare_subscription_and_one_with_what_stands_beside_it() -> None:
    bare = given(json.dumps(ONE).encode())
    assert (bare.subscription.id, bare.currency, [one.id for one in bare.items]) == ("sub_1", "usd", ["si_1"])
    assert bare.prices == bare.coupons == bare.discounts == bare.tax_rates == bare.lines == {}
    full = given(
        json.dumps(
            {
                "subscription": ONE,
                "prices": {"object": "list", "data": [tiered("volume", (None, 5))]},
                "coupons": [cut(10)],
                "discounts": [discount("c_1")],
                "tax_rates": [{"id": "txr_1"}, {"object": "tax_rate"}],
                "invoice_lines": [line(1000), line(-5, proration=True), line(3, of="")],
                "customer_discounts": None,
                "schedule": {"id": "sub_sched_1", "status": "active"},
                "past_due_since": NOW,
            }
        ).encode()
    )
    found = [list(each) for each in (full.prices, full.coupons, full.discounts, full.tax_rates, full.lines)]
    assert found == [["price_1"], ["c_1"], ["di_1"], ["txr_1"], ["si_1"]]
    assert [one.amount for one in full.lines["si_1"]] == [1000]
    assert (full.schedule.id if full.schedule else "", full.past_due_since) == ("sub_sched_1", NOW)


@pytest.mark.parametrize(("status", "amounts"), [("paid", [1000]), ("open", [1000]), ("draft", []), ("void", [])])
def test_the_lines_of_an_expanded_final_invoice_count(status: str, amounts: list[int]) -> None:
    invoice = {"id": "in_1", "status": status, "lines": {"data": [line(1000)]}}
    facts = given(json.dumps(ONE | {"latest_invoice": invoice, "schedule": "sub_sched_1"}).encode())
    assert [one.amount for one in facts.lines.get("si_1", ())] == amounts
    assert facts.schedule is None


PLACES: list[tuple[Any, str, str]] = [
    ("nonsense", "the document", "it is no JSON ("),
    ([], "the document", "it is no JSON object"),
    ({"object": "invoice"}, "the subscription", "its `object` says invoice"),
    ({"subscription": {"status": 5}}, "the subscription", "Expected `str | null`, got `int` - at `$.status`"),
    (subscription(), "items", "it has none; expand them, or hand over the whole object"),
    ({"subscription": "sub_1"}, "items", "it has none; expand them"),
    (ONE | {"items": {"data": [{}], "has_more": True}}, "items.has_more", "there are more than the 1 told"),
    (subscription(item({"unit_amount": "ten"})), "items.data[0]", "Expected `int | null`, got `str`"),
    ({"subscription": ONE, "price": []}, "price", "nothing of that name is known; there are prices, coupons,"),
    ({"subscription": ONE, "prices": 5}, "prices", "it is no list"),
    ({"subscription": ONE, "prices": {"id": "price_1"}}, "prices", "it is no list"),
    ({"subscription": ONE, "coupons": [cut(10), cut(10) | {"percent_off": "ten"}]}, "coupons[1]", "Expected `float"),
    ({"subscription": ONE, "past_due_since": "today"}, "past_due_since", "Expected `int`, got `str`"),
    ({"subscription": ONE, "schedule": []}, "schedule", "Expected `object`, got `array`"),
]


@pytest.mark.parametrize(("document", "where", "problem"), PLACES)
def test_a_mistake_is_told_with_its_place(document: Any, where: str, problem: str) -> None:
    body = document.encode() if isinstance(document, str) else json.dumps(document).encode()
    with pytest.raises(SubscriptionInvalid) as refused:
        given(body)
    assert refused.value.facts["where"] == where
    assert refused.value.facts["problem"].startswith(problem)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe{", b"[" * 100_000, b'{"subscription": '])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(SubscriptionInvalid, match=r"the document|no JSON"):
        given(body)


def test_each_list_may_be_left_out() -> None:
    beside: Json = dict.fromkeys(LISTS)
    assert given(json.dumps({"subscription": ONE} | beside).encode()).items[0].current_period_end == MONTH_AHEAD
    assert MONTH_AGO < NOW < MONTH_AHEAD
