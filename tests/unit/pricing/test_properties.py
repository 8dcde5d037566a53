"""What holds of every subscription."""

import json
from fractions import Fraction
from typing import Any

from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from tests.support.priced import (
    DAY,
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

from tidegate.pricing.policy import SETTINGS
from tidegate.pricing.value import ItemValue, Value, millionths, text, whole

INTERVALS = st.tuples(st.sampled_from(["day", "week", "month", "year"]), st.integers(1, 12))
DECIMALS = st.decimals(0, 10_000, places=12).map(lambda one: f"{one:f}")
PERCENT = st.integers(0, 10_000).map(lambda hundredths: hundredths / 100)


@st.composite
def prices(draw: Any) -> Json:
    every, count = draw(INTERVALS)
    more = {"usage_type": "metered"} if draw(st.integers(0, 9)) == 0 else {}
    if draw(st.integers(0, 3)) == 0:
        tiers = [(5, draw(st.integers(0, 900)), draw(st.integers(0, 900))), (None, draw(st.integers(0, 900)), 0)]
        return tiered(draw(st.sampled_from(["volume", "graduated"])), *tiers) | {
            "recurring": price(1, every, count, **more)["recurring"]
        }
    if draw(st.booleans()):
        more["transform_quantity"] = {
            "divide_by": draw(st.integers(1, 7)),
            "round": draw(st.sampled_from(["up", "down"])),
        }
    if draw(st.booleans()):
        more["tax_behavior"] = draw(st.sampled_from(["inclusive", "exclusive"]))
    return price(draw(st.one_of(st.integers(0, 10**9), DECIMALS)), every, count, **more)


def percents(**more: Any) -> st.SearchStrategy[list[Json]]:
    made = st.builds(
        lambda percent, end: discount(coupon(percent, duration="repeating" if end else "forever"), end=end, **more),
        PERCENT,
        st.sampled_from([None, NOW - DAY, NOW + DAY, MONTH_AHEAD + 900 * DAY]),
    )
    return st.lists(made, max_size=3)


AMOUNTS = st.lists(st.builds(lambda amount: discount(coupon(amount=amount)), st.integers(1, 5000)), max_size=2)
RATES = st.lists(st.builds(lambda percent: {"percentage": percent, "inclusive": True}, PERCENT), max_size=2)


@st.composite
def subscriptions(draw: Any, discounts: st.SearchStrategy[list[Json]] = AMOUNTS) -> Json:
    """Of up to four items; percents everywhere, and of the subscription `discounts` as well."""
    items = [
        item(draw(prices()), draw(st.integers(0, 60)), discounts=draw(percents()), tax_rates=draw(RATES))
        for _ in range(draw(st.integers(1, 4)))
    ]
    off = draw(percents()) + draw(discounts)
    return subscription(*items, discounts=off, default_tax_rates=draw(RATES))


@st.composite
def choices(draw: Any) -> dict[str, str]:
    """A choice for every setting."""
    return {one.name: draw(st.sampled_from(one.choices)).replace("N", "7") for one in SETTINGS.values()}


LINES = [line(1200, off=200, tax=100), line(900, off=0, tax=0, of="si_2"), line(50, of="si_3")]


def plain(told: Any) -> bool:
    """Whether a JSON document holds nothing but text, whole numbers, yes and no."""
    if isinstance(told, dict):
        return all(isinstance(name, str) and plain(one) for name, one in told.items())
    return all(map(plain, told)) if isinstance(told, list) else told is None or isinstance(told, str | int)


@settings(max_examples=60, deadline=None)
@drawn(subscriptions(), choices(), st.sampled_from(["active", "past_due", "trialing", "paused", "odd"]))
def test_every_amount_is_an_exact_fraction_and_json_holds_no_float(of: Json, chosen: Any, status: str) -> None:
    worth = valued(of | {"status": status}, choices=chosen, invoice_lines=LINES, past_due_since=NOW - 9 * DAY)
    assert isinstance(worth, Value)
    assert type(worth.mrr) is Fraction
    for one in worth.items:
        assert isinstance(one, ItemValue)
        amounts = [one.monthly, one.listed, one.trial, one.usage, *(step.amount for step in one.steps)]
        assert [type(amount) for amount in amounts] == [Fraction] * len(amounts)
        assert min(amounts) >= 0
    told = worth.as_json("default")
    assert plain(told)
    assert json.loads(json.dumps(told)) == told
    assert sum(Fraction(one["monthly_exact"]) for one in told["items"]) == Fraction(told["mrr_exact"]) == worth.mrr


@settings(max_examples=40, deadline=None)
@drawn(subscriptions(st.just([])), st.integers(0, 4))
def test_items_split_over_two_subscriptions_are_worth_the_same(of: Json, place: int) -> None:
    items = of["items"]["data"]
    parts = [one for one in (items[:place], items[place:]) if one]
    apart = [of | {"items": {"data": part}} for part in parts]
    assert sum((mrr(one) for one in apart), Fraction(0)) == mrr(of)


@settings(max_examples=40, deadline=None)
@drawn(subscriptions(st.just([])), st.randoms())
def test_percents_commute(of: Json, random: Any) -> None:
    shuffled = list(of["discounts"])
    random.shuffle(shuffled)
    assert mrr(of | {"discounts": shuffled}) == mrr(of)


@settings(max_examples=40, deadline=None)
@drawn(st.one_of(st.integers(0, 10**9), DECIMALS), INTERVALS, st.integers(0, 10**6), st.integers(0, 10**6), percents())
def test_quantities_of_a_price_per_unit_add_up(
    amount: Any, every: tuple[str, int], one: int, other: int, off: list[Json]
) -> None:
    of = price(amount, *every)
    apart = subscription(item(of, one), item(of, other), discounts=off)
    assert mrr(apart) == mrr(subscription(item(of, one + other), discounts=off))


@settings(max_examples=40, deadline=None)
@drawn(subscriptions())
def test_discounts_and_taxes_only_take_away(of: Json) -> None:
    for one in valued(of).items:
        assert 0 <= one.monthly <= one.listed


@settings(max_examples=40, deadline=None)
@drawn(st.fractions(max_denominator=10**6))
def test_amounts_are_written_exactly_and_rounded_half_away_from_zero(amount: Fraction) -> None:
    assert Fraction(text(amount)) == amount
    assert abs(whole(amount) - amount) <= Fraction(1, 2)
    assert whole(-amount) == -whole(amount)
    assert whole(Fraction(1, 2)) == 1
    assert abs(Fraction(millionths(amount), 10**6) - amount) <= Fraction(1, 2 * 10**6)
