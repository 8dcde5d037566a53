"""Subscriptions started, changed and ended from the hub: looked at, sent, granted by the mirror."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.importing import stripe
from tests.support.selling import Till, opened

from tidegate.catalog import mappings, packages
from tidegate.catalog.mappings import Wanted
from tidegate.connections import runs
from tidegate.contacts import by_hand, changes, directory, policy
from tidegate.errors import (
    OutboundPaused,
    PaymentRefused,
    PreviewStale,
    SaleInvalid,
    SalePreviewNeeded,
    SaleRefused,
    SaleRunning,
    SaleUnsettled,
    StripeRefused,
    WriteKeyMissing,
    WritePermissionMissing,
)
from tidegate.outbound import pausing
from tidegate.outbound.push import history
from tidegate.outbound.push.history import Which
from tidegate.outbound.selling.wish import Wish
from tidegate.sandbox.keys import Key
from tidegate.workflows.contacts import contacts_forget
from tidegate.workflows.selling import sell, sell_sending
from tidegate.workflows.selling.sell_sending import KIND

MONTH: dict[str, Any] = {"interval": "month"}
SENT: dict[str, Any] = {"collection_method": "send_invoice", "days_until_due": 14}


@pytest.fixture(scope="module")
def shop(database_url: str, secret_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    folder: Path = tmp_path_factory.mktemp("till")
    with opened(database_url, secret_key, folder) as found:
        yield found


@pytest.fixture
def who(shop: Till, request: pytest.FixtureRequest) -> str:
    """A contact for one test, with a customer that pays by card."""
    name = "".join(one for one in request.node.name if one.isalnum())[:60].lower()
    shop.contact(name)
    shop.customer(name)
    return name


def changed(shown: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What a preview says of the features that change: what there is of each before and after."""

    def said(one: dict[str, Any]) -> Any:
        return one["granted"] and (one.get("limit") or True)

    return {
        one["feature"]: (said(one["before"]), said(one["after"]))
        for one in shown["entitlements"]
        if said(one["before"]) != said(one["after"])
    }


def test_a_subscription_is_looked_at_and_then_started(shop: Till, who: str) -> None:
    wanted: dict[str, Any] = {"interval": "month", "quantity": 2}
    shown = shop.preview("subscribe", "pro", who, **wanted)
    assert (shown["state"], shown["due_now"]) == ("preview", {"amount": 10_000, "currency": "usd"})
    assert [line["amount"] for line in shown["invoice"]["lines"]] == [10_000]
    assert shown["recurring"] == {"total": 10_000, "currency": "usd", "interval": "month", "interval_count": 1}
    assert changed(shown) == {"seats": (False, 10), "sso": (False, True)}
    assert shown["packages"] == {"before": [], "after": ["pro"]}
    assert [(one["method"], one["path"]) for one in shown["requests"]] == [("POST", "/v1/subscriptions")]
    assert (shop.sold(who), shop.requests(who), shop.features(who)) == ([], [], set())

    done = shop.by_token(shown["token"], "subscribe", "pro", who, **wanted)
    assert (done["state"], done["status"], done["billed"]["amount_paid"]) == ("done", "active", 10_000)
    assert shop.sold(who) == [("active", [("pro month", 2)])]
    assert shop.features(who) == {"seats", "sso"}
    assert shop.requests(who) == [("create", "subscriptions", "done")]
    assert shop.of(who, "subscriptions")[0]["metadata"]["tidegate_package"] == "pro"

    again = shop.by_token(shown["token"], "subscribe", "pro", who, **wanted)
    assert (again["state"], len(shop.sold(who))) == ("nothing", 1)


def test_a_contact_without_a_customer_gets_one_that_matching_links(shop: Till) -> None:
    shop.contact("zeta")
    shown = shop.preview("subscribe", "basic", "zeta", **MONTH, **SENT)
    assert (shown["makes_customer"], shown["due_now"]["amount"]) == (True, 1000)
    assert (changed(shown), shop.of("zeta", "customers")) == ({"seats": (False, 2)}, [])
    assert shown["requests"][0]["params"] == {
        "name": "Zeta", "email": "ada@zeta.example", "metadata": {"workspace_id": "zeta"},
    }  # fmt: skip
    done = shop.by_token(shown["token"], "subscribe", "basic", "zeta", **MONTH, **SENT)
    assert (done["state"], done["status"], done["billed"]["status"]) == ("done", "active", "open")
    [customer] = shop.of("zeta", "customers")
    assert (customer["name"], customer["email"]) == ("Zeta", "ada@zeta.example")
    assert customer["metadata"]["workspace_id"] == "zeta"
    assert shop.features("zeta") == {"seats"}
    assert shop.requests("zeta") == [("create", "customers", "done"), ("create", "subscriptions", "done")]
    with shop.hub.engine.connect() as db:
        method = db.scalar(text("select method from tidegate.links where customer = :c"), {"c": customer["id"]})
        noted = changes.of_contact(db, directory.find(db, False, "zeta").key)
    assert method == "metadata"
    assert [(one["action"], one["by"]) for one in noted] == [("subscribe", "cli:ada"), ("make customer", "cli:ada")]
    assert (noted[0]["what"]["package"], noted[0]["what"]["run"]) == ("basic", done["run"])


