"""What counts, from when to when, and to how much a month it comes."""

from fractions import Fraction
from typing import Any

import pytest
from tests.support.priced import DAY, NOW, Json, item, line, mrr, only, price, subscription, valued

WEEKLY, DAILY, YEARLY = price(1200, "week"), price(1200, "day"), price(1200, "year")


@pytest.mark.parametrize(
    ("status", "counts", "why_not"),
    [
        ("active", True, ""),
        ("past_due", True, ""),
        ("trialing", False, "it is trialing"),
        ("incomplete", False, "it is incomplete"),
        ("incomplete_expired", False, "it is incomplete expired"),
        ("unpaid", False, "it is unpaid"),
        ("paused", False, "it is paused"),
        ("canceled", False, "it is canceled"),
        ("hibernating", False, "it is hibernating"),
        (None, False, "it is unknown"),
    ],
)
def test_status(status: str | None, counts: bool, why_not: str) -> None:
    worth = valued(subscription(item(price(1000)), status=status))
    assert (worth.mrr, worth.why_not) == (1000 if counts else 0, why_not)
    assert only(worth).listed == 1000


@pytest.mark.parametrize(
    ("days_ago", "choice", "amount"),
    [(400, "counts", 1000), (29, "30 days", 1000), (30, "30 days", 0), (0, "0 days", 0), (None, "30 days", 1000)],
)
def test_past_due_counts_for_ever_or_for_so_many_days(days_ago: int | None, choice: str, amount: int) -> None:
    beside: Json = {} if days_ago is None else {"past_due_since": NOW - days_ago * DAY}
    worth = valued(subscription(item(price(1000)), status="past_due"), choices={"past_due": choice}, **beside)
    assert worth.mrr == amount
    assert ("since when" in only(worth).problem) == (days_ago is None)
    assert not only(valued(subscription(item(price(1000))), choices={"past_due": choice})).problem


@pytest.mark.parametrize(
    ("of", "choices", "amount"),
    [
        (price(1200), {}, 1200),
        (price(1200, "month", 3), {}, 400),
        (price(1200, "month", 7), {}, Fraction(1200, 7)),
        (YEARLY, {}, 100),
        (price(1200, "year", 3), {}, Fraction(100, 3)),
        (WEEKLY, {}, 5200),
        (price(1200, "week", 2), {}, 2600),
        (WEEKLY, {"weeks": "365/84"}, Fraction(1200 * 365, 84)),
        (WEEKLY, {"weeks": "7 days"}, Fraction(1200 * 365, 84)),
        (WEEKLY, {"weeks": "7 days", "days": "30"}, Fraction(1200 * 30, 7)),
        (DAILY, {}, 36500),
        (DAILY, {"days": "30"}, 36000),
        (price(1200, "day", 10), {}, 3650),
    ],
)
def test_intervals(of: Json, choices: dict[str, str], amount: Fraction) -> None:
    assert mrr(subscription(item(of)), choices=choices) == amount


@pytest.mark.parametrize(
    ("of", "problem"),
    [
        (price(1200, "fortnight"), "no interval: fortnight"),
        (price(1200, "month", -1), "no interval: month"),
        (price(1200) | {"recurring": None}, "its price does not recur"),
        (None, "it names no price"),
        ("price_9", "the price price_9 has no amount"),
    ],
)
def test_a_price_that_does_not_recur_is_worth_nothing_and_says_so(of: Any, problem: str) -> None:
    found = only(valued(subscription(item(of))))
    assert (found.monthly, found.listed, found.problem) == (0, 0, problem)


def test_mixed_intervals_add_up() -> None:
    assert mrr(subscription(item(YEARLY), item(price(1000)), item(price(900, "month", 3)))) == 1400


PAUSED = {
    ("keep_as_draft", None): (1000, 1000),
    ("void", None): (0, 1000),
    ("mark_uncollectible", None): (0, 1000),
    ("void", NOW + 1): (0, 1000),
    ("void", NOW): (1000, 1000),
    ("keep_as_draft", NOW + 1): (1000, 1000),
}


@pytest.mark.parametrize(("behavior", "resumes_at"), PAUSED)
def test_paused_collection(behavior: str, resumes_at: int | None) -> None:
    paused = {"behavior": behavior, "resumes_at": resumes_at}
    of = subscription(item(price(1000)), pause_collection=paused)
    assert (mrr(of), mrr(of, choices={"pauses": "count"})) == PAUSED[behavior, resumes_at]


def test_a_pending_update_changes_nothing_until_it_is_applied() -> None:
    update = {"expires_at": NOW + DAY, "subscription_items": [item(price(9000), 5)]}
    assert mrr(subscription(item(price(1000)), pending_update=update)) == 1000


def test_a_trial_is_worth_nothing_and_shown_apart() -> None:
    of = subscription(item(YEARLY), status="trialing")
    found = only(valued(of))
    assert (found.monthly, found.listed, found.trial) == (0, 100, 100)
    assert found.steps[-1].kind == "trial"
    counted = only(valued(of, choices={"trials": "count"}))
    assert (counted.monthly, counted.trial) == (100, 100)


