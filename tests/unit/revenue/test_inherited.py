"""Discounts of a customer over time: until when each was held, and the versions of a subscription that follow."""

import json

from tests.support.histories import BORN, day, lived, spans, told, version
from tests.support.priced import Json, coupon, discount, item, price

from tidegate.revenue.history.inherited import Holding, holdings, inherited, with_ends
from tidegate.stripe_api.shapes.decoders import decoder
from tidegate.stripe_api.shapes.discounts import Discount

MARCH, MAY = day("2025-03-01"), day("2025-05-01")


def shape(body: Json) -> Discount:
    return decoder(Discount).decode(json.dumps(body))


NAMING = ("subscription", "invoice", "subscription_item", "invoice_item")
OWN = shape(discount(coupon(20), id="di_own", start=MAY))
OLD = shape(discount(coupon(10), id="di_old", start=BORN))


def test_one_that_is_held_has_no_end_and_one_that_was_taken_away_has() -> None:
    assert holdings(OWN, [(OLD, MARCH)]) == [Holding(OLD, MARCH), Holding(OWN, None)]
    assert inherited(holdings(OWN, [(OLD, MARCH)]), MARCH) == [OWN]
    assert inherited(holdings(OWN, [(OLD, MARCH)]), MARCH - 1) == [OLD, OWN]


def test_one_whose_end_was_told_before_the_customer_was_is_gone() -> None:
    assert holdings(OLD, [(OLD, MARCH)]) == [Holding(OLD, MARCH)]


def test_what_is_still_known_but_not_the_customers_any_more_says_nothing() -> None:
    assert holdings(None, [(OLD, None)]) == []


def test_another_takes_the_place_of_the_one_before() -> None:
    assert holdings(OWN, [(OLD, MAY + 50)]) == [Holding(OLD, MAY), Holding(OWN, None)]


def test_one_whose_time_was_over_ends_with_its_period() -> None:
    over = shape(discount(coupon(20, duration="repeating"), start=BORN, end=MARCH))
    assert holdings(None, [(over, MARCH + 5)]) == [Holding(over, None)]
    assert holdings(None, [(over, MARCH)]) == [Holding(over, None)]
    assert holdings(OWN, [(over, MARCH + 5)]) == [Holding(over, MAY), Holding(OWN, None)]


def test_one_that_is_taken_away_before_its_time_ends_then() -> None:
    limited = shape(discount(coupon(20, duration="repeating"), start=BORN, end=MAY))
    assert holdings(None, [(limited, MARCH)]) == [Holding(limited, MARCH)]


def test_those_of_subscriptions_and_invoices_are_not_the_customers() -> None:
    others = [shape(discount(coupon(20)) | {name: "x"}) for name in NAMING]
    assert holdings(None, [(one, MARCH) for one in others]) == []


def test_the_end_is_a_version_of_its_own_unless_the_subscription_is_over() -> None:
    monthly = item(price(1000, id="price_1"), current_period_start=BORN, current_period_end=MARCH)
    held = [Holding(OLD, MARCH), Holding(OWN, None)]
    first = version(BORN, lived(monthly), customer_discounts=[discount(coupon(10), id="di_old", start=BORN)])
    found = with_ends([first, version(MAY, lived(monthly))], held, lambda _at: {})
    assert [one.at for one in found] == [BORN, MARCH, MAY]
    found = with_ends([first, version(MAY, lived(monthly))], held[:1], lambda _at: {})
    assert told(spans(found)) == [("2025-01-01", "2025-03-01", 900), ("2025-03-01", "", 1000)]
    over = version(MARCH - 9, lived(monthly, status="canceled", ended_at=MARCH - 9))
    assert len(with_ends([first, over], held, lambda _at: {})) == 2
    assert len(with_ends([first, version(MARCH, lived(monthly))], held, lambda _at: {})) == 2
