"""What is to be done with a row: the three-way comparison, modes, states, and exactly the right payload."""

from typing import Any

import pytest

from tidegate.outbound.fields.problems import Problem
from tidegate.outbound.plan.compare import same
from tidegate.outbound.plan.decide import Asked, Change, Decision, Sent, Terms, decide, showing
from tidegate.outbound.plan.deletes import deletion
from tidegate.outbound.plan.items import updates

CUSTOMERS = Terms("customers")
ADA = {"id": "cus_1", "object": "customer", "name": "Ada", "metadata": {"tier": "pro", "theirs": "x"}, "phone": None}


def matched(wanted: dict[str, Any], live: dict[str, Any] = ADA, sent: Sent | None = None, **more: Any) -> Asked:
    return Asked("1", create=wanted, update=wanted, ids=(live["id"],), live=live, sent=sent, **more)


def test_what_differs_is_sent_and_nothing_else() -> None:
    found = decide(CUSTOMERS, matched({"name": "Ada", "phone": "1", "metadata": {"tier": "max", "new": "1"}}))
    assert (found.kind, found.object_id) == ("update", "cus_1")
    assert found.payload == {"phone": "1", "metadata": {"tier": "max", "new": "1"}}
    assert found.changes == [
        Change("phone", None, "1"), Change("metadata.tier", "pro", "max"), Change("metadata.new", None, "1"),
    ]  # fmt: skip


def test_nothing_is_to_be_done_where_nothing_differs() -> None:
    assert decide(CUSTOMERS, matched({"name": "Ada", "phone": "", "metadata": {"gone": ""}})).kind == "nothing"


SENT = Sent({"name": "Ada", "phone": "00491"}, {"name": "Ada", "phone": "+49 1"})


def test_what_stripe_writes_otherwise_is_not_sent_again() -> None:
    live = ADA | {"phone": "+49 1"}
    assert decide(CUSTOMERS, matched({"name": "Ada", "phone": "00491"}, live, SENT)).kind == "nothing"
    assert decide(CUSTOMERS, matched({"name": "Ada", "phone": "00492"}, live, SENT)).payload == {"phone": "00492"}


@pytest.mark.parametrize(
    ("winner", "kind", "payload"),
    [("warehouse", "update", {"name": "Ada"}), ("stripe", "nothing", {}), ("flag", "conflict", {})],
)
def test_a_field_that_somebody_edited_in_stripe(winner: Any, kind: str, payload: dict[str, Any]) -> None:
    live = ADA | {"name": "Ada L.", "phone": "+49 1"}
    found = decide(Terms("customers", winner=winner), matched({"name": "Ada", "phone": "00491"}, live, SENT))
    assert (found.kind, found.payload) == (kind, payload)
    edited = Change("name", "Ada L.", "Ada", edited=True)
    assert (found.kept if winner == "stripe" else found.changes) == [edited]


def test_stripes_edit_is_kept_while_another_field_is_written() -> None:
    live = ADA | {"name": "Ada L.", "phone": "+49 1"}
    found = decide(Terms("customers", winner="stripe"), matched({"name": "Ada", "phone": "2"}, live, SENT))
    assert (found.kind, found.payload, [one.field for one in found.kept]) == ("update", {"phone": "2"}, ["name"])


def test_somebodys_edit_to_what_is_wanted_anyway_is_no_conflict() -> None:
    live = ADA | {"name": "Grace", "phone": "+49 1"}
    assert decide(Terms("customers", winner="flag"), matched({"name": "Grace"}, live, SENT)).kind == "nothing"


NEW = {"name": "Bob", "metadata": {"tier": "pro"}}


