"""What invoices tell of the time before the first version (semantics, History before the connection)."""

from typing import Any

import pytest
from tests.support.histories import (
    AS_OF,
    BORN,
    FIRST_SEEN,
    MONTHLY,
    bill,
    billed,
    day,
    lived,
    prorated,
    shown,
    spans,
    told,
    version,
)
from tests.support.priced import Json, coupon, discount, item, price, subscription, tiered

from tidegate.revenue.history.evidence import Billed, groups

SEEN = [version(FIRST_SEEN, lived(MONTHLY), "read")]
JAN = bill("in_1", "2025-01-01", billed("2025-01-01", "2025-02-01", 1000), reason="subscription_create")
FEB = bill("in_2", "2025-02-01", billed("2025-02-01", "2025-03-01", 1000))
NOV = bill("in_11", "2025-11-01", billed("2025-11-01", "2025-12-01", 1000))


def seen(*items: Json, **more: Any) -> list[Any]:
    return [version(FIRST_SEEN, lived(*items, **more), "read")]


def test_evidence_carries_forward_to_what_is_observed_and_says_what_it_is() -> None:
    found = spans(SEEN, [JAN, FEB])
    assert told(found) == [("2025-01-01", "2025-12-10", 1000), ("2025-12-10", "", 1000)]
    assert [(one.provenance, one.source) for one in found] == [("inferred", "in_1"), ("observed", "read")]
    more = billed("2025-02-01", "2025-03-01", 300, of="si_2", price="price_2")
    found = spans(seen(*TWO), [JAN, bill("in_2", "2025-02-01", more)])
    assert [(one.item, one.source) for one in found if one.provenance == "inferred"] == [
        ("si_1", "in_1"), ("si_2", "in_2"),
    ]  # fmt: skip


def test_an_upgrade_counts_from_the_prorations_start_not_from_its_invoice() -> None:
    later = bill(
        "in_3",
        "2025-04-01",
        prorated("2025-03-10", "2025-04-01", -710, unit=1000),
        prorated("2025-03-10", "2025-04-01", 2130, 3, unit=1000),
        billed("2025-04-01", "2025-05-01", 3000, 3),
    )
    found = spans(seen(item(price(1000, id="price_1"), 3)), [JAN, later])
    assert told(found)[:2] == [("2025-01-01", "2025-03-10", 1000), ("2025-03-10", "2025-12-10", 3000)]


def test_the_price_is_the_lines_own_and_never_its_amount() -> None:
    """A proration of -364 may be a price of 1,000; and the mirrored price may have another amount by now."""
    later = bill("in_3", "2025-03-20", prorated("2025-03-20", "2025-04-01", 387, unit=1000))
    first = bill("in_1", "2025-01-01", billed("2025-01-01", "2025-02-01", 700, unit=700))
    known = price(1000, id="price_1")
    found = spans([version(FIRST_SEEN, lived(item(known)), prices=[known])], [first, later])
    assert told(found)[:2] == [("2025-01-01", "2025-03-20", 700), ("2025-03-20", "2025-12-10", 1000)]


def test_an_embedded_price_of_an_older_version_tells_as_well() -> None:
    old = billed("2025-01-01", "2025-02-01", 500, price="gone")
    del old["pricing"]
    old["price"] = price(500, id="gone")
    assert told(spans(SEEN, [bill("in_1", "2025-01-01", old), FEB]))[0] == ("2025-01-01", "2025-02-01", 500)


def test_a_quantity_taken_down_with_a_credit_larger_than_the_charge() -> None:
    later = bill(
        "in_3",
        "2025-03-15",
        prorated("2025-03-15", "2025-04-01", -5480, 10, unit=1000),
        prorated("2025-03-15", "2025-04-01", 548, unit=1000),
    )
    first = bill("in_1", "2025-01-01", billed("2025-01-01", "2025-02-01", 10_000, 10))
    assert told(spans(SEEN, [first, later]))[:2] == [
        ("2025-01-01", "2025-03-15", 10_000),
        ("2025-03-15", "2025-12-10", 1000),
    ]


