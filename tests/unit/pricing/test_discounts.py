"""Which discounts count, for how long, in what order, and from what they are taken."""

from fractions import Fraction
from typing import Any

import pytest
from tests.support.priced import (
    DAY,
    MONTH_AGO,
    MONTH_AHEAD,
    NOW,
    Json,
    coupon,
    discount,
    item,
    line,
    mrr,
    price,
    subscription,
    tiered,
    valued,
)

TEN = discount(coupon(10), id="di_10")
TWO_DOLLARS = discount(coupon(amount=200, id="c_2"), id="di_2")


def one(amount: int = 1000, *discounts: Any, **more: Any) -> Json:
    """A subscription with one item of a month."""
    return subscription(item(price(amount)), discounts=list(discounts), **more)


@pytest.mark.parametrize(
    ("discounts", "amount"),
    [
        ([], 1000),
        ([TEN], 900),
        ([discount(coupon(33.3333))], Fraction(1000 * (1_000_000 - 333_333), 1_000_000)),
        ([discount(coupon(100))], 0),
        ([discount(coupon(250))], 0),
        ([TWO_DOLLARS], 800),
        ([discount(coupon(amount=5000))], 0),
        ([TEN, TWO_DOLLARS], 700),
        ([TWO_DOLLARS, TEN], 720),
        ([discount(coupon(amount=200, currency="eur"))], 1000),
        ([discount(coupon(amount=200, currency="eur", currency_options={"usd": {"amount_off": 300}}))], 700),
        ([TEN | {"deleted": True}], 1000),
        ([discount(coupon(10, deleted=True, valid=False))], 900),
        ([discount(coupon(10) | {"duration": None})], 900),
        ([discount(coupon(10) | {"duration": None}, end=NOW - 20 * DAY)], 1000),
        ([{"id": "di_3", "start": NOW - 9, "source": {"type": "coupon", "coupon": coupon(10)}}], 900),
    ],
    ids=str,
)
def test_the_subscriptions_discounts_in_their_order(discounts: list[Json], amount: Fraction) -> None:
    assert mrr(one(1000, *discounts)) == amount


def test_the_older_single_discount() -> None:
    assert mrr(subscription(item(price(1000)), discount=TEN)) == 900
    assert mrr(subscription(item(price(1000)), discount=TEN | {"deleted": True})) == 1000


def test_an_items_own_discounts_come_first() -> None:
    of = subscription(item(price(1000), discounts=[TWO_DOLLARS]), item(price(1000)), discounts=[TEN])
    assert [each.monthly for each in valued(of).items] == [720, 900]


@pytest.mark.parametrize(
    ("own", "of_item", "amount"),
    [
        ([], [], 900),
        (None, [], 900),
        ([TWO_DOLLARS], [], 800),
        ([TWO_DOLLARS | {"deleted": True}], [], 900),
        ([discount(coupon(50, duration="once"))], [], 1000),
        ([], [TWO_DOLLARS], 720),
    ],
    ids=["none", "not told", "own", "own deleted", "own that does not count", "only the item's"],
)
def test_the_customers_discount_counts_only_where_the_subscription_has_none(
    own: Any, of_item: Any, amount: int
) -> None:
    of = subscription(item(price(1000), discounts=of_item), discounts=own)
    assert mrr(of, customer_discounts=[TEN]) == amount
    assert mrr(of | {"customer": {"id": "cus_1", "discount": TEN}}) == amount


DURATIONS = {
    "forever": {"recurring": 900, "forever": 900, "one_time": 1000, "all": 900, "none": 1000, "renewal": 900},
    "once": {"recurring": 1000, "forever": 1000, "one_time": 900, "all": 900, "none": 1000, "renewal": 900},
    "repeating": {"recurring": 900, "forever": 1000, "one_time": 1000, "all": 900, "none": 1000, "renewal": 1000},
}


@pytest.mark.parametrize(("duration", "choice"), [(one, other) for one in DURATIONS for other in DURATIONS[one]])
def test_what_each_choice_takes_off(duration: str, choice: str) -> None:
    end = MONTH_AHEAD if duration == "repeating" else None
    of = one(1000, discount(coupon(10, duration=duration), end=end))
    assert mrr(of, choices={"discounts": choice}) == DURATIONS[duration][choice]


@pytest.mark.parametrize(
    ("at", "start", "end", "counts"),
    [
        (NOW, MONTH_AGO, NOW + 1, True),
        (NOW, MONTH_AGO, NOW - DAY, True),
        (MONTH_AHEAD - 1, MONTH_AGO, MONTH_AGO + 1, True),
        (MONTH_AHEAD, MONTH_AGO, MONTH_AGO + 1, False),
        (NOW, MONTH_AGO - 9 * DAY, MONTH_AGO, False),
        (NOW, NOW + 1, None, False),
        (NOW + 1, NOW + 1, None, True),
        (MONTH_AHEAD + DAY, MONTH_AGO, MONTH_AHEAD + 2 * DAY, True),
    ],
)
def test_a_repeating_discount_lasts_to_the_end_of_the_last_period_invoiced_before_its_end(
    at: int, start: int, end: int | None, counts: bool
) -> None:
    duration = "forever" if end is None else "repeating"
    assert mrr(one(1000, discount(coupon(10, duration=duration), start, end)), at) == (900 if counts else 1000)


