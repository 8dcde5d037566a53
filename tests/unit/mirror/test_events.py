"""What an event says: versions, tombstones, looks at Stripe that it makes necessary, and what it does not concern."""

import json
from typing import Any

import pytest
from tests.support.builders import coupon, customer, event, invoice, item, price, subscription

from tidegate.mirror.decide import Certainty
from tidegate.mirror.events import Broken, Skipped, Told, told


def says(type_: str, object_: dict[str, Any], **fields: Any) -> Told | Skipped | Broken:
    return told(json.dumps(event(type_, object_, 100, **fields)))


def version(type_: str, object_: dict[str, Any], **fields: Any) -> Told:
    found = says(type_, object_, **fields)
    assert isinstance(found, Told), found
    return found


def test_an_event_is_a_version_at_its_own_time_and_certainty() -> None:
    found = version("customer.updated", customer(), id_="evt_1", previous={"email": None})
    arrival = found.arrival
    assert (found.resource.name, arrival.id, arrival.at, arrival.certainty) == (
        "customers",
        "cus_1",
        100,
        Certainty.TOLD,
    )
    assert (arrival.event, arrival.previous) == ("evt_1", '{"email": null}')
    assert (arrival.deleted, arrival.whole, found.ask) == (False, True, None)


@pytest.mark.parametrize(
    ("type_", "object_", "deleted"),
    [
        ("customer.deleted", customer(), True),
        ("coupon.deleted", coupon(), True),
        ("price.deleted", price(), True),
        ("invoice.deleted", invoice(status="draft"), True),
        ("customer.updated", customer(deleted=True), True),
        ("customer.subscription.deleted", subscription(status="canceled"), False),
        ("invoice.voided", invoice(status="void"), False),
    ],
)
def test_what_leaves_a_tombstone(type_: str, object_: dict[str, Any], deleted: bool) -> None:
    found = version(type_, object_)
    assert found.arrival.deleted is deleted
    assert found.ask is None


@pytest.mark.parametrize(
    ("object_", "fields", "reason", "whole"),
    [
        (customer(), {"api_version": "2020-08-27"}, "other_version", True),
        (price(), {}, "event", False),
        (coupon(), {"api_version": "2020-08-27"}, "event", False),
        ({"id": "acct_1", "object": "account"}, {"api_version": "2020-08-27"}, "other_version", True),
    ],
    ids=["other version", "prices lack tiers", "coupons lack applies_to", "the account"],
)
def test_what_makes_a_look_at_stripe_necessary(
    object_: dict[str, Any], fields: dict[str, Any], reason: str, whole: bool
) -> None:
    found = version("anything.updated", object_, **fields)
    assert found.ask is not None
    assert (found.ask.object_id, found.ask.reason, found.ask.known_at) == (object_["id"], reason, 100)
    assert found.arrival.whole is whole


@pytest.mark.parametrize(
    ("object_", "whole"),
    [
        (subscription(), True),
        (subscription(has_more=True), False),
        (subscription(discounts=["di_1"]), False),
        (subscription(discounts=[{"id": "di_1", "object": "discount"}]), True),
        (subscription(discounts=[]), True),
        (subscription(items=[item("si_1", discounts=["di_1"])]), False),
        (invoice(discounts=["di_1"]), False),
        (invoice(), True),
    ],
    ids=["plain", "cut off", "names a discount", "holds one", "none", "item names one", "invoice names one", "invoice"],
)
def test_a_body_that_only_names_what_lists_expand_is_not_whole(object_: dict[str, Any], whole: bool) -> None:
    assert version("anything.updated", object_).arrival.whole is whole


@pytest.mark.parametrize(
    ("type_", "object_", "reason"),
    [
        ("payout.paid", {"id": "po_1", "object": "payout"}, "not mirrored: payout"),
        ("invoice.upcoming", {"object": "invoice"}, "a preview, not an object"),
        ("invoice.created", {"object": "invoice"}, "invoice without an id"),
        ("balance.available", {"object": "balance"}, "not mirrored: balance"),
    ],
)
def test_what_does_not_concern_the_mirror_says_why(type_: str, object_: dict[str, Any], reason: str) -> None:
    assert says(type_, object_) == Skipped(reason)


@pytest.mark.parametrize(
    "body", ["", "null", "[]", "{}", '{"id": "evt_1"}', '{"id": "evt_1", "type": "x", "created": 1}']
)
def test_what_is_no_event_is_broken(body: str) -> None:
    assert isinstance(told(body), Broken)


@pytest.mark.parametrize(
    ("before", "stored"),
    [
        ("\0", "\ufffd"),
        ("\ud800", "\ufffd"),
        ("😀", "😀"),
        (r"\u0000", r"\u0000"),
    ],
    ids=["NUL", "half a pair", "a whole pair", "written out"],
)
def test_what_stood_before_can_always_be_stored(before: str, stored: str) -> None:
    """Else the event that mends the attribute would be refused with it."""
    previous = version("customer.updated", customer(), previous={"description": before}).arrival.previous
    assert previous is not None
    assert json.loads(previous) == {"description": stored}