def test_the_lines_of_a_tiered_price_are_one_group() -> None:
    """Stripe writes a line per tier, and flat fees with quantity 0."""
    tiers = tiered("graduated", (5, 700, 1000), (None, 600, 0), id="price_1")
    lines = [
        billed("2025-01-01", "2025-02-01", 3500, 5, unit=700),
        billed("2025-01-01", "2025-02-01", 1000, 0, unit=1000),
        billed("2025-01-01", "2025-02-01", 1200, 2, unit=600),
    ]
    for one in lines:
        del one["pricing"]["unit_amount_decimal"]
    [group] = groups(bill("in_1", "2025-01-01", *lines))
    assert (group.quantity, group.amount, group.off) == (7, 5700, 0)
    found = spans([version(FIRST_SEEN, lived(item(tiers, 7)))], [bill("in_1", "2025-01-01", *lines)])
    assert told(found) == [("2025-01-01", "2025-12-10", 5700), ("2025-12-10", "", 5700)]


def test_a_group_is_of_one_invoice_item_price_period_kind_and_sign() -> None:
    month = ("2025-01-01", "2025-02-01")
    lines = [
        billed(*month, 100),
        billed(*month, 100, price="price_2"),
        billed(*month, 100, of="si_2"),
        billed("2025-01-02", "2025-02-01", 100),
        prorated(*month, 100, unit=100),
        prorated(*month, -100, unit=100),
    ]
    assert len(groups(bill("in_1", "2025-01-01", *lines))) == 6
    assert len(groups([*bill("in_1", "2025-01-01", *lines), *bill("in_2", "2025-01-01", *lines)])) == 12


def test_what_ends_comes_before_what_begins_at_the_same_instant() -> None:
    both = [prorated("2025-03-10", "2025-04-01", 9, unit=9), prorated("2025-03-10", "2025-04-01", -5, unit=5)]
    assert [group.amount for group in groups(bill("in_1", "2025-03-10", *both))] == [-5, 9]


@pytest.mark.parametrize(
    "more",
    [{"status": "draft"}, {"status": "void"}, {"deleted": True}],
    ids=["draft", "void", "deleted"],
)
def test_no_evidence(more: Json) -> None:
    wrong = bill("in_3", "2025-03-01", billed("2025-03-01", "2025-04-01", 9000, 9), **more)
    assert told(spans(SEEN, [JAN, wrong]))[0] == ("2025-01-01", "2025-12-10", 1000)


@pytest.mark.parametrize("status", ["paid", "open", "uncollectible"])
def test_evidence_whether_it_was_paid_or_not(status: str) -> None:
    more = bill("in_3", "2025-03-01", billed("2025-03-01", "2025-04-01", 9000, 9), status=status)
    assert told(spans(SEEN, [JAN, more]))[1] == ("2025-03-01", "2025-12-10", 9000)


def test_the_invoice_that_a_pending_update_waits_for_is_no_evidence() -> None:
    asked = bill("in_9", "2025-11-20", prorated("2025-11-20", "2025-12-01", 3000, 9, unit=1000), status="open")
    waiting = seen(MONTHLY, pending_update={"expires_at": AS_OF}, latest_invoice="in_9")
    assert told(spans(waiting, [JAN, asked]))[0] == ("2025-01-01", "2025-12-10", 1000)
    assert told(spans(seen(MONTHLY, latest_invoice="in_9"), [JAN, asked]))[1][0] == "2025-11-20"


@pytest.mark.parametrize("status", ["incomplete", "incomplete_expired"])
def test_one_that_never_began_has_no_past(status: str) -> None:
    assert [one for one in spans(seen(MONTHLY, status=status), [JAN]) if one.provenance == "inferred"] == []