@pytest.mark.parametrize(
    ("terms", "row", "kind", "why"),
    [
        (CUSTOMERS, Asked("1", create=NEW), "create", ""),
        (Terms("customers", "insert"), Asked("1", create=NEW), "create", ""),
        (Terms("customers", "insert"), matched(NEW), "skip", "Stripe has it already"),
        (Terms("customers", "update"), Asked("1", create=NEW), "skip", "nothing in Stripe matches it"),
        (Terms("customers", matched_by_id=True), Asked("1", create=NEW), "invalid", "gives ids itself"),
        (Terms("products", matched_by_id=True, settable=True), Asked("1", create=NEW), "create", ""),
        (CUSTOMERS, Asked("1", create=NEW, ids=("cus_1", "cus_2")), "invalid", "cus_1, cus_2"),
        (CUSTOMERS, Asked("1", create=NEW, waits=("customers with email x",)), "held", "customers with email x"),
        (CUSTOMERS, matched(NEW, waits=("prices with id y",)), "held", "prices with id y"),
        (CUSTOMERS, Asked("1", create=NEW, gone=True), "create", ""),
        (Terms("customers", winner="flag"), Asked("1", create=NEW, gone=True), "conflict", "deleted in Stripe"),
        (Terms("customers", winner="stripe"), Asked("1", create=NEW, gone=True), "skip", "deleted in Stripe"),
    ],
)
def test_modes_matches_and_what_is_waited_for(terms: Terms, row: Asked, kind: str, why: str) -> None:
    found = decide(terms, row)
    assert (found.kind, why in found.why) == (kind, True)
    if kind == "create":
        assert found.payload == NEW


def test_problems_count_for_the_operation_that_is_needed() -> None:
    problem = (Problem("currency", "it is required"),)
    assert decide(CUSTOMERS, Asked("1", problems_of_create=problem)).problems == problem
    assert decide(CUSTOMERS, matched(NEW, problems_of_create=problem)).kind == "update"
    assert decide(CUSTOMERS, matched(NEW, problems_of_update=problem)).kind == "invalid"


def test_what_cannot_be_changed_is_refused_where_it_differs() -> None:
    live = {
        "id": "price_1",
        "currency": "usd",
        "unit_amount": 900,
        "unit_amount_decimal": "900",
        "product": {"id": "p"},
    }
    same_price = {"currency": "usd", "unit_amount": 900, "unit_amount_decimal": "900.0", "product": "p"}
    assert decide(Terms("prices"), Asked("1", create=same_price, ids=("price_1",), live=live)).kind == "nothing"
    found = decide(Terms("prices"), Asked("1", create=same_price | {"unit_amount": 950}, ids=("price_1",), live=live))
    assert (found.kind, [one.path for one in found.problems]) == ("invalid", ["unit_amount"])


def test_of_what_is_over_nothing_is_refused_for_nothing_of_it_can_be_changed() -> None:
    """Its customer was deleted, which canceled it, and another one has the e-mail address by now."""
    live = {"id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "canceled"}
    found = decide(Terms("subscriptions"), matched({"customer": "cus_2"}, live))
    assert (found.kind, found.why) == ("skip", "the subscription is canceled")
    assert decide(Terms("subscriptions"), matched({"customer": "cus_2"}, live | {"status": "active"})).kind == "invalid"


@pytest.mark.parametrize(
    ("resource", "live", "wanted", "kind"),
    [
        ("invoices", {"status": "draft", "description": "a"}, {"description": "b"}, "update"),
        ("invoices", {"status": "open", "description": "a"}, {"description": "b"}, "skip"),
        ("invoices", {"status": "open", "description": "a"}, {"metadata": {"a": "1"}}, "update"),
        ("subscriptions", {"status": "canceled", "description": "a"}, {"description": "b"}, "skip"),
        ("subscriptions", {"status": "canceled"}, {"metadata": {"a": "1"}}, "update"),
        ("quotes", {"status": "open", "header": "a"}, {"header": "b"}, "skip"),
        ("quotes", {"status": "draft", "header": "a"}, {"header": "b"}, "update"),
        ("invoiceitems", {"invoice_status": "paid", "description": "a"}, {"description": "b"}, "skip"),
    ],
)  # fmt: skip
def test_states_that_let_nothing_be_changed(
    resource: str, live: dict[str, Any], wanted: dict[str, Any], kind: str
) -> None:
    found = decide(Terms(resource), Asked("1", update=wanted, ids=("x",), live={"id": "x"} | live))
    assert (found.kind, bool(found.why)) == (kind, kind == "skip")


def item(id_: str, price: str, quantity: int = 1) -> dict[str, Any]:
    return {"id": id_, "price": {"id": price}, "quantity": quantity}


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        ([{"price": "a", "quantity": 1}, {"price": "b", "quantity": 2}], []),
        ([{"price": "b", "quantity": 2}, {"price": "a"}], []),
        ([{"price": "a", "quantity": 3}, {"price": "b"}], [{"id": "si_a", "quantity": 3}]),
        ([{"price": "a"}], [{"id": "si_b", "deleted": True}]),
        ([{"price": "a"}, {"price": "c"}], [{"id": "si_b", "price": "c"}]),
        ([{"price": "a"}, {"price": "b"}, {"price": "c"}], [{"price": "c"}]),
        ([{"id": "si_a", "price": "b"}, {"price": "b"}], [{"id": "si_a", "price": "b"}]),
        ([{"price": "c"}, {"price": "d"}], [
            {"price": "c"}, {"price": "d"}, {"id": "si_a", "deleted": True}, {"id": "si_b", "deleted": True}]),
    ],
)  # fmt: skip
def test_items_become_the_wanted_ones(wanted: list[dict[str, Any]], sent: list[dict[str, Any]]) -> None:
    assert updates(wanted, [item("si_a", "a"), item("si_b", "b", 2)]) == sent