def test_each_item_has_a_period_of_its_own() -> None:
    yearly = item(price(12000, "year"), current_period_start=NOW - 100 * DAY, current_period_end=NOW + 265 * DAY)
    ended = discount(coupon(10, duration="repeating"), NOW - 110 * DAY, NOW - 40 * DAY)
    assert [each.monthly for each in valued(subscription(yearly, item(price(1000)), discounts=[ended])).items] == [
        900,
        1000,
    ]


def test_before_basil_the_subscription_had_the_period() -> None:
    plain = {"current_period_start": None, "current_period_end": None}
    ended = discount(coupon(10, duration="repeating"), MONTH_AGO, NOW - DAY)
    of = subscription(item(price(1000), **plain), discounts=[ended])
    assert mrr(of | {"current_period_start": MONTH_AGO, "current_period_end": MONTH_AHEAD}) == 900
    assert mrr(of) == 1000


def test_an_amount_comes_off_once_an_invoice_in_proportion() -> None:
    of = subscription(
        item(price(3000)),
        item(price(1000)),
        item(price(1000, usage_type="metered"), None),
        item(price(2400, "year")),
        discounts=[discount(coupon(amount=1200))],
    )
    assert [each.monthly for each in valued(of).items] == [2100, 700, 0, 100]


def test_where_all_is_usage_that_counts_an_amount_comes_off_that() -> None:
    of = subscription(item(price(1, usage_type="metered"), None), discounts=[TWO_DOLLARS])
    assert mrr(of, choices={"metered": "last_period"}, invoice_lines=[line(1500)]) == 1300


def test_an_amount_is_shared_out_after_the_items_own_discounts() -> None:
    half = discount(coupon(50, id="c_5"))
    of = subscription(item(price(4000), discounts=[half]), item(price(2000)), discounts=[discount(coupon(amount=400))])
    assert [each.monthly for each in valued(of).items] == [1800, 1800]


def test_an_amount_off_an_item_is_not_multiplied_by_its_quantity() -> None:
    assert mrr(subscription(item(price(1000), 5, discounts=[TWO_DOLLARS]))) == 4800


def test_an_amount_never_goes_below_nothing() -> None:
    of = subscription(item(price(300)), item(price(100)), discounts=[discount(coupon(amount=500)), TEN])
    assert [each.monthly for each in valued(of).items] == [0, 0]


@pytest.mark.parametrize(
    ("percent", "amount", "left"),
    [(10, None, [900, 3000]), (None, 400, [600, 3000]), (None, 4000, [0, 3000])],
)
@pytest.mark.parametrize("known", [True, False])
def test_a_coupon_for_some_products(percent: float | None, amount: int | None, left: list[int], known: bool) -> None:
    limited = coupon(percent, amount, applies_to={"products": ["prod_1"]})
    plain = {name: value for name, value in limited.items() if name != "applies_to"} if known else limited
    of = subscription(item(price(1000)), item(price(3000, product="prod_2")), discounts=[discount(plain)])
    beside: Json = {"coupons": [limited]} if known else {}
    assert [each.monthly for each in valued(of, **beside).items] == left


def test_an_items_coupon_for_another_product_takes_nothing_off() -> None:
    other = discount(coupon(10, applies_to={"products": ["prod_2"]}))
    assert mrr(subscription(item(price(1000), discounts=[other]))) == 1000


def test_a_coupon_whose_id_was_used_again_is_not_taken_for_the_old_one() -> None:
    assert mrr(one(1000, TEN), coupons=[coupon(60, applies_to={"products": ["prod_9"]})]) == 900


def test_what_is_named_by_id_alone_is_looked_up() -> None:
    assert mrr(one(1000, "di_10"), discounts=[TEN]) == 900
    assert mrr(one(1000, discount("c_1")), coupons=[coupon(10)]) == 900


@pytest.mark.parametrize(("told", "named"), [("di_7", "di_7"), (discount("c_7", id="di_8"), "di_8")])
def test_a_discount_that_is_not_told_is_named(told: Any, named: str) -> None:
    for of in (one(1000, told), subscription(item(price(1000), discounts=[told]))):
        (found,) = valued(of).items
        assert (found.monthly, found.problem) == (1000, f"the discount {named} is not told; expand it")


@pytest.mark.parametrize(
    ("lines", "amount"),
    [
        ([line(1000, off=250)], 750),
        ([line(600, off=250), line(400, off=50)], 700),
        ([line(1000, off=0)], 1000),
        ([line(1000, off=9000)], 0),
        ([line(1000)], 900),
        ([line(0, off=0)], 900),
        ([], 900),
    ],
)
def test_as_applied_an_item_has_the_discounts_of_its_last_invoice_else_those_that_recur(
    lines: list[Json], amount: int
) -> None:
    assert mrr(one(1000, TEN), choices={"discounts": "applied"}, invoice_lines=lines) == amount


def test_discounts_meet_tiers_and_quantities_after_they_are_priced() -> None:
    assert mrr(subscription(item(tiered("volume", (5, 100), (None, 50)), 10), discounts=[TEN])) == 450