def test_a_first_invoice_counts_from_when_it_was_paid() -> None:
    """Its first payment failed: there is neither a new contact nor a churned one before."""
    line = billed("2025-01-01", "2025-02-01", 1000)
    paid = {"paid_at": day("2025-01-03T10:00")}
    late = bill("in_1", "2025-01-01", line, reason="subscription_create", status_transitions=paid)
    assert told(spans(SEEN, [late]))[0] == ("2025-01-03T10:00", "2025-12-10", 1000)
    sent = bill(
        "in_1",
        "2025-01-01",
        line,
        reason="subscription_create",
        status_transitions=paid,
        collection_method="send_invoice",
    )
    assert told(spans(SEEN, [sent]))[0] == ("2025-01-01", "2025-12-10", 1000)
    never = bill("in_1", "2025-01-01", line, reason="subscription_create", status="open", status_transitions={})
    assert told(spans(SEEN, [never, FEB]))[0] == ("2025-02-01", "2025-12-10", 1000)


def test_a_backdated_one_counts_from_its_start() -> None:
    begun = {"start_date": day("2024-12-01"), "created": BORN}
    first = bill(
        "in_1",
        "2025-01-01",
        billed("2024-12-01", "2025-02-01", 2000, unit=1000),
        reason="subscription_create",
        status_transitions={"paid_at": BORN + 7},
    )
    assert told(spans([version(FIRST_SEEN, lived(MONTHLY) | begun)], [first]))[0] == (
        "2024-12-01",
        "2025-12-10",
        1000,
    )


MIRRORED = [price(1000, id="price_1"), price(300, id="price_2")]
WITHOUT = [version(FIRST_SEEN, lived(MONTHLY), "read", prices=MIRRORED)]
TWO = (MONTHLY, item(price(300, id="price_2")))


def test_an_item_removed_without_proration_ends_at_the_next_renewal_without_it() -> None:
    first = bill(
        "in_1",
        "2025-01-01",
        billed("2025-01-01", "2025-02-01", 1000),
        billed("2025-01-01", "2025-02-01", 300, of="si_2", price="price_2"),
    )
    found = [one for one in spans(WITHOUT, [first, FEB, NOV]) if one.item == "si_2"]
    assert told(found) == [("2025-01-01", "2025-02-01", 300)]
    changed = bill("in_2", "2025-01-20", prorated("2025-01-20", "2025-02-01", 380, 2, unit=1000))
    found = [one for one in spans(WITHOUT, [first, changed, NOV]) if one.item == "si_2"]
    assert told(found) == [("2025-01-01", "2025-11-01", 300)], "a proration is no renewal"


def test_an_item_removed_before_no_renewal_ends_with_the_period_that_was_billed() -> None:
    first = bill("in_1", "2025-11-20", billed("2025-11-20", "2025-12-05", 300, of="si_2", price="price_2", unit=300))
    found = [one for one in spans(WITHOUT, [JAN, first]) if one.item == "si_2"]
    assert told(found) == [("2025-11-20", "2025-12-05", 300)]


def test_a_yearly_item_is_not_ended_by_a_monthly_renewal() -> None:
    yearly = price(12_000, "year", id="price_2")
    gone = billed("2024-12-20", "2025-12-20", 12_000, of="si_2", price="price_2")
    known = [version(FIRST_SEEN, lived(MONTHLY), prices=[yearly, price(1000, id="price_1")])]
    found = [one for one in spans(known, [bill("in_0", "2024-12-20", gone), JAN, FEB]) if one.item == "si_2"]
    assert told(found) == [("2024-12-20", "2025-12-10", 1000)]


def test_an_item_removed_with_proration_ends_there() -> None:
    first = bill(
        "in_1",
        "2025-01-01",
        billed("2025-01-01", "2025-02-01", 1000),
        billed("2025-01-01", "2025-02-01", 300, of="si_2", price="price_2"),
    )
    gone = bill("in_2", "2025-02-01", prorated("2025-01-11", "2025-02-01", -203, of="si_2", price="price_2", unit=300))
    found = [one for one in spans(WITHOUT, [first, gone, FEB]) if one.item == "si_2"]
    assert told(found) == [("2025-01-01", "2025-01-11", 300)]


