"""What was given back: refunds, credit notes, disputes."""

from decimal import Decimal

from tests.support.bills import (
    DAY,
    bill,
    by_id,
    derived,
    dispute,
    events,
    noted,
    once,
    recurring,
    refund,
    refused,
    shape,
    taxed,
)

from tidegate.revenue.billing.event import BILLED, PAYMENT_FAILED, REFUNDED
from tidegate.revenue.billing.given import Attempt
from tidegate.stripe_api.shapes.credits import CreditNoteLine

LINES = [recurring("il_1", 3_000), recurring("il_2", 2_000, subscription="sub_2"), once("il_3", 1_000)]


def test_a_refund_is_dated_when_it_was_made_and_shared_over_the_lines() -> None:
    late = 1_000 + 2 * 365 * DAY + 9 * DAY
    event = by_id(bill(LINES, refunds=[refund(1_000, created=late)]))["refund:re_1"]
    assert (event.name, event.amount, event.at, event.subscription) == (REFUNDED, 1_000, late, None)
    told = [(one["subscription"], one["amount"]) for one in event.details["lines"]]
    assert told == [("sub_1", 500), ("sub_2", 333), (None, 167)]
    assert event.properties["Subscription Refund Amount"] == Decimal("10.00")


def test_shares_of_a_refund_include_tax() -> None:
    lines = [recurring("il_1", 1_000, **taxed(200)), once("il_2", 1_200)]
    event = by_id(bill(lines, refunds=[refund(2_400)]))["refund:re_1"]
    assert [one["amount"] for one in event.details["lines"]] == [1_200, 1_200]


def test_a_credit_note_adds_lines_and_reason_to_its_refund() -> None:
    note = noted(
        900,
        {"il_2": 900},
        post_payment_amount=900,
        reason="duplicate",
        refunds=[{"refund": "re_1", "amount_refunded": 900}],
    )
    found = by_id(bill(LINES, refunds=[refund(900, reason="requested_by_customer")], notes=[note]))
    event = found["refund:re_1"]
    assert (event.details["reason"], event.subscription) == ("duplicate", "sub_2")
    assert [one["line"] for one in event.details["lines"]] == ["il_2"]
    assert "credit:cn_1" not in found, "all of it is the refund's"


def test_what_a_credit_note_gives_beside_its_refunds_is_an_event() -> None:
    note = noted(
        900,
        {"il_1": 900},
        post_payment_amount=900,
        reason="order_change",
        out_of_band_amount=250,
        refunds=[{"refund": "re_1", "amount_refunded": 300}],
    )
    event = by_id(bill(LINES, refunds=[refund(300)], notes=[note]))["credit:cn_1"]
    assert (event.name, event.amount, event.details["kind"], event.at) == (REFUNDED, 600, "credit", 2_000)
    assert event.details["out_of_band"] == 250
    assert event.properties["Refund Reason"] == "order_change"


def test_an_older_credit_note_waits_for_its_refund() -> None:
    note = noted(900, {"il_1": 900}, post_payment_amount=900, refund="re_1")
    assert "credit:cn_1" not in by_id(bill(LINES, notes=[note]))
    found = by_id(bill(LINES, notes=[note], refunds=[refund(500)]))
    assert found["credit:cn_1"].amount == 400


def test_refunds_that_did_not_succeed() -> None:
    assert by_id(bill(LINES, refunds=[refund(500, status="pending")])).keys() == by_id(bill(LINES)).keys()
    failed = derived(bill(LINES, refunds=[refund(500, status="failed", failure_reason="expired_or_canceled_card")]))
    assert all(event.name != REFUNDED for event in failed.events)
    assert failed.withdrawn == {"refund:re_1": (2_000, "the refund failed: expired_or_canceled_card")}


def test_a_voided_credit_note() -> None:
    note = noted(900, {"il_1": 900}, post_payment_amount=900, status="void", voided_at=5_000)
    found = derived(bill(LINES, notes=[note]))
    assert all(event.name != REFUNDED for event in found.events)
    assert found.withdrawn == {"credit:cn_1": (5_000, "the credit note was voided")}


def test_a_lost_dispute() -> None:
    found = by_id(bill(LINES, disputes=[dispute(6_000, "lost")]))
    event = found["dispute:dp_1"]
    assert (event.name, event.amount, event.properties["Refund Reason"]) == (REFUNDED, 6_000, "dispute")
    for status in ("needs_response", "under_review", "won", "warning_closed"):
        assert "dispute:dp_1" not in by_id(bill(LINES, disputes=[dispute(6_000, status)]))


