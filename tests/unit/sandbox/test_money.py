from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.sandbox.amounts import amount_of, parts_of, reductions, rounded, shared, tax_on
from tidegate.sandbox.clock import add_interval
from tidegate.sandbox.objects.catalog import price, tier

DAY = 86_400


def per_unit(amount: int | str, **changes: Any) -> dict[str, Any]:
    return price("price_1", 0, "prod_1", "usd", amount, ("month", 1), **changes)


GRADUATED = per_unit(None, tiers=[tier(10, 1500, 5000), tier(50, 1200), tier(None, 900)], tiers_mode="graduated")  # type: ignore[arg-type]
VOLUME = per_unit(None, tiers=[tier(100, 50), tier(None, 30, 5000)], tiers_mode="volume")  # type: ignore[arg-type]
PACKAGE = per_unit(500, transform_quantity={"divide_by": 1000, "round": "up"})


@pytest.mark.parametrize(
    ("terms", "quantity", "parts"),
    [
        (per_unit(1200), 7, [(7, 8400)]),
        (per_unit("0.75"), 333, [(333, 250)]),
        (PACKAGE, 4300, [(4300, 2500)]),
        (PACKAGE | {"transform_quantity": {"divide_by": 1000, "round": "down"}}, 4300, [(4300, 2000)]),
        (GRADUATED, 3, [(3, 4500), (0, 5000)]),
        (GRADUATED, 0, [(0, 0), (0, 5000)]),
        (GRADUATED, 64, [(10, 15_000), (0, 5000), (40, 48_000), (14, 12_600)]),
        (VOLUME, 100, [(100, 5000)]),
        (VOLUME, 101, [(101, 3030), (0, 5000)]),
    ],
)
def test_a_price_becomes_lines(terms: dict[str, Any], quantity: int, parts: list[tuple[int, int]]) -> None:
    assert [(part.quantity, part.amount) for part in parts_of(terms, quantity)] == parts
    assert amount_of(terms, quantity) == sum(amount for _, amount in parts)


@pytest.mark.parametrize(
    ("value", "whole"), [(Fraction(1, 2), 1), (Fraction(-1, 2), -1), (Fraction(5, 2), 3), (Fraction(249, 100), 2)]
)
def test_halves_are_rounded_away_from_zero(value: Fraction, whole: int) -> None:
    assert rounded(value) == whole


@given(total=st.integers(0, 10**6), weights=st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_shares_add_up(total: int, weights: list[int]) -> None:
    shares = shared(total, weights)
    assert sum(shares) == (total if sum(weights) else 0)
    assert all(share >= 0 for share in shares)
    assert all(share == 0 for share, weight in zip(shares, weights, strict=True) if weight == 0)


def test_what_coupons_take_off() -> None:
    percent = {"percent_off": 25.5, "amount_off": None, "currency": None}
    assert reductions(percent, [1000, -500, 200], ["a", "a", "b"], "usd") == [255, 0, 51]
    assert reductions(percent | {"applies_to": {"products": ["b"]}}, [1000, 200], ["a", "b"], "usd") == [0, 51]
    fixed = {"percent_off": None, "amount_off": 500, "currency": "usd"}
    assert reductions(fixed, [300, 100], ["a", "b"], "usd") == [300, 100]
    assert reductions(fixed, [900, 100], ["a", "b"], "usd") == [450, 50]
    assert reductions(fixed, [900, 100], ["a", "b"], "eur") == [0, 0]


def test_taxes() -> None:
    assert tax_on(10_000, {"percentage": 19.0, "inclusive": False}) == 1900
    assert tax_on(12_000, {"percentage": 20.0, "inclusive": True}) == 2000


@pytest.mark.parametrize(
    ("day", "interval", "count", "anchor", "expected"),
    [
        ("2026-01-31", "month", 1, None, "2026-02-28"),
        ("2026-02-28", "month", 1, 31, "2026-03-31"),
        ("2024-02-29", "year", 1, None, "2025-02-28"),
        ("2026-11-30", "month", 3, None, "2027-02-28"),
        ("2026-05-30", "week", 2, None, "2026-06-13"),
        ("2026-05-30", "month", -12, None, "2025-05-30"),
    ],
)
def test_periods_keep_their_day(day: str, interval: str, count: int, anchor: int | None, expected: str) -> None:
    from datetime import UTC, datetime

    start = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())
    end = datetime.fromtimestamp(add_interval(start, interval, count, anchor), UTC)
    assert end.date().isoformat() == expected


def whole_invoices(api: Any) -> list[dict[str, Any]]:
    collection = api.server.world.state["invoices"]
    return [collection.full(identifier) for identifier in collection.ids]


