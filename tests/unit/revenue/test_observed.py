"""What versions of a subscription tell: each thing that changes it, also by itself, and from when on."""

from typing import Any

import pytest
from tests.support.histories import AS_OF, BORN, MONTHLY, bill, billed, day, lived, spans, told, version
from tests.support.priced import DAY, Json, coupon, discount, item, price

from tidegate.pricing.policy import policy
from tidegate.revenue.history import observed
from tidegate.revenue.history.history import history

SEEN = BORN + 5
LATER = day("2025-06-01")


def test_a_first_version_soon_after_creation_counts_from_it() -> None:
    [span] = spans([version(BORN + 299, lived(MONTHLY))])
    assert (span.starts_at, span.ends_at, span.mrr, span.provenance) == (BORN, None, 1_000_000_000, "observed")


def test_a_backdated_one_counts_from_its_start() -> None:
    start = day("2024-11-15")
    assert told(spans([version(SEEN, lived(MONTHLY) | {"start_date": start})])) == [("2024-11-15", "", 1000)]


def test_a_future_anchor_counts_in_full_from_the_start() -> None:
    assert told(spans([version(SEEN, lived(MONTHLY, billing_cycle_anchor=BORN + 20 * DAY))])) == [
        ("2025-01-01", "", 1000)
    ]


def test_changes_count_from_the_event() -> None:
    two = lived(item(price(1000, id="price_1"), 2))
    found = spans([version(SEEN, lived(MONTHLY)), version(LATER, two, "evt_2"), version(LATER + DAY, two, "evt_3")])
    assert told(found) == [("2025-01-01", "2025-06-01", 1000), ("2025-06-01", "", 2000)]
    assert [one.source for one in found] == ["evt_1", "evt_2"]


def test_what_lasts_for_no_time_is_left_out() -> None:
    at_once = [version(SEEN, lived(MONTHLY)), version(LATER, lived(item(price(5), 9))), version(LATER, lived(MONTHLY))]
    assert told(spans(at_once)) == [("2025-01-01", "", 1000)]


def test_items_come_and_go() -> None:
    add_on = item(price(300, id="price_2"))
    found = spans([version(SEEN, lived(MONTHLY, add_on)), version(LATER, lived(MONTHLY))])
    assert [(one.item, *rest) for one, rest in zip(found, told(found), strict=True)] == [
        ("si_1", "2025-01-01", "", 1000),
        ("si_2", "2025-01-01", "2025-06-01", 300),
    ]


@pytest.mark.parametrize("status", ["trialing", "unpaid", "paused", "incomplete"])
def test_a_status_that_does_not_count_is_a_span_worth_nothing(status: str) -> None:
    found = spans([version(SEEN, lived(MONTHLY)), version(LATER, lived(MONTHLY, status=status))])
    assert told(found) == [("2025-01-01", "2025-06-01", 1000), ("2025-06-01", "", 0)]
    assert status in found[1].why_not
    assert found[1].listed == 1_000_000_000
    assert found[1].trial == (1_000_000_000 if status == "trialing" else 0)


def test_it_ends_when_stripe_says_it_ended() -> None:
    ended = lived(MONTHLY, status="canceled", ended_at=LATER, canceled_at=LATER - DAY)
    assert told(spans([version(SEEN, lived(MONTHLY)), version(LATER + 60, ended)])) == [
        ("2025-01-01", "2025-06-01", 1000)
    ]


def test_a_scheduled_end_changes_nothing_before_it() -> None:
    at_risk = lived(MONTHLY, cancel_at_period_end=True, canceled_at=LATER, cancel_at=day("2026-02-01"))
    assert told(spans([version(SEEN, lived(MONTHLY)), version(LATER, at_risk)])) == [("2025-01-01", "", 1000)]
    assert told(spans([version(SEEN, lived(MONTHLY)), version(LATER, at_risk)], cancellation="request")) == [
        ("2025-01-01", "2025-06-01", 1000),
        ("2025-06-01", "", 0),
    ]


