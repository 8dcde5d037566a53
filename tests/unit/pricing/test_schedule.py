"""Phases that have not started are shown as scheduled, and change nothing now."""

from typing import Any

import pytest
from tests.support.priced import DAY, NOW, Json, coupon, discount, facts, item, price, subscription, tiered

from tidegate.pricing.policy import policy
from tidegate.pricing.schedule import Scheduled, scheduled

LATER, LAST, END = NOW + 31 * DAY, NOW + 62 * DAY, NOW + 93 * DAY
SOLD = subscription(item(price(1000)), discounts=[discount(coupon(50, id="c_5"), id="di_5")])
KNOWN = [price(2000, "year") | {"id": "price_2"}, tiered("volume", (5, 100), (None, 50)) | {"id": "price_3"}]


def phase(*items: Json, start: int = LATER, end: int = LAST, **more: Any) -> Json:
    return {"start_date": start, "end_date": end, "items": list(items), **more}


def ahead(*phases: Json, of: Json = SOLD, status: str = "active", **beside: Any) -> list[Scheduled]:
    schedule = {"id": "sub_sched_1", "status": status, "phases": list(phases)}
    return scheduled(facts(of, schedule=schedule, prices=KNOWN, **beside), policy(), NOW)


@pytest.mark.parametrize(
    ("told", "amount"),
    [
        (phase({"price": "price_2", "quantity": 3}), 500),
        (phase({"price": "price_3", "quantity": 10}), 500),
        (phase({"price": price(700), "quantity": 1}, {"price": "price_3", "quantity": 5}), 1200),
        (phase({"plan": "price_3", "quantity": 2}), 200),
        (phase({"price": price(1000)}, discounts=[{"coupon": "c_1"}]), 900),
        (phase({"price": price(1000)}, discounts=[{"coupon": coupon(20)}]), 800),
        (phase({"price": price(1000)}, discounts=[{"discount": "di_5"}]), 500),
        (phase({"price": price(1000)}, discounts=[{"discount": discount(coupon(40))}]), 600),
        (phase({"price": price(1000), "discounts": [{"coupon": "c_1"}]}), 900),
        (phase({"price": price(1000)}, coupon="c_1"), 900),
        (phase({"price": price(1200)}, default_tax_rates=[{"id": "t", "inclusive": True, "percentage": 20.0}]), 1000),
        (phase({"price": price(1000, currency_options={"eur": {"unit_amount": 900}})}, currency="eur"), 900),
        (phase({"price": price(1000)}, trial_end=LATER + DAY), 0),
        (phase({"price": price(1000)}, trial_end=LATER), 1000),
        (phase(), 0),
    ],
)
def test_a_phase_to_come_is_valued_at_its_start(told: Json, amount: int) -> None:
    (found,) = ahead(told, coupons=[coupon(10)])
    assert (found.starts_at, found.ends_at, found.value.mrr) == (LATER, LAST, amount)
    assert [one.problem for one in found.value.items if one.problem] == []


def test_only_phases_to_come_count_in_their_order() -> None:
    running = phase({"price": price(1000)}, start=NOW, end=LATER)
    undated = phase({"price": price(1000)}) | {"start_date": None}
    found = ahead(running, undated, phase({"price": price(2000)}), phase({"price": price(3000)}, start=LAST, end=END))
    assert [(one.starts_at, one.value.mrr) for one in found] == [(LATER, 2000), (LAST, 3000)]


@pytest.mark.parametrize("status", ["released", "canceled", "completed"])
def test_a_schedule_that_runs_no_more_tells_nothing(status: str) -> None:
    assert ahead(phase({"price": price(2000)}), status=status) == []
    assert scheduled(facts(SOLD), policy(), NOW) == []


@pytest.mark.parametrize("told", [{"discount": "di_9"}, {"promotion_code": "promo_1"}, {"coupon": "c_9"}])
def test_a_discount_of_a_phase_that_is_not_told_is_named(told: Json) -> None:
    (found,) = ahead(phase({"price": price(1000)}, discounts=[told]))
    (item_,) = found.value.items
    assert next(iter(told.values())) in item_.problem
    assert item_.monthly == 1000


def test_as_json() -> None:
    (found,) = ahead(phase({"price": "price_2", "quantity": 1}))
    told = found.as_json("default")
    assert (told["starts_at"], told["mrr"], told["mrr_exact"]) == ("2026-02-01T00:00:00Z", 167, "500/3")
