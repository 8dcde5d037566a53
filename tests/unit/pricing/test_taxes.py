"""Inclusive tax is no revenue: how much of an amount it is, by what is known."""

from fractions import Fraction
from typing import Any

import pytest
from tests.support.priced import Json, coupon, discount, item, line, mrr, only, price, subscription, valued

from tidegate.pricing.taxes import GUESSED


def rate(percent: float, inclusive: bool = True) -> Json:
    return {"id": "txr_1", "object": "tax_rate", "percentage": percent, "inclusive": inclusive}


@pytest.mark.parametrize(
    ("of_item", "default", "lines", "amount"),
    [
        (None, None, [], 1200),
        ([rate(20)], None, [], 1000),
        ([rate(20)], [rate(50)], [], 1000),
        ([], [rate(20)], [], 1000),
        ([rate(20, inclusive=False)], [rate(20)], [], 1200),
        ([rate(15), rate(5)], None, [], 1000),
        ([rate(15), rate(5, inclusive=False)], None, [], Fraction(120_000, 115)),
        ([rate(8.875)], None, [], Fraction(1_200_000_000, 1_088_750)),
        ([rate(0)], None, [], 1200),
        ([rate(50)], None, [line(1200, tax=200)], 1000),
        ([rate(50)], None, [line(700, tax=100), line(500, tax=100)], 1000),
        ([rate(50)], None, [line(1200, off=200, tax=100)], 1080),
        ([rate(50)], None, [line(1200, tax_amounts=[{"amount": 200, "inclusive": False}])], 1200),
        ([rate(50)], None, [line(1200, taxes=[{"amount": 200, "tax_behavior": "inclusive"}])], 1000),
        ([rate(20)], None, [line(1200)], 1000),
        ([rate(20)], None, [line(0, tax=0)], 1000),
    ],
)
def test_the_share_of_the_last_lines_else_the_items_rates_else_the_default_ones(
    of_item: Any, default: Any, lines: list[Json], amount: Fraction
) -> None:
    of = subscription(item(price(1200), tax_rates=of_item), default_tax_rates=default)
    assert mrr(of, invoice_lines=lines) == amount


def test_tax_is_taken_out_after_discounts() -> None:
    found = only(
        valued(subscription(item(price(2400)), discounts=[discount(coupon(50))], default_tax_rates=[rate(20)]))
    )
    assert (found.monthly, found.listed) == (1000, 2400)
    assert [step.kind for step in found.steps] == ["price", "discount", "tax"]


@pytest.mark.parametrize(
    ("of", "currency", "problem"),
    [
        (price(1200, tax_behavior="inclusive"), "usd", GUESSED),
        (price(0, tax_behavior="inclusive"), "usd", ""),
        (price(1200, tax_behavior="exclusive"), "usd", ""),
        (price(1200, tax_behavior="unspecified"), "usd", ""),
        (price(1200, currency_options={"eur": {"unit_amount": 1200, "tax_behavior": "inclusive"}}), "eur", GUESSED),
        (price(1200, currency_options={"eur": {"unit_amount": 1200, "tax_behavior": "inclusive"}}), "usd", ""),
    ],
)
def test_a_price_with_tax_in_it_and_no_rate_is_named(of: Json, currency: str, problem: str) -> None:
    found = only(valued(subscription(item(of), currency=currency)))
    assert (found.problem, found.monthly) == (problem, found.listed)


def test_a_rate_that_is_named_by_id_alone_is_looked_up_or_named() -> None:
    of = subscription(item(price(1200), tax_rates=["txr_1"]), default_tax_rates=[rate(50)])
    assert mrr(of, tax_rates=[rate(20)]) == 1000
    found = only(valued(of))
    assert (found.monthly, found.problem) == (1200, "the tax rate txr_1 is not told; expand it")


@pytest.mark.parametrize(
    ("taxes", "amount"),
    [
        ([{"amount": 317, "rate": "txr_1"}], Fraction(190_000, 120)),
        ([{"amount": 238, "rate": "txr_15"}, {"amount": 79, "rate": "txr_5"}], Fraction(190_000, 120)),
        ([{"amount": 317, "rate": "txr_gone"}], 1900 - 317),
        ([{"amount": 0, "rate": "txr_1"}], 1900),
        ([{"amount": 200, "rate": "txr_1"}], 1700),
    ],
    ids=["of a rate", "of two", "of an unknown one", "none was due", "of a part"],
)
@pytest.mark.parametrize("old", [True, False])
def test_the_rounding_of_a_lines_tax_is_taken_back_where_its_rates_explain_it(
    taxes: list[Json], amount: Fraction, old: bool
) -> None:
    """Else the same price would be worth another amount with each quantity, and before its first invoice."""
    rates = [rate(20), rate(15) | {"id": "txr_15"}, rate(5) | {"id": "txr_5"}]
    amounts = [
        {"amount": one["amount"], "inclusive": True, "tax_rate": one["rate"]}
        if old
        else {"amount": one["amount"], "tax_behavior": "inclusive", "tax_rate_details": {"tax_rate": one["rate"]}}
        for one in taxes
    ]
    told = line(1900) | {"tax_amounts" if old else "taxes": amounts}
    assert mrr(subscription(item(price(1900))), invoice_lines=[told], tax_rates=rates) == amount