def test_nobody_is_made_a_customer_while_nobody_knows_whether_they_are_one(shop: Till) -> None:
    shop.contact("unknown")
    unknown = text("update tidegate.connections set complete_as_of = :at where name = :name")
    known = text("select complete_as_of from tidegate.connections where name = :name")
    with shop.hub.engine.begin() as db:
        at = db.scalar(known, {"name": shop.account.name})
        db.execute(unknown, {"name": shop.account.name, "at": None})
    try:
        with pytest.raises(SaleRefused, match="was never imported whole"):
            shop.do("subscribe", "pro", "unknown")
        assert shop.of("unknown", "customers") == []
        who = shop.customer("unknown")
        assert shop.do("subscribe", "pro", "unknown", interval="month")["customer"] == who, (
            "of whom it is known it is sold to"
        )
    finally:
        with shop.hub.engine.begin() as db:
            db.execute(unknown, {"name": shop.account.name, "at": at})


def test_a_customer_of_a_second_ago_is_met_and_not_made_again(shop: Till) -> None:
    shop.contact("met")
    there = shop.v1.customers.create({"email": "ada@met.example", "metadata": {"workspace_id": "met"}}).id
    shown = shop.preview("subscribe", "pro", "met", interval="month", trial_days=3)
    assert (shown["customer"], shown["makes_customer"]) == (there, False)
    assert shop.do("subscribe", "pro", "met", interval="month", trial_days=3)["customer"] == there


def test_what_matching_would_not_find_is_linked_by_hand(shop: Till) -> None:
    shop.contact("eta")
    with shop.hub.engine.begin() as db:
        before = policy.stored(db, shop.account.name)
        policy.store(db, shop.account.name, {})
    try:
        done = shop.do("subscribe", "basic", "eta", **MONTH, **SENT)
    finally:
        with shop.hub.engine.begin() as db:
            policy.store(db, shop.account.name, before)
    [customer] = [one for one in shop.all("customers") if one["id"] == done["customer"]]
    assert customer["metadata"]["tidegate_contact"] == "account:eta"
    with shop.hub.engine.connect() as db:
        assert by_hand.holder(db, shop.account.name, customer["id"]) == directory.find(db, False, "eta").key
    assert shop.features("eta") == {"seats"}


def test_a_trial_costs_nothing_and_gives_all(shop: Till, who: str) -> None:
    shown = shop.preview("subscribe", "pro", who, **MONTH, trial_days=14)
    assert (shown["invoice"], shown["due_now"]["amount"], shown["recurring"]["total"]) == (None, 0, 5000)
    done = shop.by_token(shown["token"], "subscribe", "pro", who, **MONTH, trial_days=14)
    assert (done["state"], done["status"], shop.features(who)) == ("done", "trialing", {"seats", "sso"})


def test_a_coupon_and_a_promotion_code(shop: Till, who: str) -> None:
    half = shop.v1.coupons.create({"percent_off": 50, "duration": "forever"})
    shop.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": half.id}, "code": f"HALF{who[:8]}"})
    shop.live.catch_up()
    shown = shop.preview("subscribe", "pro", who, **MONTH, coupon=half.id)
    assert (shown["due_now"]["amount"], shown["recurring"]["total"]) == (2500, 2500)
    with pytest.raises(SaleInvalid, match=r"no active promotion code nothing"):
        shop.preview("subscribe", "pro", who, **MONTH, promotion_code="nothing")
    done = shop.do("subscribe", "pro", who, **MONTH, promotion_code=f"HALF{who[:8]}")
    assert (done["state"], done["billed"]["amount_paid"]) == ("done", 2500)