def test_a_subscriptions_items_go_with_what_only_tells_how() -> None:
    live = {"id": "sub_1", "status": "active", "items": {"data": [item("si_a", "a")]}}
    wanted = {"items": [{"price": "a", "quantity": 4}], "proration_behavior": "none"}
    row = Asked("1", update=wanted, ids=("sub_1",), live=live)
    assert decide(Terms("subscriptions"), row).payload == {
        "items": [{"id": "si_a", "quantity": 4}], "proration_behavior": "none",
    }  # fmt: skip
    unchanged = Asked("1", update=wanted | {"items": [{"price": "a"}]}, ids=("sub_1",), live=live)
    assert decide(Terms("subscriptions"), unchanged) == Decision(
        "1", "nothing", "sub_1", kept=[], wanted={"items": [{"price": "a"}]}
    )


@pytest.mark.parametrize(
    ("wanted", "has", "answer"),
    [
        ("", None, True), ("", {}, True), ({"line1": "a"}, {"line1": "a", "city": "b"}, True),
        ({"line1": "a"}, None, False), ({"line1": ""}, None, True), ("prod_1", {"id": "prod_1"}, True),
        ("1.50", "1.5", True), (12, "12.0", True), (True, 1, True), ("true", True, False), (["a"], ["a"], True),
        (["txr_1"], [{"id": "txr_1"}], True), (["a", "b"], ["b", "a"], False), ([], None, True), (0, None, False),
    ],
)  # fmt: skip
def test_the_same_spelt_otherwise(wanted: Any, has: Any, answer: bool) -> None:
    assert same(wanted, has) is answer


def test_what_an_object_shows_of_what_was_written() -> None:
    coupon = {"id": "di_1", "source": {"coupon": "WELCOME"}}
    live = {
        "id": "sub_1",
        "items": {"data": [item("si_a", "a")]},
        "discounts": [coupon],
        "metadata": {"k": "1", "o": "2"},
    }
    wrote = {"items": [{"price": "a"}], "discounts": [{"coupon": "WELCOME"}], "metadata": {"k": "1"}}
    row = Asked("1", update=wrote | {"proration_behavior": "none"}, ids=("sub_1",), live=live)
    found = decide(Terms("subscriptions"), row)
    assert found.kind == "nothing"
    assert showing("subscriptions", found.wanted, live) == {
        "items": [{"id": "si_a", "price": "a", "quantity": 1}],
        "discounts": [{"discount": "di_1", "coupon": "WELCOME", "promotion_code": None}],
        "metadata.k": "1",
    }


@pytest.mark.parametrize(
    ("resource", "live", "update", "sent"),
    [
        ("subscriptions", {"status": "active", "description": "a"},
         {"description": "b", "proration_behavior": "none", "add_invoice_items": [{"price": "p"}]},
         {"description": "b"}),
        ("subscriptions", {"status": "canceled", "metadata": {}},
         {"metadata": {"k": "1"}, "proration_behavior": "none"}, {"metadata": {"k": "1"}}),
        ("subscriptions", {"status": "active", "cancel_at_period_end": False},
         {"cancel_at_period_end": True, "proration_behavior": "none"},
         {"cancel_at_period_end": True, "proration_behavior": "none"}),
        ("invoices", {"status": "open", "metadata": {}}, {"metadata": {"k": "1"}, "days_until_due": 30},
         {"metadata": {"k": "1"}}),
        ("invoices", {"status": "draft", "collection_method": "charge_automatically"},
         {"collection_method": "send_invoice", "days_until_due": 30},
         {"collection_method": "send_invoice", "days_until_due": 30}),
        ("prices", {"lookup_key": None, "nickname": "a"}, {"nickname": "b", "transfer_lookup_key": True},
         {"nickname": "b"}),
    ],
)  # fmt: skip
def test_what_only_tells_how_goes_with_what_it_is_about(
    resource: str, live: dict[str, Any], update: dict[str, Any], sent: dict[str, Any]
) -> None:
    row = Asked("1", update=update, ids=("x",), live={"id": "x", **live})
    assert decide(Terms(resource), row).payload == sent