def test_one_payment_failed_for_each_attempt() -> None:
    attempts = [refused("ch_2", 1_060), refused("ch_1", 1_050)]
    found = events(bill([recurring("il_1", 1_000)], status="open", failures=attempts))
    assert [(event.name, event.id, event.properties["Attempt"]) for event in found] == [
        (PAYMENT_FAILED, "failed:ch_1", 1),
        (PAYMENT_FAILED, "failed:ch_2", 2),
    ]
    assert found[0].properties["Decline Reason"] == "insufficient_funds"
    assert [event.subscription for event in found] == ["sub_1", "sub_1"]
    several = events(bill(LINES, status="open", failures=attempts))
    assert [event.subscription for event in several] == [None, None]


def test_an_attempt_without_a_card_is_one_too() -> None:
    whole = bill(
        [recurring("il_1", 1_000)], status="open", failures=[refused("ch_1", 1_050)], attempts=[Attempt(2, 9_000)]
    )
    found = events(whole)
    assert [(event.id, event.at, event.properties["Failure Code"]) for event in found] == [
        ("failed:ch_1", 1_050, "card_declined"),
        ("failed:in_1:2", 9_000, "no_charge"),
    ]


def test_a_payment_of_nothing_but_credit_can_still_be_given_back() -> None:
    found = by_id(bill(LINES, balance=-10_000, notes=[noted(500, {"il_1": 500}, post_payment_amount=500)]))
    assert found["credit:cn_1"].amount == 500
    assert found["billed:in_1:sub_1:month"].name == BILLED


def test_the_first_credit_note_of_a_refund_that_says_why_gives_the_reason() -> None:
    naming = {"refunds": [{"refund": "re_1", "amount_refunded": 300}], "post_payment_amount": 300}
    notes = [noted(300, {"il_1": 300}, **naming), noted(300, {"il_2": 300}, id="cn_2", reason="duplicate", **naming)]
    event = by_id(bill(LINES, refunds=[refund(600, reason="fraudulent")], notes=notes))["refund:re_1"]
    assert event.details["reason"] == "duplicate"


def test_a_refund_that_becomes_known_later_came_about_then() -> None:
    late = refund(500, created=2_000)._replace(told_at=9_000)
    event = by_id(bill(LINES, refunds=[late]))["refund:re_1"]
    assert (event.at, event.came_at) == (2_000, 9_000)


def test_a_refund_says_why_and_of_which_package_also_beside_something_sold_once() -> None:
    lines = [recurring("il_1", 1_000), once("il_2", 9_000)]
    event = by_id(bill(lines, refunds=[refund(500, reason="requested_by_customer")]))["refund:re_1"]
    assert event.properties["Refund Reason"] == "requested_by_customer"
    assert event.properties["Subscription Plan Level"] == "Pro"


def test_a_lost_dispute_keeps_what_the_bank_said() -> None:
    event = by_id(bill(LINES, disputes=[dispute(6_000, "lost")]))["dispute:dp_1"]
    assert event.details["dispute_reason"] == "fraudulent"
    assert derived(bill(LINES, disputes=[dispute(6_000, "lost")])).withdrawn == {}


def test_a_refund_that_was_canceled_says_so() -> None:
    found = derived(bill(LINES, refunds=[refund(500, status="canceled")]))
    assert found.withdrawn["refund:re_1"][1] == "the refund failed: canceled"


def test_what_a_credit_note_is_about_is_after_discounts_and_with_tax() -> None:
    body = {"invoice_line_item": "il_1", "amount": 1_000, "discount_amount": 200, **taxed(80)}
    note = noted(1_760, {}, post_payment_amount=1_760, refunds=[{"refund": "re_1", "amount_refunded": 1_760}])
    rest = {"invoice_line_item": "il_2", "amount": 880, **taxed(80, "inclusive")}
    lines = [shape(CreditNoteLine, {"id": f"cnli_{n}", **one}) for n, one in enumerate((body, rest))]
    note = note._replace(lines=lines)
    event = by_id(bill(LINES, refunds=[refund(1_760)], notes=[note]))["refund:re_1"]
    assert [(one["line"], one["amount"]) for one in event.details["lines"]] == [("il_1", 880), ("il_2", 880)]


def test_a_credit_note_that_names_no_refund_says_nothing_of_it() -> None:
    note = noted(900, {"il_2": 900}, post_payment_amount=900, reason="duplicate")
    event = by_id(bill(LINES, refunds=[refund(600)], notes=[note]))["refund:re_1"]
    assert event.details["credit_notes"] == []
    assert [one["amount"] for one in event.details["lines"]] == [300, 200, 100]