def test_which_price_is_meant(shop: Till, who: str) -> None:
    with pytest.raises(SaleInvalid, match=r"several prices: say which") as error:
        shop.preview("subscribe", "pro", who)
    assert shop.prices["pro month"] in str(error.value)
    assert shop.prices["pro year"] in str(error.value)
    with pytest.raises(SaleInvalid, match=r"No price of pro has --interval week"):
        shop.preview("subscribe", "pro", who, interval="week")
    with pytest.raises(SaleInvalid, match=r"is not mapped to pro. There are"):
        shop.preview("subscribe", "pro", who, price=shop.prices["basic month"])
    yearly = shop.preview("subscribe", "pro", who, interval="year", currency="USD")
    named = shop.preview("subscribe", "pro", who, price=shop.prices["pro year"])
    assert yearly["due_now"] == named["due_now"] == {"amount": 50_000, "currency": "usd"}


def test_a_package_that_nothing_is_mapped_to(shop: Till, who: str) -> None:
    with shop.hub.engine.begin() as db:
        packages.define(db, "hollow")
        packages.draft(db, "hollow", {})
    with pytest.raises(SaleInvalid, match=r"has no published version"):
        shop.preview("subscribe", "hollow", who)
    with shop.hub.engine.begin() as db:
        packages.publish(db, "hollow")
    with pytest.raises(SaleInvalid, match=r"No recurring price on sale is mapped to hollow"):
        shop.preview("subscribe", "hollow", who)


def test_a_price_that_is_archived_is_not_sold(shop: Till, who: str) -> None:
    old = shop.v1.prices.create(
        {"product_data": {"name": "Old"}, "currency": "usd", "unit_amount": 1, "recurring": {"interval": "month"}}
    )
    shop.v1.prices.update(old.id, {"active": False})
    shop.live.catch_up()
    with shop.hub.engine.begin() as db:
        packages.define(db, "old")
        packages.draft(db, "old", {"sso": True})
        packages.publish(db, "old")
        mappings.set_(db, Wanted(shop.account.name, price=old.id, package="old"))
    with pytest.raises(SaleInvalid, match=r"is archived in Stripe"):
        shop.preview("subscribe", "old", who, price=old.id)
    with pytest.raises(SaleInvalid, match=r"No recurring price on sale"):
        shop.preview("subscribe", "old", who)


@pytest.mark.wide
def test_who_has_a_base_package_changes_it(shop: Till, who: str) -> None:
    shop.do("subscribe", "basic", who, **MONTH)
    with pytest.raises(SaleRefused, match=r"has the base package basic already .* `tidegate change"):
        shop.do("subscribe", "pro", who, **MONTH)
    with pytest.raises(SaleRefused, match=r"has basic already .* changes its price or quantity"):
        shop.do("subscribe", "basic", who, **MONTH, quantity=3)
    same = shop.do("subscribe", "basic", who, **MONTH)
    assert (same["state"], same["why"][:7]) == ("nothing", "account")
    assert len(shop.of(who, "subscriptions")) == 1


@pytest.mark.wide
@pytest.mark.parametrize("prorations", ["create_prorations", "always_invoice", "none"])
@pytest.mark.wide
def test_a_change_costs_what_the_preview_said(shop: Till, who: str, prorations: str) -> None:
    shop.do("subscribe", "basic", who, **MONTH)
    shop.do("subscribe", "support", who, proration_behavior="none")
    shop.half_way(who)
    with pytest.raises(SaleInvalid, match=r"say --proration-behavior"):
        shop.preview("change", "pro", who)
    shown = shop.preview("change", "pro", who, proration_behavior=prorations)
    at_once = prorations == "always_invoice"
    assert changed(shown) == {"seats": (2, 10), "sso": (False, True)}
    assert (shown["invoice"]["made"] == "now", shown["due_now"]["amount"] > 0) == (at_once, at_once)
    assert shown["recurring"]["total"] == 7000
    assert [one["package"] for one in shown["items"]["after"]] == ["pro", "support"]
    shop.sandbox.advance(3600)  # what was looked at an hour ago is what is billed
    done = shop.by_token(shown["token"], "change", "pro", who, proration_behavior=prorations)
    assert shop.sold(who) == [("active", [("pro month", 1), ("support month", 1)])]
    assert shop.features(who) == {"seats", "sso", "helpline"}
    if at_once:
        assert done["billed"]["total"] == shown["invoice"]["total"] == shown["due_now"]["amount"]
    else:
        item = shop.of(who, "subscriptions")[0]["items"]["data"][0]
        shop.sandbox.advance(item["current_period_end"] + 3601 - shop.live.now)
        latest = shop.of(who, "subscriptions")[0]["latest_invoice"]
        assert shop.live.full("invoices", latest)["total"] == shown["invoice"]["total"]