def test_what_an_object_does_not_show_is_not_said_to_differ() -> None:
    """Lists and events leave the tiers of a price out."""
    live = {"id": "price_1", "currency": "usd", "billing_scheme": "tiered"}
    row = Asked("1", create={"currency": "usd", "tiers": [{"up_to": "inf"}]}, ids=("price_1",), live=live)
    assert decide(Terms("prices"), row).kind == "nothing"
    fixed = row._replace(live=live | {"tiers": [{"up_to": 5}]})
    assert [one.path for one in decide(Terms("prices"), fixed).problems] == ["tiers"]


@pytest.mark.parametrize(
    ("name", "wanted", "has"),
    [
        ("tiers", [{"up_to": 5, "unit_amount": 9}, {"up_to": "inf", "unit_amount": 1}],
         [{"up_to": 5, "unit_amount": 9, "flat_amount": None}, {"up_to": None, "unit_amount": 1}]),
        ("custom_unit_amount", {"enabled": True, "minimum": 100}, {"maximum": None, "minimum": 100, "preset": None}),
    ],
)  # fmt: skip
def test_a_price_is_the_same_as_stripe_shows_it(name: str, wanted: Any, has: Any) -> None:
    for where in (name, "currency_options"):
        told, there = (wanted, has) if where == name else ({"eur": {name: wanted}}, {"eur": {name: has}})
        row = Asked("1", create={where: told}, update={"currency_options": told} if where != name else {},
                    ids=("price_1",), live={"id": "price_1", where: there})  # fmt: skip
        assert decide(Terms("prices", replaces=True), row).kind == "nothing", where
    other = Asked("1", create={name: wanted}, ids=("price_1",), live={"id": "price_1", name: None})
    assert decide(Terms("prices", replaces=True), other).kind == "replace"


def test_what_is_given_once_stays_as_it_was_sent_whatever_stripe_makes_of_it() -> None:
    said = {"billing_cycle_anchor": 100}
    first = decide(Terms("subscriptions"), Asked("1", create=said))
    assert first.wanted == said
    moved = Asked("1", create=said, ids=("sub_1",), live={"id": "sub_1", "billing_cycle_anchor": 200},
                  sent=Sent(first.wanted, {"billing_cycle_anchor": 100}))  # fmt: skip
    assert decide(Terms("subscriptions"), moved).kind == "nothing"
    other = decide(Terms("subscriptions"), moved._replace(create={"billing_cycle_anchor": 300}))
    assert [one.path for one in other.problems] == ["billing_cycle_anchor"]


def test_a_subscription_of_an_invoice_is_shown_where_its_version_has_it() -> None:
    newer = {"parent": {"subscription_details": {"subscription": "sub_1"}}}
    for resource in ("invoices", "invoiceitems"):
        for live in (newer, {"subscription": "sub_1"}, {"subscription": {"id": "sub_1"}}):
            assert showing(resource, {"subscription": "sub_1"}, live) == {"subscription": "sub_1"}
    assert showing("invoiceitems", {"unit_amount_decimal": "5"}, {"pricing": {"unit_amount_decimal": "5"}}) == {
        "unit_amount_decimal": "5"
    }


@pytest.mark.parametrize(
    ("live", "kind"),
    [
        ({"status": "draft"}, "delete"),
        ({"status": "draft", "parent": {"type": "quote_details", "quote_details": {"quote": "qt_1"}}}, "delete"),
        ({"status": "draft", "parent": {"subscription_details": {"subscription": "sub_1"}}}, "skip"),
        ({"status": "draft", "subscription": "sub_1"}, "skip"),
    ],
)
def test_of_drafts_only_a_subscriptions_stay(live: dict[str, Any], kind: str) -> None:
    assert deletion("invoices", "1", True, "in_1", live, {"how": "remove"}).kind == kind
