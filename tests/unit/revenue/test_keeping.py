"""What is written of events: nothing twice, nothing lost, and what does not hold any more taken back."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.bills import DAY, bill, derived, events, noted, recurring, refund

from tidegate.revenue.billing.deriving import Derived
from tidegate.revenue.billing.event import Event
from tidegate.revenue.billing.keeping import Recorded, Written, reconcile

SINCE = 500
LINES = [recurring("il_1", 4900)]


def keep(stored: Iterable[Recorded], found: Derived | list[Event], **more: Any) -> Written:
    told = found if isinstance(found, Derived) else Derived(found)
    known = {"unsettled": told.unsettled, "withdrawn": told.withdrawn, "as_of": 10 * DAY, "since": SINCE}
    return reconcile(list(stored), told.events, **{**known, **more})


def after(stored: Iterable[Recorded], written: Written) -> list[Recorded]:
    rows = {one.id: one for one in stored} | {one.id: one for one in [*written.rewritten, *written.added]}
    return [row for id_, row in rows.items() if id_ not in written.dropped]


def test_what_stays_the_same_is_not_written() -> None:
    first = keep([], events(bill(LINES)))
    assert [one.id for one in first.added] == ["billed:in_1:sub_1:month"]
    assert keep(first.added, events(bill(LINES))) == Written()


def test_a_failed_refund_reverses_its_event() -> None:
    stored = keep([], derived(bill(LINES, refunds=[refund(4900)]))).added
    failed = derived(bill(LINES, refunds=[refund(4900, status="failed", failure_reason="declined")]))
    written = keep(stored, failed)
    [reversal] = written.added
    assert (reversal.id, reversal.reverses, reversal.amount) == ("refund:re_1:reversed", "refund:re_1", -4900)
    assert reversal.data["reason"] == "the refund failed: declined"
    assert str(reversal.data["properties"]["Subscription Refund Amount"]) == "-49.00"
    assert keep(after(stored, written), failed) == Written(), "once"


def test_a_voided_credit_note_reverses_its_event_when_it_was_voided() -> None:
    stored = keep([], derived(bill(LINES, notes=[noted(900, {"il_1": 900}, post_payment_amount=900)]))).added
    voided = noted(900, {"il_1": 900}, post_payment_amount=900, status="void", voided_at=7_000)
    [reversal] = keep(stored, derived(bill(LINES, notes=[voided]))).added
    assert (reversal.id, reversal.at, reversal.amount) == ("credit:cn_1:reversed", 7_000, -900)


def test_another_amount_is_a_reversal_and_an_event_under_the_next_number() -> None:
    stored = keep([], events(bill(LINES))).added
    other = events(bill([recurring("il_1", 4000)]))
    written = keep(stored, other)
    assert [(one.id, one.amount, one.reverses) for one in written.added] == [
        ("billed:in_1:sub_1:month:reversed", -4900, "billed:in_1:sub_1:month"),
        ("billed:in_1:sub_1:month#2", 4000, None),
    ]
    stored = after(stored, written)
    assert keep(stored, other) == Written()
    back = keep(stored, events(bill(LINES)))
    assert [one.id for one in back.added] == ["billed:in_1:sub_1:month#2:reversed", "billed:in_1:sub_1:month#3"]


def test_what_was_reversed_and_holds_again_is_told_again() -> None:
    stored = keep([], events(bill(LINES))).added
    stored = after(stored, keep(stored, []))
    [again] = keep(stored, events(bill(LINES))).added
    assert (again.id, again.amount) == ("billed:in_1:sub_1:month#2", 4900)


def test_a_name_or_an_identity_is_written_anew_and_not_told_again() -> None:
    stored = keep([], events(bill(LINES))).added
    [event] = events(bill(LINES))
    written = keep(stored, [replace(event, identity="acme")])
    assert (written.added, [one.identity for one in written.rewritten]) == ([], ["acme"])


def test_history_is_recorded_and_not_told() -> None:
    [row] = keep([], events(bill(LINES)), since=DAY).added
    assert not row.told
    [row] = keep([], events(bill(LINES)), since=1_100).added
    assert row.told, "dated before the connection, but paid after it"


def test_history_of_money_is_reversed_and_other_history_is_replaced() -> None:
    stored = keep([], events(bill(LINES)), since=DAY).added
    [reversal] = keep(stored, [], since=DAY).added
    assert (reversal.amount, reversal.told) == (-4900, False)
    changed = [Event("changed:sub_1:20", "Subscription Upgraded", 20, 20, "cus_1", "x", amount=100)]
    stored = keep([], changed, since=DAY).added
    written = keep(stored, [replace(changed[0], amount=200)], since=DAY)
    assert (written.added, [one.amount for one in written.rewritten]) == ([], [200])
    assert keep(stored, [], since=DAY).dropped == ["changed:sub_1:20"]


def test_what_others_heard_of_is_never_dropped() -> None:
    changed = [Event("changed:sub_1:20", "Subscription Upgraded", 20, 20, "cus_1", "x", amount=100)]
    stored = keep([], changed, since=0).added
    [reversal] = keep(stored, []).added
    assert (reversal.name, reversal.amount, reversal.told) == ("Subscription Upgraded", -100, True)


def test_nothing_is_done_to_an_invoice_of_which_too_little_is_known() -> None:
    stored = keep([], events(bill(LINES))).added
    assert keep(stored, derived(bill(LINES, whole=False))) == Written()


@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-3, 3)), max_size=3), max_size=6))
def test_the_sum_of_what_is_recorded_is_always_that_of_what_was_derived_last(
    rounds: list[list[tuple[str, int]]],
) -> None:
    stored: list[Recorded] = []
    for drawn in rounds:
        found = [
            Event(id_, "Subscription Billed", 20, 20, "cus_1", "x", currency="usd", amount=amount)
            for id_, amount in dict(drawn).items()
        ]
        written = keep(stored, found)
        assert not {one.id for one in written.added} & {one.id for one in stored}, "an id is used once"
        stored = after(stored, written)
        assert sum(one.amount or 0 for one in stored) == sum(event.amount or 0 for event in found)
        assert keep(stored, found) == Written()


def test_what_others_heard_of_is_told_anew_though_it_would_be_history_now() -> None:
    changed = [Event("changed:sub_1:20", "Subscription Upgraded", 20, 20, "cus_1", "x", amount=100)]
    stored = keep([], changed, since=0).added
    _, anew = keep(stored, [replace(changed[0], amount=200)], since=DAY).added
    assert (anew.amount, anew.told) == (200, True)