@pytest.mark.parametrize(("amount", "monthly"), [(0, 0), (100, 100)], ids=["free", "paid"])
@pytest.mark.parametrize(("ends_in", "runs"), [(1, True), (0, False)])
def test_an_items_own_trial_is_worth_its_price(amount: int, monthly: int, ends_in: int, runs: bool) -> None:
    trial = {"start_date": NOW - DAY, "end_date": NOW + ends_in, "trial_offer": "to_1"}
    found = only(valued(subscription(item(price(amount), current_trial=trial))))
    assert found.monthly == monthly
    assert (found.steps[-1].kind == "trial") == runs


def test_usage_is_worth_nothing_and_shown_apart() -> None:
    of = subscription(item(price(100, "month", 2, usage_type="metered"), None))
    lines = [line(3000), line(500, proration=True)]
    found = only(valued(of, invoice_lines=lines))
    assert (found.monthly, found.listed, found.usage, found.quantity, found.metered) == (0, 0, 1500, 0, True)
    assert only(valued(of, choices={"metered": "last_period"}, invoice_lines=lines)).monthly == 1500
    assert only(valued(of)).usage == 0


def test_only_the_last_period_of_an_items_lines_counts() -> None:
    of = subscription(item(price(100, usage_type="metered"), None))
    lines = [line(900, period={"start": NOW - 90 * DAY, "end": NOW - 60 * DAY}), line(700), line(50)]
    assert mrr(of, choices={"metered": "last_period"}, invoice_lines=lines) == 750


ASKED: dict[str, tuple[Json, int, int | None]] = {
    "goes on": ({}, 1000, None),
    "at the end of the period": ({"cancel_at_period_end": True, "canceled_at": NOW - 5}, 0, NOW + 16 * DAY),
    "at a date": ({"cancel_at": NOW + 50, "canceled_at": NOW - 5}, 0, NOW + 50),
    "at the end of the period, when asked is not told": ({"cancel_at_period_end": True}, 0, NOW + 16 * DAY),
    "at a date, when asked is not told": ({"cancel_at": NOW + 50}, 0, NOW + 50),
    "asked later": ({"cancel_at": NOW + 50, "canceled_at": NOW + 5}, 1000, NOW + 50),
}


@pytest.mark.parametrize("case", ASKED)
def test_a_cancellation_counts_at_its_end_or_when_it_is_asked_for(case: str) -> None:
    more, on_request, ends_at = ASKED[case]
    of = subscription(item(price(1000)), **more)
    worth = valued(of)
    assert (worth.mrr, worth.ends_at) == (1000, ends_at)
    assert mrr(of, choices={"cancellation": "request"}) == on_request


def test_what_has_ended_ends_no_more() -> None:
    assert (
        valued(subscription(item(price(1000)), status="canceled", ended_at=NOW - 5, cancel_at=NOW - 5)).ends_at is None
    )


@pytest.mark.parametrize("schedule", [{"status": "active"}, {"status": "not_started"}, {"status": "released"}])
@pytest.mark.parametrize("end", ["cancel", "release"])
def test_a_schedule_that_ends_in_cancel_puts_its_mrr_at_risk(schedule: Json, end: str) -> None:
    told = schedule | {"end_behavior": end, "phases": [{"end_date": NOW + DAY}, {"end_date": NOW + 9 * DAY}]}
    expected = NOW + 9 * DAY if end == "cancel" and schedule["status"] != "released" else None
    assert valued(subscription(item(price(1000))), schedule=told).ends_at == expected


def test_one_time_amounts_of_the_last_invoice_change_nothing() -> None:
    lines = [line(1000), line(99_900, of=""), line(-400, proration=True)]
    assert mrr(subscription(item(price(1000))), invoice_lines=lines) == 1000


def test_zero_decimal_currencies_are_in_whole_units() -> None:
    worth = valued(subscription(item(price(500, "year", currency="jpy")), currency="jpy"))
    told = worth.as_json("default")
    assert (worth.mrr, told["mrr"], told["mrr_exact"], told["currency"]) == (Fraction(125, 3), 42, "125/3", "jpy")


def test_before_items_existed_a_subscription_had_one_plan() -> None:
    plan = {"id": "gold", "object": "plan", "amount": 1200, "currency": "usd", "interval": "year", "interval_count": 1}
    old = {"id": "sub_1", "object": "subscription", "status": "active", "plan": plan, "quantity": 3}
    worth = valued(old)
    assert (worth.currency, worth.mrr, only(worth).quantity) == ("usd", 300, 3)


def test_the_steps_lead_to_the_amount() -> None:
    found = only(valued(subscription(item(YEARLY, 2))))
    assert [(step.kind, step.amount, step.text) for step in found.steps] == [
        ("price", 2400, "2 × 1200"),
        ("month", 200, "a month, at 1/12 periods a month"),
    ]


def test_packages_are_told() -> None:
    found = only(valued(subscription(item(price(500, transform_quantity={"divide_by": 5, "round": "up"}), 12))))
    assert (found.monthly, found.quantity, found.steps[0].text) == (1500, 12, "3 packages of 5 × 500")