def test_every_invoice_adds_up(api: Any) -> None:
    for invoice in whole_invoices(api):
        lines = invoice["lines"]["data"]
        off = sum(part["amount"] for line in lines for part in line["discount_amounts"])
        taxes = [part for line in lines for part in line["taxes"]]
        exclusive = sum(part["amount"] for part in taxes if part["tax_behavior"] == "exclusive")
        assert invoice["subtotal"] == sum(line["amount"] for line in lines)
        assert invoice["total"] == invoice["subtotal"] - off + exclusive
        assert off == sum(part["amount"] for part in invoice["total_discount_amounts"])
        assert sum(part["amount"] for part in taxes) == sum(part["amount"] for part in invoice["total_taxes"])
        assert invoice["total_excluding_tax"] == invoice["total"] - sum(part["amount"] for part in taxes)
        before = invoice["amount_due"] + invoice["pre_payment_credit_notes_amount"]
        assert before == max(0, invoice["total"] + invoice["starting_balance"])
        assert invoice["amount_remaining"] == invoice["amount_due"] - invoice["amount_paid"]
        assert (invoice["status"] == "paid") == (invoice["status_transitions"]["paid_at"] is not None)
        if invoice["status"] == "paid":
            assert invoice["amount_remaining"] == 0
        else:
            assert invoice["amount_paid"] == 0
        if invoice["status"] not in ("draft", "void", "uncollectible"):
            assert invoice["ending_balance"] == invoice["starting_balance"] + invoice["total"] - before


def test_money_came_in_for_every_paid_invoice(api: Any) -> None:
    state = api.server.world.state
    paid_by: Counter[str] = Counter()
    for link in api.every("/v1/invoice_payments"):
        intent = state.full("payment_intents", link["payment"]["payment_intent"])
        assert (link["status"] == "paid") == (intent["status"] == "succeeded")
        if link["status"] == "paid":
            charge = state.full("charges", intent["latest_charge"])
            assert (charge["status"], charge["amount"]) == ("succeeded", link["amount_paid"])
            paid_by[link["invoice"]] += link["amount_paid"]
    for invoice in whole_invoices(api):
        if invoice["collection_method"] == "charge_automatically":
            assert paid_by[invoice["id"]] == invoice["amount_paid"]
    for charge in api.every("/v1/charges"):
        refunds = api.every("/v1/refunds", f"&charge={charge['id']}")
        given = sum(refund["amount"] for refund in refunds if refund["status"] == "succeeded")
        assert given == charge["amount_refunded"]


def test_the_last_invoice_charges_what_the_subscription_has(api: Any) -> None:
    state = api.server.world.state
    seen: Counter[str] = Counter()
    for subscription in api.every("/v1/subscriptions", "&status=active"):
        whole = state.full("subscriptions", subscription["id"])
        invoice = state.full("invoices", whole["latest_invoice"])
        if invoice["billing_reason"] == "subscription_update":
            continue
        billed: Counter[tuple[str, str]] = Counter()
        begin = whole["items"]["data"][0]["current_period_start"]
        for line in invoice["lines"]["data"]:
            details = (line["parent"] or {}).get("subscription_item_details")
            if details and not details["proration"] and line["period"]["start"] == begin:
                billed[details["subscription_item"], line["pricing"]["price_details"]["price"]] += line["amount"]
        for item in whole["items"]["data"]:
            key = item["id"], item["price"]["id"]
            if "quantity" in item and key in billed:
                expected = amount_of(state.full("prices", item["price"]["id"]), item["quantity"])
                seen["same" if billed[key] == expected else "changed since"] += 1
    assert seen["same"] > 5 * seen["changed since"] > 0


def test_prorations_come_in_pairs_that_credit_what_was_billed(api: Any) -> None:
    state, pairs = api.server.world.state, 0
    for item in api.every("/v1/invoiceitems"):
        if item["proration"] and item["amount"] < 0 and item["invoice"]:
            lines = state.full("invoices", item["invoice"])["lines"]["data"]
            (own,) = [one for one in lines if invoice_item_of(one) == item["id"]]
            assert own["amount"] == item["amount"]
            assert own["pricing"]["unit_amount_decimal"] is None
            credited = own["parent"]["subscription_item_details"]["proration_details"]["credited_items"]
            if credited:
                known = {line["id"] for line in state.full("invoices", credited["invoice"])["lines"]["data"]}
                assert known >= set(credited["invoice_line_items"])
                pairs += 1
    assert pairs > 5


def invoice_item_of(line: dict[str, Any]) -> str | None:
    details = line["parent"]["subscription_item_details"] or line["parent"]["invoice_item_details"]
    return details["invoice_item"]