@pytest.mark.wide
def test_a_change_of_interval_quantity_and_back(shop: Till, who: str) -> None:
    shop.do("subscribe", "basic", who, **MONTH)
    shown = shop.preview("change", "basic", who, quantity=3, proration_behavior="none")
    assert (shown["recurring"]["total"], changed(shown)) == (3000, {})
    done = shop.by_token(shown["token"], "change", "basic", who, quantity=3, proration_behavior="none")
    assert (done["state"], shop.sold(who)) == ("done", [("active", [("basic month", 3)])])
    same = shop.do("change", "basic", who, quantity=3)
    assert (same["state"], same["why"].partition(": ")[2]) == (
        "nothing", f"{shop.prices['basic month']} (10.00 USD a month, Basic)",
    )  # fmt: skip
    yearly = shop.preview("change", "pro", who, interval="year", proration_behavior="create_prorations")
    assert yearly["invoice"]["made"] == "now"
    done = shop.by_token(yearly["token"], "change", "pro", who, interval="year", proration_behavior="create_prorations")
    assert (done["billed"]["total"], shop.sold(who)) == (
        yearly["invoice"]["total"], [("active", [("pro year", 3)])],
    )  # fmt: skip


@pytest.mark.wide
def test_a_change_needs_something_to_change(shop: Till, who: str) -> None:
    with pytest.raises(SaleRefused, match=r"no running subscription with a base package. `tidegate subscribe"):
        shop.do("change", "pro", who, proration_behavior="none")
    shop.do("subscribe", "basic", who, **MONTH)
    with pytest.raises(SaleRefused, match=r"no running subscription with the add-on support"):
        shop.do("change", "support", who, quantity=2, proration_behavior="none")


@pytest.mark.wide
def test_an_add_on_is_an_item_of_what_runs(shop: Till, who: str) -> None:
    shop.do("subscribe", "basic", who, interval="year")
    with pytest.raises(SaleInvalid, match=r"support is added to sub_.* say --proration-behavior"):
        shop.preview("subscribe", "support", who)
    with pytest.raises(SaleInvalid, match=r"--trial-days is for a new subscription"):
        shop.preview("subscribe", "support", who, trial_days=3, proration_behavior="none")
    shown = shop.preview("subscribe", "support", who, proration_behavior="always_invoice")
    assert changed(shown) == {"helpline": (False, True)}
    shop.by_token(shown["token"], "subscribe", "support", who, proration_behavior="always_invoice")
    assert shop.sold(who) == [("active", [("basic year", 1), ("support year", 1)])]
    shop.do("change", "support", who, quantity=2, proration_behavior="none")
    assert shop.sold(who) == [("active", [("basic year", 1), ("support year", 2)])]
    with pytest.raises(SaleInvalid, match=r"support is taken off sub_.* say --proration-behavior"):
        shop.do("cancel", "support", who)
    done = shop.do("cancel", "support", who, proration_behavior="create_prorations")
    assert (done["state"], shop.features(who)) == ("done", {"seats"})
    assert shop.sold(who) == [("active", [("basic year", 1)])]


@pytest.mark.wide
def test_an_add_on_without_a_subscription_gets_one_of_its_own(shop: Till, who: str) -> None:
    shown = shop.preview("subscribe", "support", who, **MONTH)
    assert "gets one of its own" in shown["notes"][0]
    shop.by_token(shown["token"], "subscribe", "support", who, **MONTH)
    shop.do("cancel", "support", who)
    assert [one["cancel_at_period_end"] for one in shop.of(who, "subscriptions")] == [True]


@pytest.mark.wide
def test_an_end_with_the_period_and_its_undoing(shop: Till, who: str) -> None:
    shop.do("subscribe", "pro", who, **MONTH)
    shown = shop.preview("cancel", "pro", who)
    untils = {one["feature"]: (one["before"]["until"], one["after"]["until"]) for one in shown["entitlements"]}
    assert untils["sso"][0] is None
    assert untils["sso"][1] is not None
    assert (shown["invoice"], shown["due_now"]) == (None, None)
    done = shop.by_token(shown["token"], "cancel", "pro", who)
    assert (done["state"], done["status"], done["ends_at"] is not None) == ("done", "active", True)
    assert shop.features(who) == {"seats", "sso"}
    assert shop.do("cancel", "pro", who)["state"] == "nothing"
    switched = shop.preview("change", "basic", who, proration_behavior="none")
    assert "is to end on" in switched["notes"][0]
    kept = shop.do("cancel", "pro", who, undo=True)
    assert (kept["state"], kept["ends_at"]) == ("done", None)
    assert shop.of(who, "subscriptions")[0]["cancel_at_period_end"] is False
    assert shop.do("cancel", "pro", who, undo=True)["state"] == "nothing"