def test_an_item_that_lives_carries_forward_to_now() -> None:
    first = bill("in_1", "2025-01-01", billed("2025-01-01", "2025-02-01", 300, of="si_2", price="price_2"))
    found = [one for one in spans(seen(*TWO), [first, FEB]) if one.item == "si_2"]
    assert told(found)[0] == ("2025-01-01", "2025-12-10", 300)


def test_a_canceled_one_ends_when_it_ended_with_all_its_items() -> None:
    ended = lived(*TWO, status="canceled", ended_at=day("2025-03-15"))
    first = bill(
        "in_1",
        "2025-01-01",
        billed("2025-01-01", "2025-02-01", 1000),
        billed("2025-01-01", "2025-02-01", 300, of="si_2", price="price_2"),
    )
    assert told(spans([version(FIRST_SEEN, ended, "read")], [first])) == [
        ("2025-01-01", "2025-03-15", 1000),
        ("2025-01-01", "2025-03-15", 300),
    ]


def test_an_earlier_trial_is_what_was_billed_with_nothing() -> None:
    trial = bill("in_1", "2025-01-01", billed("2025-01-01", "2025-01-15", 0, unit=1000), reason="subscription_create")
    paid = bill("in_2", "2025-01-15", billed("2025-01-15", "2025-02-15", 1000))
    found = spans(SEEN, [trial, paid])
    assert told(found)[:2] == [("2025-01-01", "2025-01-15", 0), ("2025-01-15", "2025-12-10", 1000)]
    assert (found[0].why_not, found[0].trial) == ("it is trialing", 1_000_000_000)


LAST_TRIAL = {"trial_start": BORN, "trial_end": day("2025-01-15")}
KNOWN = [price(1000, id="price_1")]


def free_weeks(unit: int) -> list[Billed]:
    line = billed("2025-01-01", "2025-01-15", 0, unit=unit)
    return bill("in_1", "2025-01-01", line, reason="subscription_create")


@pytest.mark.parametrize("unit", [0, 1000], ids=["a unit is told to cost nothing", "a unit is told to cost"])
@pytest.mark.parametrize("more", [{}, LAST_TRIAL], ids=["an earlier one", "the last one"])
def test_a_trials_line_may_say_that_a_unit_costs_nothing(unit: int, more: Json) -> None:
    """Since prices are named by id alone, the line of a trial tells 0 for a unit of whatever it costs."""
    paid = bill("in_2", "2025-01-15", billed("2025-01-15", "2025-02-15", 1000))
    found = spans([version(FIRST_SEEN, lived(MONTHLY, **more), prices=KNOWN)], [free_weeks(unit), paid])
    assert told(found)[:2] == [("2025-01-01", "2025-01-15", 0), ("2025-01-15", "2025-12-10", 1000)]
    assert [(one.trial, one.listed) for one in found[:2]] == [(1_000_000_000, 1_000_000_000), (0, 1_000_000_000)]


def test_a_discount_that_was_given_with_a_trial_reduces_what_it_will_be_worth() -> None:
    """The line of the trial bears none, since there is nothing to take it off."""
    given = discount(coupon(25, duration="forever"), id="di_1", start=BORN)
    paid = bill("in_2", "2025-01-15", billed("2025-01-15", "2025-02-15", 1000, **taken(250)))
    found = spans([version(FIRST_SEEN, lived(MONTHLY), prices=KNOWN, discounts=[given])], [free_weeks(0), paid])
    assert [(one.trial, one.mrr) for one in found[:2]] == [(750_000_000, 0), (0, 750_000_000)]