def test_an_incomplete_one_that_expires_was_never_worth_anything() -> None:
    found = spans(
        [
            version(SEEN, lived(MONTHLY, status="incomplete")),
            version(BORN + DAY, lived(MONTHLY, status="incomplete_expired", ended_at=BORN + DAY)),
        ]
    )
    assert told(found) == [("2025-01-01", "2025-01-02", 0)]


def test_a_trial_that_is_converted() -> None:
    trial = lived(MONTHLY, status="trialing", trial_start=BORN, trial_end=BORN + 14 * DAY)
    found = spans([version(SEEN, trial), version(BORN + 14 * DAY, lived(MONTHLY))])
    assert told(found) == [("2025-01-01", "2025-01-15", 0), ("2025-01-15", "", 1000)]


def of_month(start: str, end: str, **more: Any) -> Json:
    return item(price(1000), current_period_start=day(start), current_period_end=day(end), **more)


def test_a_repeating_discount_ends_with_the_period_invoiced_before_its_end() -> None:
    """No version tells of it: nothing about the subscription changes at Stripe."""
    half = discount(coupon(50, duration="repeating"), start=BORN, end=day("2025-01-20"))
    found = spans([version(SEEN, lived(of_month("2025-01-01", "2025-02-01"), discounts=[half]))])
    assert told(found) == [("2025-01-01", "2025-02-01", 500), ("2025-02-01", "", 1000)]


def test_a_discount_that_ends_between_periods_ends_then() -> None:
    half = discount(coupon(50, duration="repeating"), start=BORN, end=day("2025-04-01"))
    found = spans([version(SEEN, lived(of_month("2025-01-01", "2025-02-01"), discounts=[half]))])
    assert told(found) == [("2025-01-01", "2025-04-01", 500), ("2025-04-01", "", 1000)]


def test_a_discount_that_begins_later_begins_by_itself() -> None:
    half = discount(coupon(50), start=day("2025-03-01"))
    found = spans([version(SEEN, lived(of_month("2025-01-01", "2025-02-01"), discounts=[half]))])
    assert told(found) == [("2025-01-01", "2025-03-01", 1000), ("2025-03-01", "", 500)]


def test_paused_collection_counts_again_when_it_resumes_by_itself() -> None:
    paused = lived(MONTHLY, pause_collection={"behavior": "void", "resumes_at": day("2025-07-01")})
    found = spans([version(SEEN, lived(MONTHLY)), version(LATER, paused)])
    assert told(found) == [
        ("2025-01-01", "2025-06-01", 1000),
        ("2025-06-01", "2025-07-01", 0),
        ("2025-07-01", "", 1000),
    ]
    drafts = lived(MONTHLY, pause_collection={"behavior": "keep_as_draft", "resumes_at": None})
    assert told(spans([version(SEEN, lived(MONTHLY)), version(LATER, drafts)])) == [("2025-01-01", "", 1000)]


def test_past_due_counts_or_by_policy_for_so_many_days_from_the_first() -> None:
    late = lived(MONTHLY, status="past_due")
    versions = [version(SEEN, lived(MONTHLY)), version(LATER, late), version(LATER + DAY, late, "evt_3")]
    assert told(spans(versions)) == [("2025-01-01", "", 1000)]
    by_policy = [("2025-01-01", "2025-06-15", 1000), ("2025-06-15", "", 0)]
    assert told(spans(versions, past_due="14 days")) == by_policy
    paid = [*versions, version(day("2025-07-01"), lived(MONTHLY))]
    assert told(spans(paid, past_due="14 days")) == [
        by_policy[0],
        ("2025-06-15", "2025-07-01", 0),
        ("2025-07-01", "", 1000),
    ]


def test_by_policy_it_counts_from_its_first_payment() -> None:
    line = billed("2025-01-01", "2025-02-01", 1000)
    late = bill("in_1", "2025-01-01", line, status_transitions={"paid_at": day("2025-01-20")})
    versions = [version(SEEN, lived(MONTHLY))]
    assert told(spans(versions, [late])) == [("2025-01-01", "", 1000)]
    found = spans(versions, [late], start="first_paid_invoice")
    assert told(found) == [("2025-01-01", "2025-01-20", 0), ("2025-01-20", "", 1000)]
    assert found[0].why_not == "its first invoice is not paid yet"
    never = bill("in_1", "2025-01-01", line, status="open", status_transitions={})
    assert told(spans(versions, [never], start="first_paid_invoice")) == [("2025-01-01", "", 0)]