@pytest.mark.wide
def test_an_end_now_credits_what_is_left(shop: Till, who: str) -> None:
    shop.do("subscribe", "pro", who, **MONTH)
    shop.do("subscribe", "support", who, proration_behavior="none")
    shop.half_way(who)
    said: dict[str, Any] = {"now": True, "prorate": True, "invoice_now": True}
    shown = shop.preview("cancel", "pro", who, **said)
    assert shown["notes"] == ["The whole subscription ends, with support."]
    assert shown["invoice"]["total"] < 0
    assert changed(shown) == {"seats": (10, False), "sso": (True, False), "helpline": (True, False)}
    done = shop.by_token(shown["token"], "cancel", "pro", who, **said)
    assert (done["state"], done["status"], shop.features(who)) == ("done", "canceled", set())
    assert done["billed"]["total"] == shown["invoice"]["total"]
    with pytest.raises(SaleRefused, match=r"has no running subscription with pro"):
        shop.do("cancel", "pro", who)


@pytest.mark.wide
def test_which_customer_and_which_subscription(shop: Till, who: str) -> None:
    other = shop.customer(who)
    with pytest.raises(SaleInvalid, match=r"has several customers: say which with --customer"):
        shop.do("subscribe", "pro", who, **MONTH)
    with pytest.raises(SaleInvalid, match=r"cus_no is no customer of"):
        shop.do("subscribe", "pro", who, **MONTH, customer="cus_no")
    done = shop.do("subscribe", "pro", who, **MONTH, customer=other)
    assert done["customer"] == other
    first = next(one["id"] for one in shop.of(who, "customers") if one["id"] != other)
    extra = shop.v1.subscriptions.create({"customer": first, "items": [{"price": shop.prices["basic month"]}]})
    with pytest.raises(SaleInvalid, match=r"Several subscriptions give a base package: say which with --subscription"):
        shop.do("change", "pro", who, proration_behavior="none")
    with pytest.raises(SaleInvalid, match=r"sub_no is no running subscription"):
        shop.do("change", "pro", who, subscription="sub_no", proration_behavior="none")
    shop.do("change", "pro", who, subscription=extra.id, proration_behavior="none")
    assert sorted(shop.sold(who)) == [("active", [("pro month", 1)]), ("active", [("pro month", 1)])]
    with pytest.raises(SaleInvalid, match=r"Several subscriptions give pro"):
        shop.do("cancel", "pro", who)


@pytest.mark.wide
def test_what_was_bought_elsewhere_a_second_ago_counts(shop: Till, who: str) -> None:
    customer = shop.of(who, "customers")[0]["id"]
    shop.v1.subscriptions.create({"customer": customer, "items": [{"price": shop.prices["basic month"]}]})
    with pytest.raises(SaleRefused, match=r"has the base package basic already"):
        shop.do("subscribe", "pro", who, **MONTH)


@pytest.mark.wide
def test_what_a_deleted_customer_had_is_over_and_another_one_buys(shop: Till) -> None:
    shop.contact("deleted")
    first = shop.customer("deleted")
    assert shop.do("subscribe", "basic", "deleted", interval="month")["state"] == "done"
    shop.v1.customers.delete(first)
    with pytest.raises(SaleRefused, match="no running subscription"):
        shop.do("cancel", "basic", "deleted")
    again = shop.do("subscribe", "basic", "deleted", interval="month", trial_days=3)
    assert (again["state"], again["customer"] != first) == ("done", True)
    assert [one["id"] for one in shop.of("deleted", "customers")] == [again["customer"]]