def test_the_last_trial_is_told_by_the_subscription() -> None:
    """It may have been made longer than was billed; and a trial that runs began when it says."""
    trial = bill("in_1", "2025-12-01", billed("2025-12-01", "2025-12-05", 0, unit=0), reason="subscription_create")
    since = subscription(MONTHLY, status="trialing", created=day("2025-12-01"), start_date=day("2025-12-01"))
    since |= {"trial_start": day("2025-12-01"), "trial_end": day("2025-12-20")}
    found = spans([version(FIRST_SEEN, since)], [trial])
    assert [(shown(one.starts_at), one.trial, one.listed) for one in found] == [
        ("2025-12-01", 1_000_000_000, 1_000_000_000),
        ("2025-12-10", 1_000_000_000, 1_000_000_000),
    ]


def test_what_is_free_is_given_back_with_nothing() -> None:
    """The price that was left costs nothing, so its credit is no less than nothing."""
    free = bill("in_1", "2025-01-01", billed("2025-01-01", "2025-02-01", 0, price="price_0"))
    left = prorated("2025-01-20", "2025-02-01", 0, unit=0, price="price_0")
    taken_up = prorated("2025-01-20", "2025-02-20", 1000, unit=1000)
    named = left | {"proration_details": {"credited_items": {"invoice": "in_1", "invoice_line_items": ["il_1"]}}}
    for one in (left, named):
        for lines in ([one, taken_up], [taken_up, one]):
            found = spans(SEEN, [free, bill("in_2", "2025-01-20", *lines, reason="subscription_update")])
            assert told(found)[:2] == [("2025-01-01", "2025-01-20", 0), ("2025-01-20", "2025-12-10", 1000)]
            assert [one.price for one in found[:2]] == ["price_0", "price_1"]


def test_who_goes_over_to_a_free_price_has_that() -> None:
    left = prorated("2025-01-20", "2025-02-01", -380, unit=1000)
    free = prorated("2025-01-20", "2025-02-01", 0, unit=0, price="price_0")
    over = version(FIRST_SEEN, lived(item(price(0, id="price_0"))), prices=KNOWN)
    found = spans([over], [JAN, bill("in_2", "2025-01-20", left, free, reason="subscription_update")])
    assert told(found)[:2] == [("2025-01-01", "2025-01-20", 1000), ("2025-01-20", "2025-12-10", 0)]


def taken(amount: int, of: str = "di_1") -> Json:
    return {"discount_amounts": [{"amount": amount, "discount": of}]}


def test_what_a_discount_explains_is_no_trial() -> None:
    whole = discount(coupon(100, duration="repeating"), id="di_1", start=BORN, end=day("2025-02-01"))
    first = bill("in_1", "2025-01-01", billed("2025-01-01", "2025-02-01", 1000, **taken(1000)))
    [free, *_] = spans([version(FIRST_SEEN, lived(MONTHLY), discounts=[whole])], [first, FEB])
    assert (free.mrr, free.why_not) == (0, "")


def test_discounts_are_those_of_the_periods_own_lines() -> None:
    """A per cent goes on at the new price; it ends with the first period that was billed without it."""
    half = discount(coupon(50, duration="repeating"), id="di_1", start=BORN, end=day("2025-02-20"))
    first = bill("in_1", "2025-01-01", billed("2025-01-01", "2025-02-01", 1000, **taken(500)))
    up = bill("in_2", "2025-01-11", prorated("2025-01-11", "2025-02-01", 1354, 2, unit=1000))
    second = bill("in_3", "2025-02-01", billed("2025-02-01", "2025-03-01", 2000, 2, **taken(1000)))
    third = bill("in_4", "2025-03-01", billed("2025-03-01", "2025-04-01", 2000, 2))
    versions = [version(FIRST_SEEN, lived(item(price(1000, id="price_1"), 2)), discounts=[half])]
    assert told(spans(versions, [first, up, second, third]))[:3] == [
        ("2025-01-01", "2025-01-11", 500),
        ("2025-01-11", "2025-03-01", 1000),
        ("2025-03-01", "2025-12-10", 2000),
    ]