def test_a_pending_update_is_worth_what_the_live_items_are() -> None:
    waiting = lived(MONTHLY, pending_update={"expires_at": AS_OF, "subscription_items": [item(price(9000))]})
    assert told(spans([version(SEEN, waiting)])) == [("2025-01-01", "", 1000)]


def test_what_is_not_yet_is_not_told() -> None:
    paused = lived(MONTHLY, pause_collection={"behavior": "void", "resumes_at": AS_OF + DAY})
    versions = [version(SEEN, lived(MONTHLY)), version(LATER, paused)]
    assert told(spans(versions))[-1] == ("2025-06-01", "", 0)
    assert observed.next_change(versions, policy(), AS_OF) == AS_OF + DAY
    assert told(spans(versions, at=AS_OF + DAY))[-1] == ("2026-01-02", "", 1000)
    assert observed.next_change(versions, policy(), AS_OF + DAY) is None


def test_what_ended_changes_no_more() -> None:
    ended = lived(
        MONTHLY, status="canceled", ended_at=LATER, pause_collection={"behavior": "void", "resumes_at": AS_OF}
    )
    assert observed.next_change([version(LATER, ended)], policy(), LATER) is None


def test_a_days_of_past_due_that_run_out_are_a_change_by_itself() -> None:
    versions = [version(SEEN, lived(MONTHLY)), version(AS_OF - DAY, lived(MONTHLY, status="past_due"))]
    assert observed.next_change(versions, policy("default", {"past_due": "3 days"}), AS_OF) == AS_OF + 2 * DAY


def test_a_leap_days_year_counts_the_same_each_month() -> None:
    leap = day("2024-02-29")
    yearly = item(price(12_000, "year"), current_period_start=leap, current_period_end=day("2025-02-28"))
    of = lived(yearly) | {"created": leap, "start_date": leap}
    assert told(spans([version(leap, of)])) == [("2024-02-29", "", 1000)]


def test_a_currency_without_minor_units() -> None:
    yen = price(1500, currency="jpy")
    [span] = spans([version(SEEN, lived(item(yen), currency="jpy"))])
    assert (span.currency, span.mrr) == ("jpy", 1_500_000_000)


def test_a_first_payment_of_this_very_second_counts() -> None:
    paid = bill("in_1", "2025-01-01", billed("2025-01-01", "2025-02-01", 1000), status_transitions={"paid_at": AS_OF})
    found = spans([version(SEEN, lived(MONTHLY))], [paid], start="first_paid_invoice")
    assert told(found) == [("2025-01-01", "2026-01-01", 0), ("2026-01-01", "", 1000)]


def test_one_that_ends_this_very_second_is_over() -> None:
    ended = [version(SEEN, lived(MONTHLY)), version(AS_OF, lived(MONTHLY, status="canceled", ended_at=AS_OF))]
    found = history(ended, [], policy(), AS_OF)
    assert told(found.spans) == [("2025-01-01", "2026-01-01", 1000)]
    assert found.stands is not None
    assert (found.stands.at, found.stands.value.why_not) == (AS_OF, "it is canceled")


def test_what_changed_before_and_after_its_first_payment_counts_from_each() -> None:
    line = billed("2025-01-01", "2025-02-01", 1000)
    late = bill("in_1", "2025-01-01", line, status_transitions={"paid_at": day("2025-03-20")})
    more = lived(item(price(1000, id="price_1"), 2))
    versions = [version(SEEN, lived(MONTHLY)), version(day("2025-02-10"), more), version(LATER, lived(MONTHLY))]
    assert told(spans(versions, [late], start="first_paid_invoice")) == [
        ("2025-01-01", "2025-02-10", 0),
        ("2025-02-10", "2025-03-20", 0),
        ("2025-03-20", "2025-06-01", 2000),
        ("2025-06-01", "", 1000),
    ]