def test_a_token_is_refused_when_the_facts_changed(shop: Till, who: str) -> None:
    shown = shop.preview("subscribe", "pro", who, **MONTH)
    with pytest.raises(SalePreviewNeeded, match=r"changes what account:"):
        sell.carry_out(shop.doors, shop.account, who, Wish("subscribe", "pro", **MONTH), "cli:ada")
    with pytest.raises(PreviewStale):
        shop.by_token(shown["token"], "subscribe", "pro", who, **MONTH, quantity=2)
    customer = shop.of(who, "customers")[0]["id"]
    shop.v1.customers.update(customer, {"balance": -700})
    with pytest.raises(PreviewStale, match=r"what it would do or cost now differs"):
        shop.by_token(shown["token"], "subscribe", "pro", who, **MONTH)
    again = shop.preview("subscribe", "pro", who, **MONTH)
    assert (again["invoice"]["total"], again["due_now"]["amount"]) == (5000, 4300)
    assert shop.by_token(again["token"], "subscribe", "pro", who, **MONTH)["state"] == "done"


@pytest.mark.wide
def test_a_card_that_is_declined_buys_nothing(shop: Till, who: str) -> None:
    customer = shop.of(who, "customers")[0]["id"]
    shop.card(customer, "pm_card_chargeCustomerFail")
    with pytest.raises(
        PaymentRefused, match=r"Nothing was bought: the payment failed .* Let the customer give another"
    ):
        shop.do("subscribe", "pro", who, **MONTH)
    assert (shop.sold(who), shop.features(who)) == ([], set())
    assert shop.requests(who) == [("create", "subscriptions", "refused")]
    with shop.hub.engine.connect() as db:
        key = directory.find(db, False, who).key
        last = runs.last(db, f"contact:{key}", KIND)
    assert last is not None
    assert (last["state"], last["summary"]["failed"]) == ("incomplete", 1)
    shop.card(customer)
    assert shop.do("subscribe", "basic", who, **MONTH)["state"] == "done"
    shop.card(customer, "pm_card_chargeCustomerFail")
    with pytest.raises(PaymentRefused, match=r"Nothing was changed: the payment failed"):
        shop.do("change", "pro", who, proration_behavior="always_invoice")
    assert shop.sold(who) == [("active", [("basic month", 1)])]


@pytest.mark.wide
def test_an_incomplete_subscription_is_no_success(shop: Till, who: str) -> None:
    customer = shop.of(who, "customers")[0]["id"]
    shop.card(customer, "pm_card_chargeCustomerFail")
    done = shop.do("subscribe", "pro", who, **MONTH, payment_behavior="allow_incomplete")
    assert (done["state"], done["status"], shop.features(who)) == ("incomplete", "incomplete", set())
    assert "gives nothing until its first invoice is paid (in_" in done["remedy"]
    with pytest.raises(SaleRefused, match=r"waits for its first payment. .* --now"):
        shop.do("subscribe", "pro", who, **MONTH)
    with pytest.raises(SaleRefused, match=r"it is ended with --now"):
        shop.do("cancel", "pro", who)
    assert shop.do("cancel", "pro", who, now=True)["state"] == "done"
    assert shop.sold(who) == []


@pytest.mark.wide
def test_a_change_that_is_not_paid_says_so(shop: Till, who: str) -> None:
    shop.do("subscribe", "basic", who, **MONTH)
    shop.card(shop.of(who, "customers")[0]["id"], "pm_card_chargeCustomerFail")
    said = {"proration_behavior": "always_invoice", "payment_behavior": "allow_incomplete"}
    done = shop.do("change", "pro", who, **said)
    assert (done["state"], done["status"]) == ("unpaid", "past_due")
    assert "an invoice is not paid (in_" in done["remedy"]


@pytest.mark.wide
def test_who_cannot_pay_is_told_how(shop: Till) -> None:
    shop.contact("poor")
    shop.customer("poor", card=None)
    with pytest.raises(PaymentRefused, match=r"the customer has no way to pay. .* --collection-method send_invoice"):
        shop.do("subscribe", "pro", "poor", **MONTH)
    assert shop.do("subscribe", "pro", "poor", **MONTH, **SENT)["state"] == "done"


@pytest.mark.wide
def test_nothing_is_sent_while_outbound_is_paused(shop: Till, who: str) -> None:
    with shop.hub.engine.begin() as db:
        pausing.pause(db, "cli:ada")
    try:
        assert shop.preview("subscribe", "pro", who, **MONTH)["state"] == "preview"
        with pytest.raises(OutboundPaused):
            shop.do("subscribe", "pro", who, **MONTH)
    finally:
        with shop.hub.engine.begin() as db:
            pausing.resume(db)
    assert (shop.requests(who), shop.sold(who)) == ([], [])


@pytest.mark.wide
def test_one_process_at_a_time_changes_a_contact(shop: Till, who: str) -> None:
    with shop.hub.engine.connect() as db:
        key = directory.find(db, False, who).key
    with runs.exclusive(shop.hub.engine, f"contact:{key}", KIND) as held:
        assert held
        with pytest.raises(SaleRunning, match=r"Another process is changing the subscriptions of account:"):
            shop.do("subscribe", "pro", who, **MONTH)