def test_a_discount_for_one_invoice_does_not_count() -> None:
    once = discount(coupon(50, duration="once"), id="di_1", start=BORN)
    first = bill("in_1", "2025-01-01", billed("2025-01-01", "2025-02-01", 1000, **taken(500)))
    assert told(spans([version(FIRST_SEEN, lived(MONTHLY), discounts=[once])], [first]))[0][2] == 1000


def test_inclusive_tax_is_taken_out_as_the_line_says() -> None:
    taxed = billed("2025-01-01", "2025-02-01", 1190, taxes=[{"amount": 190, "tax_behavior": "inclusive"}])
    assert told(spans(SEEN, [bill("in_1", "2025-01-01", taxed)]))[0][2] == 1000


def test_usage_is_no_evidence() -> None:
    metered = price(5, id="price_2", usage_type="metered")
    usage = billed("2025-01-01", "2025-02-01", 7700, 1540, of="si_2", price="price_2")
    known = [version(FIRST_SEEN, lived(MONTHLY), prices=[metered])]
    assert [one.item for one in spans(known, [bill("in_1", "2025-01-01", usage), FEB])] == ["si_1", "si_1"]


@pytest.mark.parametrize(
    ("more", "past"),
    [
        ({}, [("2025-01-01", "2025-12-10", 0)]),
        ({"trial_end": day("2025-01-15")}, [("2025-01-01", "2025-01-15", 0), ("2025-01-15", "2025-12-10", 0)]),
    ],
)
def test_one_that_was_never_billed_is_taken_to_have_been_as_it_is(more: Json, past: list[Any]) -> None:
    free = item(price(0, id="price_1"))
    found = [one for one in spans(seen(free, **more)) if one.provenance == "inferred"]
    assert told(found) == past


def test_one_paused_since_its_trial_ended_never_counted() -> None:
    found = spans(seen(MONTHLY, status="paused", trial_end=day("2025-01-15")))
    assert {one.mrr for one in found} == {0}
    for unit in (0, 1000):
        found = spans(seen(MONTHLY, status="paused", **LAST_TRIAL), [free_weeks(unit)])
        assert told(found)[:2] == [("2025-01-01", "2025-01-15", 0), ("2025-01-15", "2025-12-10", 0)]
        assert [one.trial > 0 for one in found] == [True, False, False]
        assert {one.listed for one in found} == {1_000_000_000}


@pytest.mark.parametrize(
    ("resumed", "between"),
    [("2025-02-03T11:00", True), ("2025-02-15", False)],
    ids=["resumed", "its first bill is void"],
)
def test_one_resumed_since_its_trial_ended_was_paused_until_then(resumed: str, between: bool) -> None:
    """Periods follow each other at the same second of the day; one that is resumed begins a new series."""
    paid = bill("in_2", resumed, billed(resumed, "2025-03-15", 1000))
    found = spans(seen(MONTHLY, **LAST_TRIAL), [free_weeks(0), paid])
    worth = [(one.starts_at, one.mrr) for one in found if one.provenance == "inferred"]
    assert (day("2025-01-15"), 0 if between else 1_000_000_000) in worth
    assert (day(resumed), 1_000_000_000) in worth or not between
    assert found[-1].mrr == 1_000_000_000


def test_what_an_event_tells_of_the_state_before_it_is_what_carries_forward() -> None:
    """The event that removed si_2 says that it was there until then."""
    stood = version(0, lived(*TWO))
    first = bill("in_1", "2025-01-01", billed("2025-01-01", "2025-02-01", 300, of="si_2", price="price_2"))
    found = [one for one in spans(SEEN, [JAN, first, FEB], stood=stood) if one.item == "si_2"]
    assert told(found) == [("2025-01-01", "2025-12-10", 300)]


