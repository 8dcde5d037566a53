"""What is suppressed is taken out of properties, events, reasons and what templates see; all else stays."""

from typing import Any

import pytest

from tidegate.delivery.hidden import NOTHING, Hidden
from tidegate.delivery.messages import Person


def hidden(*names: str) -> Hidden:
    return Hidden(frozenset(names))


@pytest.mark.parametrize(
    ("names", "values", "left"),
    [
        ((), {"mrr": 49.0}, {"mrr": 49.0}),
        (("mrr",), {"mrr": 49.0, "mrr_of": 1}, {"mrr_of": 1}),
        (("properties.tier",), {"properties.tier": "gold", "properties.tiers": 2}, {"properties.tiers": 2}),
        (("customer.metadata",), {"customer.metadata.tier": "gold", "customer.name": "A"}, {"customer.name": "A"}),
        (("customer.metadata.tier",), {"customer.metadata": {"tier": 1, "x": 2}}, {"customer.metadata": {"x": 2}}),
        (("customer.metadata.a.b",), {"customer.metadata": {"a": {"b": 1}}}, {"customer.metadata": {"a": {}}}),
        (("Product Name",), {"Product Name": "Pro", "Quantity": 2}, {"Quantity": 2}),
    ],
)
def test_properties(names: tuple[str, ...], values: dict[str, Any], left: dict[str, Any]) -> None:
    assert hidden(*names).without(values) == left


REASONS = ["mrr is above 40 (49.50)", "card.expires_at is known (2026-04-01)", "properties.tier is vip (vip)"]


@pytest.mark.parametrize(
    ("names", "left"),
    [
        ((), REASONS),
        (("mrr",), REASONS[1:]),
        (("card_expires_at",), [REASONS[0], REASONS[2]]),
        (("card.expires_at",), [REASONS[0], REASONS[2]]),
        (("properties.tier",), REASONS[:2]),
        (("owner",), REASONS),
    ],
)
def test_reasons(names: tuple[str, ...], left: list[str]) -> None:
    assert hidden(*names).reasons(REASONS) == left
    said = hidden(*names).event("alert.opened", {"rule": "x", "reasons": REASONS, "text": "\n".join(REASONS)})
    assert said == {"rule": "x", "reasons": left, "text": "\n".join(left)}


@pytest.mark.parametrize(
    ("names", "type_", "left"),
    [
        (("stage",), "stage.changed", None),
        (("segments",), "segment.entered", None),
        (("segments",), "segment.left", None),
        (("stage",), "segment.left", {"a": 1}),
        (("mrr",), "stage.changed", {"a": 1}),
    ],
)
def test_what_says_nothing_else_is_not_told(names: tuple[str, ...], type_: str, left: dict[str, Any] | None) -> None:
    assert hidden(*names).event(type_, {"a": 1}) == left


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("renews_at", ("renews_at", "days_to_renewal")), ("mrr", ("mrr", "mrr_trend")),
        ("status", ("subscription.status", "any_subscription.status")), ("health", ("health", "unhealthy")),
        ("customer_since", ("customer_since", "tenure_days", "ever_paid")), ("failed_payments", ("payments.failed",)),
        ("past_due_since", ("days_past_due",)), ("last_active_at", ("last_active_at", "days_inactive")),
    ],
)  # fmt: skip
def test_a_property_is_hidden_under_each_name_that_conditions_have_for_it(name: str, fields: tuple[str, ...]) -> None:
    assert [one for one in fields if not hidden(name).field(one)] == []
    assert not hidden(name).field("owner")


RENEWS = {"kind": "renewal_in_days", "at": "2026-04-03", "renews_at": "2026-05-03T12:00:00Z", "days": 30}
MOVED = {"kind": "movement", "at": "2026-04-03", "movement": "expansion", "amount": 4900, "currency": "usd"}
OPENED = {"kind": "alert_opened", "at": "2026-04-03", "rule": "trial_ending", "about": "2026-05-03T12:00:00Z"}
BARE = {"at": "2026-04-03"}


@pytest.mark.parametrize(
    ("names", "trigger", "left"),
    [
        (("renews_at",), RENEWS, BARE | {"kind": "renewal_in_days"}),
        (("mrr",), MOVED, BARE | {"kind": "movement"}),
        (("trial_ends_at",), OPENED, BARE | {"kind": "alert_opened", "rule": "trial_ending"}),
        (("renews_at",), OPENED, None),
        (("trial_ends_at",), RENEWS, None),
    ],
)
def test_what_set_an_action_off_is_told_without_what_it_tells(
    names: tuple[str, ...], trigger: dict[str, Any], left: dict[str, Any] | None
) -> None:
    fired = {"action": "mine", "occurrence": "renewal:2026-05-03", "trigger": trigger, "text": "as it was written"}
    changed = {"action": "mine", "trigger": left, "text": "as it was written"}
    assert hidden(*names).event("action.fired", fired) == (fired if left is None else changed)


@pytest.mark.parametrize(
    ("name", "rule", "told"),
    [
        ("renews_at", "renewal_upcoming", False), ("trial_ends_at", "trial_ending", False),
        ("card_expires_at", "card_expiring", False), ("card.expires_at", "card_expiring", False),
        ("churned_at", "canceled", False), ("ends_at", "cancellation_scheduled", False),
        ("days_past_due", "past_due", False), ("unhealthy", "health_dropped", False),
        ("days_inactive", "inactive", False), ("downgraded_at", "downgrade", False),
        ("renews_at", "trial_ending", True), ("mrr", "payment_failed", True),
    ],
)  # fmt: skip
def test_the_date_that_an_alert_is_about_goes_with_its_property(name: str, rule: str, told: bool) -> None:
    for type_ in ("alert.opened", "alert.resolved"):
        said = hidden(name).event(type_, {"rule": rule, "occurrence": "2026-05-03T12:00:00Z"})
        assert said == {"rule": rule} | ({"occurrence": "2026-05-03T12:00:00Z"} if told else {})


def test_a_billing_event_keeps_its_amounts_and_is_known_by_an_id() -> None:
    told = {"identity": "ada@x.com", "customer": "cus_1", "amount": 5, "data": {"properties": {"Plan": "a", "Paid": 5}}}
    assert hidden("Plan", "email").event("billing_event.recorded", told) == {
        "identity": "cus_1", "customer": "cus_1", "amount": 5, "data": {"properties": {"Paid": 5}},
    }  # fmt: skip
    assert told["data"] == {"properties": {"Plan": "a", "Paid": 5}}


def test_who_it_is_about_and_what_templates_see() -> None:
    person = Person("account", "acme", "Acme", "ada@x.com", ("cus_1",), ("ada", "ada@x.com"))
    assert hidden("email", "name").person(person) == Person("account", "acme", "", "", ("cus_1",), ("ada", ""))
    contact = {"id": "acme", "name": "Acme", "email": "a@x.com", "properties": {"tier": 1, "nps": 2}}
    assert hidden("email", "properties.tier").contact(contact) == contact | {"email": "", "properties": {"nps": 2}}
    assert hidden("status").facts({"subscription.status": "active", "mrr": 3}) == {
        "subscription.status": None,
        "mrr": 3,
    }
    assert NOTHING.person(person) == person