@pytest.mark.wide
def test_without_a_key_that_may_write_it_is_only_looked_at(shop: Till, who: str) -> None:
    def none(_account: Any) -> Any:
        raise WriteKeyMissing(connection="acme")

    doors = sell.Doors(shop.hub.engine, shop.hub.stripe, none)
    wish = Wish("subscribe", "pro", **MONTH)
    shown = sell.preview(doors, shop.account, who, wish)
    assert (shown["due_now"]["amount"], shown["notes"]) == (5000, [sell.NO_WRITE_KEY])
    with pytest.raises(WriteKeyMissing):
        sell.carry_out(doors, shop.account, who, wish, "cli:ada", shown["token"])
    assert shop.requests(who) == []


@pytest.mark.wide
def test_a_key_that_lacks_a_permission_says_which(shop: Till, who: str) -> None:
    narrow = Key("rk_test_51narrow", {"customers": "write", "subscriptions": "read"})
    shop.sandbox.call(lambda: shop.sandbox.server and shop.sandbox.server.keys.add(narrow))
    doors = sell.Doors(shop.hub.engine, shop.hub.stripe, lambda _a: stripe(narrow.secret, shop.sandbox.url))
    with pytest.raises(WritePermissionMissing, match=r"The write key of acme may not do POST /v1/subscriptions"):
        sell.carry_out(doors, shop.account, who, Wish("subscribe", "pro", **MONTH), "cli:ada", anyway=True)
    assert [state for _, _, state in shop.requests(who)] in (["refused"], ["unsent"])
    assert shop.do("subscribe", "pro", who, **MONTH)["state"] == "done"


@pytest.mark.wide
def test_a_subscription_with_a_schedule_is_left_to_it(shop: Till, who: str) -> None:
    shop.do("subscribe", "basic", who, **MONTH)
    body = shop.live.full("subscriptions", shop.of(who, "subscriptions")[0]["id"])
    shop.live.put(body | {"schedule": "sub_sched_1"}, "customer.subscription.updated")
    for action in ("change", "cancel"):
        with pytest.raises(SaleRefused, match=r"follows the schedule sub_sched_1"):
            shop.do(
                action, "basic", who, **({"quantity": 2, "proration_behavior": "none"} if action == "change" else {})
            )


@pytest.mark.wide
def test_what_stripe_refuses_is_told_as_stripe_says_it(shop: Till, who: str) -> None:
    with pytest.raises(StripeRefused, match=r"No such coupon"):
        shop.preview("subscribe", "pro", who, **MONTH, coupon="no-such-coupon")


@pytest.mark.wide
def test_the_journal_shows_it_without_personal_data(shop: Till) -> None:
    shop.contact("secretive", name="Sally Secret", email="sally@secret.example")
    done = shop.do("subscribe", "basic", "secretive", **MONTH, **SENT)
    with shop.hub.engine.connect() as db:
        shown = history.listing(db, Which(done["run"]), 10, answers=True)
        kept = history.one(db, shown[0]["id"])
    assert [(one["operation"], one["state"], one["key"]) for one in shown] == [
        ("create", "done", "basic"), ("create", "done", "basic"),
    ]  # fmt: skip
    assert kept is not None
    assert (kept["params"]["name"], kept["params"]["email"]) == ("[redacted]", "[redacted]")
    assert "Sally" not in str(shown)


class Died(BaseException):
    """What ends a process here, as a kill does: nothing of it is handled."""