def test_what_is_given_back_with_nothing_ends_before_what_costs_begins_whatever_their_prices_are_called() -> None:
    free = bill("in_1", "2025-01-01", billed("2025-01-01", "2025-02-01", 0, price="price_9"))
    left = prorated("2025-01-20", "2025-02-01", 0, unit=0, price="price_9")
    taken_up = prorated("2025-01-20", "2025-02-20", 1000, unit=1000)
    found = spans(SEEN, [free, bill("in_2", "2025-01-20", left, taken_up, reason="subscription_update")])
    assert [one.price for one in found[:2]] == ["price_9", "price_1"]
    assert told(found)[:2] == [("2025-01-01", "2025-01-20", 0), ("2025-01-20", "2025-12-10", 1000)]


def test_a_trial_that_ended_at_some_hour_is_followed_by_what_was_billed_from_then_on() -> None:
    ends = day("2025-01-15T10:30")
    trial = bill("in_1", "2025-01-01T10:30", billed("2025-01-01T10:30", "2025-01-15T10:30", 0, unit=1000))
    first, second = (billed(f"2025-0{n}-15T10:30", f"2025-0{n + 1}-15T10:30", 1000) for n in (1, 2))
    now = seen(MONTHLY, trial_start=day("2025-01-01T10:30"), trial_end=ends)
    for status in ("paid", "void"):
        bills = [
            trial,
            bill("in_2", "2025-01-15T10:30", first, status=status),
            bill("in_3", "2025-02-15T10:30", second),
        ]
        assert {one.starts_at: one.mrr for one in spans(now, bills)}[ends] == 1_000_000_000


def test_one_that_was_never_billed_is_on_trial_until_that_ends_though_it_was_seen_before() -> None:
    trial = lived(MONTHLY, status="trialing", trial_start=BORN, trial_end=day("2025-12-20"))
    found = spans([version(FIRST_SEEN, trial, "read")])
    assert [(shown(one.starts_at), one.mrr, one.trial > 0) for one in found] == [
        ("2025-01-01", 0, True), ("2025-12-10", 0, True),
    ]  # fmt: skip


def test_one_that_was_never_billed_and_backdated_counts_from_its_start() -> None:
    free = subscription(item(price(0, id="price_1")), created=BORN, start_date=day("2024-11-01"))
    assert told(spans([version(FIRST_SEEN, free, "read")]))[0] == ("2024-11-01", "2025-12-10", 0)


def test_of_a_backdated_one_only_the_first_state_counts_from_its_start() -> None:
    begun = {"start_date": day("2024-12-01"), "created": BORN}
    first = bill("in_1", "2025-01-01", billed("2025-01-01", "2025-02-01", 1000), reason="subscription_create")
    more = bill("in_2", "2025-02-01", billed("2025-02-01", "2025-03-01", 2000, 2))
    now = version(FIRST_SEEN, lived(item(price(1000, id="price_1"), 2)) | begun)
    assert told(spans([now], [first, more]))[:2] == [
        ("2024-12-01", "2025-02-01", 1000), ("2025-02-01", "2025-12-10", 2000),
    ]  # fmt: skip


OWED = day("2025-11-01T01:00")


def owing(**more: Any) -> list[Billed]:
    times = {"finalized_at": OWED, "paid_at": None}
    line = billed("2025-11-01", "2025-12-01", 1000)
    return bill(
        "in_11", "2025-11-01", line, **{"status": "open", "attempt_count": 3, "status_transitions": times, **more}
    )


def test_one_that_was_past_due_as_it_was_first_seen_had_been_so_since_its_oldest_open_invoice() -> None:
    """Else it would count for all of the days anew, from the day on which the account was connected."""
    late = [version(FIRST_SEEN, lived(MONTHLY, status="past_due"), "read")]
    bills = [JAN, FEB, owing(), owing(id="in_12", status_transitions={"finalized_at": day("2025-12-01T01:00")})]
    assert told(spans(late, bills))[-1] == ("2025-12-10", "", 1000), "by default it counts"
    assert told(spans(late, bills, past_due="14 days")) == [
        ("2025-01-01", "2025-11-15T01:00", 1000), ("2025-11-15T01:00", "2025-12-10", 0), ("2025-12-10", "", 0),
    ]  # fmt: skip
    soon = spans(late, bills, past_due="45 days")
    assert told(soon)[-2:] == [("2025-12-10", "2025-12-16T01:00", 1000), ("2025-12-16T01:00", "", 0)]


