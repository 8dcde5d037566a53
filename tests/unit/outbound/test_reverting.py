"""The way back from a request: what each operation is undone by, what stays, and what is named instead."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.outbound.plan.compare import flat, shown
from tidegate.outbound.plan.reverting import NO_WAY, Done, way_back


def done(operation: str, **said: Any) -> Done:
    told: dict[str, Any] = {"key": "1", "object_id": "x_1", "params": {}, "before": {}, "response": {}}
    return Done(operation=operation, **(told | said))


def customer(**fields: Any) -> dict[str, Any]:
    return {"id": "x_1", "object": "customer", "name": "New", "email": "new@x.example", "metadata": {}, **fields}


@pytest.mark.parametrize("operation", NO_WAY)
@pytest.mark.parametrize("live", [None, customer()])
def test_what_is_for_good_is_named(operation: str, live: dict[str, Any] | None) -> None:
    decision = way_back("invoices", done(operation), live)
    assert (decision.kind, decision.why) == ("skip", NO_WAY[operation])


@pytest.mark.parametrize(
    ("resource", "live", "payload"),
    [
        ("customers", customer(), {"do": "delete"}),
        ("products", {"id": "x_1", "active": True}, {"do": "delete"}),
        ("products", {"id": "x_1", "active": True, "has_prices": "1"}, {"do": "archive"}),
        ("prices", {"id": "x_1", "active": True}, {"do": "archive"}),
        ("subscriptions", {"id": "x_1", "status": "active"}, {"do": "cancel", "prorate": False, "invoice_now": False}),
        ("invoices", {"id": "x_1", "status": "draft"}, {"do": "delete"}),
        ("invoices", {"id": "x_1", "status": "open"}, {"do": "void"}),
        ("invoiceitems", {"id": "x_1"}, {"do": "delete"}),
        ("quotes", {"id": "x_1", "status": "draft"}, {"do": "cancel"}),
    ],
)  # fmt: skip
def test_what_was_made_is_removed_in_its_resources_way(
    resource: str, live: dict[str, Any], payload: dict[str, Any]
) -> None:
    decision = way_back(resource, done("create"), live)
    assert (decision.kind, decision.payload) == ("revert", payload)


@pytest.mark.parametrize(
    ("resource", "live", "why"),
    [
        ("customers", customer(live_subscriptions="1"), "live subscriptions"),
        ("invoices", {"id": "x_1", "status": "paid"}, "paid"),
        ("subscriptions", {"id": "x_1", "status": "canceled"}, "already"),
    ],
)
def test_what_was_made_and_cannot_be_removed_any_more(resource: str, live: dict[str, Any], why: str) -> None:
    decision = way_back(resource, done("create"), live)
    assert decision.kind == "skip"
    assert why in decision.why


def test_what_is_gone_needs_nothing_where_it_was_made_and_is_named_where_it_was_changed() -> None:
    assert way_back("customers", done("create"), None).kind == "nothing"
    assert way_back("customers", done("update", before={"name": "Old"}), None).kind == "skip"


def test_archived_and_ending_ones_go_on() -> None:
    archived = way_back("prices", done("archive"), {"id": "x_1", "active": False})
    assert (archived.kind, archived.payload) == ("revert", {"active": True})
    ending = way_back("subscriptions", done("end"), {"id": "x_1", "status": "active", "cancel_at_period_end": True})
    assert (ending.kind, ending.payload) == ("revert", {"cancel_at_period_end": False})
    assert way_back("prices", done("archive"), {"id": "x_1", "active": True}).kind == "nothing"


def test_a_person_who_was_forgotten_stays_as_they_are() -> None:
    decision = way_back("customers", done("update", forgotten=True), customer())
    assert (decision.kind, "forgotten" in decision.why) == ("skip", True)


@pytest.mark.parametrize(
    ("before", "sent", "live", "payload"),
    [
        ({"name": "Old"}, {"name": "New"}, {}, {"name": "Old"}),
        ({"name": None}, {"name": "New"}, {}, {"name": ""}),
        ({"metadata.a": None}, {"metadata": {"a": "pro"}}, {"metadata": {"a": "pro"}}, {"metadata": {"a": ""}}),
        (
            {"address": {"line1": "Old", "city": None, "country": "DE"}},
            {"address": {"line1": "New", "city": "Rome"}},
            {"address": {"line1": "New", "city": "Rome", "country": "DE"}},
            {"address": {"line1": "Old", "city": ""}},
        ),
        ({"preferred_locales": ["de"]}, {"preferred_locales": ["fr"]}, {"preferred_locales": ["fr"]},
         {"preferred_locales": ["de"]}),
    ],
)  # fmt: skip
def test_fields_go_back(before: dict[str, Any], sent: dict[str, Any], live: dict[str, Any], payload: Any) -> None:
    now = customer(**live)
    decision = way_back("customers", done("update", before=before, params=sent, response=now), now)
    assert (decision.kind, decision.payload) == ("revert", payload)


def test_items_go_back_without_ids_that_are_gone() -> None:
    first, second = {"id": "si_1", "price": "price_a", "quantity": 1}, {"id": "si_2", "price": "price_b", "quantity": 2}
    now = [{"id": "si_1", "price": {"id": "price_c"}, "quantity": 1}]
    live = {"id": "x_1", "status": "active", "items": {"data": now}}
    sent = {
        "items": [{"id": "si_1", "price": "price_c"}, {"id": "si_2", "deleted": True}],
        "proration_behavior": "none",
    }
    asked = done("update", before={"items": [first, second]}, params=sent, response=live)
    payload = way_back("subscriptions", asked, live).payload
    back = [{"id": "si_1", "price": "price_a"}, {"price": "price_b", "quantity": 2}]
    assert payload == {"items": back, "proration_behavior": "none"}


def test_a_value_that_stripe_takes_back_no_more_holds_up_no_other() -> None:
    live = {"id": "x_1", "status": "active", "description": "New", "collection_method": "send_invoice"}
    sent = {"description": "New", "collection_method": "send_invoice"}
    asked = done("update", before={"description": "Old", "collection_method": None}, params=sent, response=live)
    decision = way_back("subscriptions", asked, live)
    assert (decision.kind, decision.payload) == ("revert", {"description": "Old"})
    assert [one.path for one in decision.problems] == ["collection_method"]
    asked = done("update", before={"collection_method": None}, params=sent, response=live)
    assert (way_back("subscriptions", asked, live).kind, way_back("subscriptions", asked, live).payload) == ("skip", {})


def test_a_redacted_answer_is_compared_by_what_was_sent() -> None:
    said = {"before": {"name": "Old"}, "params": {"name": "New"}, "response": {"name": "[redacted]"}}
    assert way_back("customers", done("update", **said), customer()).kind == "revert"
    assert way_back("customers", done("update", **said), customer(name="By hand")).kind == "conflict"


names = st.sampled_from(["name", "phone", "description", "metadata.a", "metadata.b"])
fields = st.dictionaries(names, st.sampled_from(["", "x", "y", "z"]))


@given(fields, fields, fields, st.booleans())
def test_what_is_taken_back_is_as_it_was_and_what_was_edited_stays(
    before: dict[str, str], sent: dict[str, str], edited: dict[str, str], despite: bool
) -> None:
    """After the way back every field that was sent has its value from before, unless somebody edited it since."""
    sent = {name: sent.get(name, "sent") for name in before}
    after = applied(customer(), sent)
    live = applied(after, edited)
    asked = done("update", before={n: v or None for n, v in before.items()}, params=payload(sent), response=after)
    decision = way_back("customers", asked, live, despite_edits=despite)
    back = applied(live, flat(decision.payload) if decision.kind == "revert" else {})
    for name in before:
        untouched = value(live, name) == value(after, name)
        wanted = before[name] if untouched or despite else value(live, name)
        assert value(back, name) == wanted or value(live, name) == before[name] == value(back, name)


def payload(fields: dict[str, str]) -> dict[str, Any]:
    metadata = {name.removeprefix("metadata."): one for name, one in fields.items() if name.startswith("metadata.")}
    plain = {name: one for name, one in fields.items() if not name.startswith("metadata.")}
    return plain | ({"metadata": metadata} if metadata else {})


def applied(live: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """The object after an update: an empty value takes a field away."""
    said = payload(fields)
    metadata = live["metadata"] | said.pop("metadata", {})
    plain = {name: one or None for name, one in said.items()}
    return live | plain | {"metadata": {name: one for name, one in metadata.items() if one}}


def value(live: dict[str, Any], name: str) -> str:
    return shown("customers", name, live) or ""