def dies_meaning(shop: Till, who: str, wish: Wish, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sale whose process dies when its intent is written down, before anything is sent."""

    def die(*_args: Any, **_said: Any) -> Any:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(sell_sending.Sender, "_carried_out", die)
        with pytest.raises(Died):
            sell.carry_out(shop.doors, shop.account, who, wish, "cli:ada", anyway=True)


def dies_answered(shop: Till, who: str, wish: Wish, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sale whose process dies when Stripe has done it, before that is written down."""

    def die(*_args: Any, **_said: Any) -> Any:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(sell_sending.Sender, "_keep", die)
        with pytest.raises(Died):
            sell.carry_out(shop.doors, shop.account, who, wish, "cli:ada", anyway=True)


def older(shop: Till, seconds: int) -> None:
    """Has every open request be older."""
    shop.live.run(
        "update tidegate.requests set intended_at = intended_at - make_interval(secs => :s) "
        "where state in ('intended', 'unknown')",
        s=seconds,
    )


@pytest.mark.wide
@pytest.mark.parametrize("seconds", [0, 3600, 2 * 86_400], ids=["at once", "within a day", "with its key forgotten"])
@pytest.mark.wide
def test_what_was_done_without_an_answer_is_found(
    shop: Till, who: str, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    dies_answered(shop, who, Wish("subscribe", "pro", **MONTH), monkeypatch)
    assert [state for _, _, state in shop.requests(who)] == ["intended"]
    older(shop, seconds)
    if seconds > 86_400:
        shop.sandbox.advance(seconds)
    done = shop.do("subscribe", "pro", who, **MONTH)
    assert (done["state"], done["status"], done["notes"][0][:18]) == ("done", "active", "An earlier command")
    assert (shop.sold(who), shop.features(who)) == ([("active", [("pro month", 1)])], {"seats", "sso"})
    assert [state for _, _, state in shop.requests(who)] == ["done"]


@pytest.mark.wide
def test_a_customer_made_without_an_answer_is_found(shop: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.contact("lost")
    wish = Wish("subscribe", "pro", **MONTH, **SENT)
    dies_answered(shop, "lost", wish, monkeypatch)
    older(shop, 2 * 86_400)
    shop.sandbox.advance(2 * 86_400)
    done = shop.do("subscribe", "basic", "lost", **MONTH, **SENT)
    assert (done["state"], shop.sold("lost")) == ("done", [("active", [("basic month", 1)])])
    assert [one["id"] for one in shop.of("lost", "customers")] == [done["customer"]]


@pytest.mark.wide
def test_another_command_carries_no_earlier_one_out(shop: Till, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dies_meaning(shop, who, Wish("subscribe", "pro", **MONTH), monkeypatch)
    with pytest.raises(SaleUnsettled, match=r"Give the same command again to settle it"):
        shop.do("subscribe", "basic", who, **MONTH)
    assert shop.sold(who) == []
    older(shop, 3600)
    done = shop.do("subscribe", "basic", who, **MONTH)
    assert (done["state"], shop.sold(who)) == ("done", [("active", [("basic month", 1)])])
    assert [state for _, _, state in shop.requests(who)] == ["refused", "done"]


@pytest.mark.wide
def test_the_same_command_carries_the_earlier_one_out(shop: Till, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dies_meaning(shop, who, Wish("subscribe", "pro", **MONTH), monkeypatch)
    older(shop, 3600)
    done = shop.do("subscribe", "pro", who, **MONTH)
    assert (done["state"], shop.sold(who)) == ("done", [("active", [("pro month", 1)])])
    assert [state for _, _, state in shop.requests(who)] == ["done"]


@pytest.mark.wide
@pytest.mark.parametrize("seconds", [0, 2 * 86_400], ids=["at once", "with its key forgotten"])
@pytest.mark.wide
@pytest.mark.parametrize("action", ["change", "end", "cancel"])
@pytest.mark.wide
def test_a_change_or_an_end_without_an_answer_is_found(
    shop: Till, who: str, monkeypatch: pytest.MonkeyPatch, action: str, seconds: int
) -> None:
    shop.do("subscribe", "basic", who, **MONTH)
    wish = {
        "change": Wish("change", "pro", proration_behavior="none"),
        "end": Wish("cancel", "basic"),
        "cancel": Wish("cancel", "basic", now=True),
    }[action]
    dies_answered(shop, who, wish, monkeypatch)
    older(shop, seconds)
    if seconds:
        shop.sandbox.advance(seconds)
    done = shop.do(contact=who, **asdict(wish))
    assert done["state"] == "done"
    assert [state for _, _, state in shop.requests(who)] == ["done", "done"]
    assert shop.features(who) == {"change": {"seats", "sso"}, "end": {"seats"}, "cancel": set()}[action]


@pytest.mark.wide
def test_what_was_sent_of_a_contact_is_forgotten_with_it(shop: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.contact("gone", name="Sally Gone")
    dies_meaning(shop, "gone", Wish("subscribe", "pro", **MONTH, **SENT), monkeypatch)
    contacts_forget.forget(shop.hub.engine, False, "gone", "cli:ada", only_preview=False)
    with shop.hub.engine.connect() as db:
        [row] = db.execute(text("select params, wanted, state from tidegate.requests where forgotten_at is not null"))
    assert (row.params, row.wanted, row.state) == ({}, {}, "refused")
