from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.writing import Account, refused

from tidegate.sandbox.clock import add_interval

DAY = 86_400


def now(own: Account) -> int:
    return own.sandbox.call(lambda: own.sandbox.world.clock.now)


def lines(own: Account, made: Any) -> list[tuple[bool, int, int, int]]:
    """Whether a proration, amount and period of the lines of the latest invoice."""
    return [
        (one.parent.subscription_item_details.proration, one.amount, one.period.start, one.period.end)
        for one in own.v1.invoices.retrieve(made.latest_invoice).lines.data
    ]


def test_a_start_in_the_past_is_billed_with_the_first_period(own: Account) -> None:
    today = now(own)
    begin = add_interval(today - 10 * DAY, "month", -2)
    made = own.subscription(own.customer(), own.price(3000), backdate_start_date=begin)
    assert (made.start_date, made.created, made.billing_cycle_anchor) == (begin, today, today)
    third = add_interval(begin, "month", 2)
    share = (today - third) / (add_interval(begin, "month", 3) - third)
    end = add_interval(today, "month", 1)
    assert lines(own, made) == [(True, round(3000 * (2 + share)), begin, today), (False, 3000, today, end)]
    free = own.subscription(own.customer(), own.price(3000), backdate_start_date=begin, proration_behavior="none")
    assert free.start_date == begin
    assert lines(own, free) == [(False, 3000, today, end)]


def test_the_imagined_month_begins_with_the_start(own: Account) -> None:
    """Docs: from 15 February to 1 March it is 14 of the 28 days of a month from 15 February to 15 March."""
    from tidegate.sandbox.anchors import intervals

    begin, until = (int(datetime(2026, *day, tzinfo=UTC).timestamp()) for day in ((2, 15), (3, 1)))
    assert intervals({"recurring": {"interval": "month", "interval_count": 1}}, begin, until) == 0.5


def test_an_anchor_later_makes_a_short_first_period(own: Account) -> None:
    today = now(own)
    anchor = today + 10 * DAY
    coupon = own.v1.coupons.create({"percent_off": 50, "duration": "forever"})
    customer = own.customer()
    made = own.subscription(customer, own.price(3000), billing_cycle_anchor=anchor, discounts=[{"coupon": coupon.id}])
    assert (made.status, made.billing_cycle_anchor) == ("active", anchor)
    (item,) = made["items"].data
    assert (item.current_period_start, item.current_period_end) == (today, anchor)
    amount = round(3000 * 10 * DAY / (add_interval(today, "month", 1) - today))
    assert lines(own, made) == [(True, amount, today, anchor)]
    assert own.v1.invoices.retrieve(made.latest_invoice).total == amount - round(amount / 2)
    own.sandbox.advance(10 * DAY + 3600)
    renewed = own.v1.subscriptions.retrieve(made.id)
    assert lines(own, renewed) == [(False, 3000, anchor, add_interval(anchor, "month", 1))]
    assert renewed["items"].data[0].current_period_end == add_interval(anchor, "month", 1)


def test_without_prorations_it_is_free_until_the_anchor_and_there_is_no_invoice(own: Account) -> None:
    today = now(own)
    params = {"billing_cycle_anchor": today + 5 * DAY, "proration_behavior": "none"}
    made = own.subscription(own.customer(None), own.price(3000), **params)
    assert (made.status, made.latest_invoice) == ("active", None)
    assert "customer.subscription.created" in own.happened()
    own.sandbox.advance(5 * DAY)
    assert own.v1.invoices.list({"subscription": made.id}).data[0].total == 3000


def test_start_in_the_past_and_anchor_together_are_one_line(own: Account) -> None:
    today = now(own)
    begin, anchor = today - 3 * DAY, today + 4 * DAY
    made = own.subscription(own.customer(), own.price(3000), backdate_start_date=begin, billing_cycle_anchor=anchor)
    amount = round(3000 * 7 * DAY / (add_interval(begin, "month", 1) - begin))
    assert lines(own, made) == [(True, amount, begin, anchor)]


@pytest.mark.parametrize("behavior", ["create_prorations", "none"])
def test_the_anchor_is_set_to_now(own: Account, behavior: str) -> None:
    made = own.subscription(own.customer(), own.price(3000))
    own.sandbox.advance(10 * DAY)
    today = now(own)
    own.events()
    params = {"billing_cycle_anchor": {"type": "now"}, "proration_behavior": behavior}
    moved = own.checked(own.v1.subscriptions.update(made.id, params))
    assert (moved.billing_cycle_anchor, moved["items"].data[0].current_period_start) == (today, today)
    left = made["items"].data[0].current_period_end - today
    credit = -round(3000 * left / (today + left - made.created))
    whole = (False, 3000, today, add_interval(today, "month", 1))
    unused = (True, credit, today, today + left)
    assert lines(own, moved) == ([whole] if behavior == "none" else [unused, whole])
    assert own.happened().count("customer.subscription.updated") == 1
    same = own.v1.subscriptions.update(made.id, {"billing_cycle_anchor": {"type": "unchanged"}})
    assert same.latest_invoice == moved.latest_invoice


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"backdate_start_date": DAY}, "backdate_start_date"),
        ({"billing_cycle_anchor": -DAY}, "billing_cycle_anchor"),
        ({"billing_cycle_anchor": 32 * DAY}, "billing_cycle_anchor"),
        ({"billing_cycle_anchor": DAY, "trial_period_days": 3}, "billing_cycle_anchor"),
        ({"backdate_start_date": -DAY, "trial_period_days": 3}, "backdate_start_date"),
    ],
)
def test_what_is_refused(own: Account, params: dict[str, int], param: str) -> None:
    given = {name: value if name.startswith("trial") else now(own) + value for name, value in params.items()}
    items = [{"price": own.price().id}]
    error = refused(own.v1.subscriptions.create, {"customer": own.customer().id, "items": items, **given})
    assert (error.http_status, error.param) == (400, param)


def test_an_anchor_that_is_not_moved(own: Account) -> None:
    trial = own.subscription(own.customer(), own.price(), trial_period_days=3)
    error = refused(own.v1.subscriptions.update, trial.id, {"billing_cycle_anchor": {"type": "now"}})
    assert (error.http_status, error.param) == (400, "billing_cycle_anchor")