@pytest.mark.parametrize(
    "more",
    [{"attempt_count": 0}, {"status": "paid"}, {"collection_method": "send_invoice"}, {"status_transitions": {}}],
    ids=str,
)
def test_what_was_not_tried_or_is_paid_says_not_since_when(more: Json) -> None:
    late = [version(FIRST_SEEN, lived(MONTHLY, status="past_due"), "read")]
    assert told(spans(late, [JAN, owing(**more)], past_due="14 days"))[-2:] == [
        ("2025-12-10", "2025-12-24", 1000), ("2025-12-24", "", 0),
    ]  # fmt: skip


def test_one_that_is_sent_its_invoices_is_past_due_from_the_day_on_which_the_oldest_was_due() -> None:
    """Nothing is tried then, and it had the time from the invoice until it was due."""
    late = [version(FIRST_SEEN, lived(MONTHLY, status="past_due"), "read")]
    sent = {"collection_method": "send_invoice", "attempt_count": 0}
    later = owing(**sent, id="in_12", due_date=day("2025-12-05"))
    yet = owing(**sent, id="in_13", due_date=FIRST_SEEN + 1)
    bills = [JAN, FEB, owing(**sent, due_date=day("2025-12-01")), later, yet]
    assert told(spans(late, bills, past_due="5 days")) == [
        ("2025-01-01", "2025-12-06", 1000), ("2025-12-06", "2025-12-10", 0), ("2025-12-10", "", 0),
    ]  # fmt: skip
    assert told(spans(late, [JAN, yet], past_due="5 days"))[-2:] == [
        ("2025-12-10", "2025-12-15", 1000), ("2025-12-15", "", 0),
    ]  # fmt: skip


def test_what_an_event_says_became_past_due_did_so_then() -> None:
    late = [version(FIRST_SEEN, lived(MONTHLY, status="past_due"))]
    found = spans(late, [JAN, owing()], stood=version(0, lived(MONTHLY)), past_due="14 days")
    assert told(found)[-2:] == [("2025-12-10", "2025-12-24", 1000), ("2025-12-24", "", 0)]


ASKED_AT = day("2025-06-01")
ASKED = {
    "ended since": ({"status": "canceled", "ended_at": day("2025-06-10")}, "2025-06-10"),
    "to end": ({"cancel_at_period_end": True}, "2025-12-10"),
}


@pytest.mark.parametrize("case", ASKED)
@pytest.mark.parametrize("bills", [[JAN, FEB], []], ids=["billed", "never billed"])
def test_a_cancellation_that_was_asked_for_before_it_was_seen_counts_from_then_by_policy(
    case: str, bills: list[list[Billed]]
) -> None:
    more, until = ASKED[case]
    found = seen(MONTHLY, canceled_at=ASKED_AT, **more)
    past = [one for one in spans(found, bills, cancellation="request") if one.provenance == "inferred"]
    assert told(past) == [("2025-01-01", "2025-06-01", 1000), ("2025-06-01", until, 0)]
    assert told(spans(found, bills))[0] == ("2025-01-01", until, 1000), "by default it counts until it ends"


def test_a_trial_that_was_never_billed_and_its_end_was_asked_for() -> None:
    trial = {"trial_start": BORN, "trial_end": day("2025-08-01"), "canceled_at": ASKED_AT}
    past = spans(seen(MONTHLY, status="canceled", ended_at=day("2025-08-01"), **trial), cancellation="request")
    assert told(past) == [("2025-01-01", "2025-08-01", 0)]
    assert past[0].why_not == "it is trialing"
