"""What starting, changing and ending a subscription takes: price, request and preview, or why it is refused."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tidegate.errors import SaleInvalid, SaleRefused
from tidegate.outbound.selling import expected
from tidegate.outbound.selling.facts import Customer, Facts, Item, Price, Subscription
from tidegate.outbound.selling.steps import step
from tidegate.outbound.selling.wish import Wish, check

NOW = datetime(2026, 9, 1, tzinfo=UTC)


def price(id_: str, amount: int, interval: str | None = "month", currency: str = "usd", **said: Any) -> Price:
    return Price(id_, "prod_1", said.pop("active", True), currency, amount, interval, 1, **said)


MONTH, YEAR = price("price_m", 5000), price("price_y", 50_000, "year")
EURO = price("price_e", 4500, currency="eur")
EXTRA = price("price_x", 2000)
USED = price("price_u", 0, metered=True)
BASIC = Item("si_1", price("price_b", 1000), 2, "basic", "base")
RUNS = Subscription("sub_1", "cus_1", "active", "usd", (BASIC,))
ADA, BO = Customer("cus_1", "Ada", currency="usd"), Customer("cus_2", "Bo")


def facts(*prices: Price, package: str = "pro", kind: str = "base", **said: Any) -> Facts:
    given: dict[str, Any] = {"customers": (ADA,), "making": {"name": "Ada"}} | said
    return Facts("account:acme", package, kind, prices or (MONTH,), **given)


@pytest.mark.parametrize(
    ("wish", "problem"),
    [
        (Wish("subscribe", "pro", now=True), "--now is nothing that `tidegate subscribe` takes"),
        (Wish("change", "pro", trial_days=3), "--trial-days is nothing that `tidegate change` takes"),
        (Wish("cancel", "pro", quantity=3), "--quantity is nothing that `tidegate cancel` takes"),
        (Wish("subscribe", "pro", quantity=0), "--quantity is 0; it is 1 or more"),
        (Wish("subscribe", "pro", trial_days=731), "a trial has 1 to 730 days"),
        (Wish("subscribe", "pro", collection_method="send_invoice"), "--days-until-due N go together"),
        (Wish("subscribe", "pro", days_until_due=3), "--days-until-due N go together"),
        (Wish("subscribe", "pro", coupon="a", promotion_code="b"), "--coupon or --promotion-code, not both"),
        (Wish("cancel", "pro", prorate=True), "--prorate and --invoice-now go with --now"),
        (Wish("cancel", "pro", now=True, undo=True), "does not go with --now"),
        (Wish("subscribe", "pro", interval="fortnight"), "use day, week, month or year"),  # pyright: ignore[reportArgumentType]
        (Wish("change", "pro", payment_behavior="default_incomplete"), "is for new subscriptions"),
    ],
)
def test_a_wish_that_contradicts_itself_is_refused(wish: Wish, problem: str) -> None:
    with pytest.raises(SaleInvalid) as error:
        check(wish)
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("prices", "said", "chosen"),
    [
        ((MONTH,), {}, "price_m"),
        ((MONTH, YEAR), {"interval": "year"}, "price_y"),
        ((MONTH, YEAR, EURO), {"interval": "month", "currency": "EUR"}, "price_e"),
        ((MONTH, EURO), {}, "price_m"),  # the customer is held to dollars
        ((MONTH, YEAR), {"price": "price_y"}, "price_y"),
        ((MONTH, price("price_o", 1, active=False)), {}, "price_m"),
        ((MONTH, price("price_1", 1, None)), {}, "price_m"),
    ],
)
def test_the_price_that_is_meant(prices: tuple[Price, ...], said: dict[str, Any], chosen: str) -> None:
    made = step(facts(*prices), Wish("subscribe", "pro", **said))
    assert made.params["items"] == [{"price": chosen, "quantity": 1}]


@pytest.mark.parametrize(
    ("prices", "said", "problem"),
    [
        ((MONTH, YEAR), {}, "price_m (50.00 USD a month), price_y (500.00 USD a year)"),
        (
            (MONTH,),
            {"interval": "year", "currency": "eur"},
            "has --interval year and --currency eur. There are price_m",
        ),
        ((MONTH,), {"price": "price_9"}, "price_9 is not mapped to pro"),
        ((price("price_o", 1, active=False),), {"price": "price_o"}, "is archived"),
        ((price("price_1", 1, None),), {"price": "price_1"}, "is a one-time price"),
        ((USED,), {"quantity": 2}, "is charged by usage: it has no --quantity"),
        ((price("price_o", 1, active=False),), {}, "tidegate mappings set"),
    ],
)
def test_a_price_that_is_not_clear_is_refused(prices: tuple[Price, ...], said: dict[str, Any], problem: str) -> None:
    with pytest.raises(SaleInvalid) as error:
        step(facts(*prices), Wish("subscribe", "pro", **said))
    assert problem in str(error.value)


def test_a_new_subscription_and_what_stripe_is_asked_to_preview() -> None:
    made = step(facts(promotion_code="promo_1"), Wish("subscribe", "pro", quantity=3, promotion_code="HALF"))
    off = [{"promotion_code": "promo_1"}]
    assert (made.operation, made.method, made.path, made.customer) == ("create", "post", "/v1/subscriptions", "cus_1")
    assert made.params == {
        "customer": "cus_1", "items": [{"price": "price_m", "quantity": 3}], "discounts": off,
        "payment_behavior": "error_if_incomplete", "metadata": {"tidegate_package": "pro"},
    }  # fmt: skip
    items = {"subscription_details": {"items": made.params["items"]}}
    assert made.preview == items | {"discounts": off, "customer": "cus_1"}
    nobody = step(facts(customers=()), Wish("subscribe", "pro"))
    assert (nobody.customer, nobody.making, "customer" in (nobody.preview or {})) == (None, {"name": "Ada"}, False)
    assert "one is made and linked" in nobody.notes[0]


def test_a_metered_price_has_no_quantity() -> None:
    assert step(facts(USED), Wish("subscribe", "pro")).params["items"] == [{"price": "price_u"}]


def test_a_change_switches_the_base_item_alone() -> None:
    runs = replace(RUNS, items=(BASIC, Item("si_2", EXTRA, 1, "support", "add_on")))
    made = step(facts(MONTH, YEAR, subscriptions=(runs,)), Wish("change", "pro", proration_behavior="none"))
    assert made.params["items"] == [{"id": "si_1", "price": "price_m", "quantity": 2}]
    assert [(one.id, one.price.id, one.package) for one in made.items] == [
        ("si_1", "price_m", "pro"), ("si_2", "price_x", "support"),
    ]  # fmt: skip
    assert (made.bills_now, made.prorated) == (False, False)


def test_what_has_no_seats_stays_so_when_its_price_changes() -> None:
    none = replace(RUNS, items=(replace(BASIC, quantity=0),))
    made = step(facts(subscriptions=(none,)), Wish("change", "pro", proration_behavior="none"))
    assert made.params["items"] == [{"id": "si_1", "price": "price_m", "quantity": 0}]


def test_a_change_to_what_is_charged_by_usage_takes_no_quantity() -> None:
    wish = Wish("change", "pro", quantity=5, proration_behavior="none")
    with pytest.raises(SaleInvalid, match="it has no --quantity"):
        step(facts(USED, subscriptions=(RUNS,)), wish)


def test_what_is_held_already_is_known_in_any_spelling_of_its_currency() -> None:
    held = replace(RUNS, items=(replace(BASIC, package="pro", price=MONTH, quantity=1),))
    assert step(facts(subscriptions=(held,)), Wish("subscribe", "pro", currency="USD")).operation == "nothing"


@pytest.mark.parametrize(
    ("said", "bills_now"),
    [
        ({"proration_behavior": "none"}, False),
        ({"proration_behavior": "always_invoice"}, True),
        ({"proration_behavior": "none", "interval": "year"}, True),
    ],
)
def test_when_a_change_is_billed(said: dict[str, Any], bills_now: bool) -> None:
    made = step(facts(MONTH, YEAR, subscriptions=(RUNS,)), Wish("change", "pro", **said))
    assert made.bills_now is bills_now


def test_an_add_on_has_the_terms_of_what_it_is_added_to() -> None:
    yearly = replace(RUNS, items=(replace(BASIC, price=YEAR),))
    of_add_on = facts(EXTRA, price("price_xy", 20_000, "year"), package="support", kind="add_on",
                      subscriptions=(yearly,))  # fmt: skip
    made = step(of_add_on, Wish("subscribe", "support", proration_behavior="none"))
    assert (made.path, made.params["items"]) == ("/v1/subscriptions/sub_1", [{"price": "price_xy", "quantity": 1}])


def test_the_last_item_ends_with_its_subscription() -> None:
    alone = replace(RUNS, items=(Item("si_2", EXTRA, 1, "support", "add_on"),))
    of_add_on = facts(EXTRA, package="support", kind="add_on", subscriptions=(alone,))
    assert step(of_add_on, Wish("cancel", "support")).params == {"cancel_at_period_end": True}
    both = replace(RUNS, items=(BASIC, *alone.items))
    made = step(replace(of_add_on, subscriptions=(both,)), Wish("cancel", "support", proration_behavior="none"))
    assert made.params["items"] == [{"id": "si_2", "deleted": True}]
    assert [one.id for one in made.items] == ["si_1"]


def test_an_end_at_a_time_is_taken_back_as_such() -> None:
    ends = replace(RUNS, ends_at=NOW)
    basic = facts(package="basic", subscriptions=(ends,))
    assert step(basic, Wish("cancel", "basic", undo=True)).params == {"cancel_at": ""}
    assert step(basic, Wish("cancel", "basic")).operation == "nothing"


@pytest.mark.parametrize(
    ("known", "wish", "problem"),
    [
        ({"subscriptions": (RUNS,)}, Wish("subscribe", "pro"), "`tidegate change account:acme pro`"),
        ({}, Wish("change", "pro", proration_behavior="none"), "`tidegate subscribe account:acme pro`"),
        ({}, Wish("cancel", "pro"), "no running subscription with pro"),
        (
            {"subscriptions": (replace(RUNS, schedule="sub_sched_1"),)},
            Wish("change", "pro", proration_behavior="none"),
            "follows the schedule sub_sched_1",
        ),
        (
            {"subscriptions": (replace(RUNS, pending=True),)},
            Wish("change", "pro", proration_behavior="none"),
            "waits for its payment in Stripe",
        ),
        (
            {"subscriptions": (replace(RUNS, items=(BASIC, replace(BASIC, id="si_2"))),)},
            Wish("change", "pro", proration_behavior="none"),
            "Several items of one subscription give a base package",
        ),
    ],
)
def test_what_the_facts_stand_against_is_refused_with_the_remedy(known: Any, wish: Wish, problem: str) -> None:
    with pytest.raises(SaleRefused) as error:
        step(facts(**known), wish)
    assert problem in str(error.value)


def test_several_customers_are_told_apart() -> None:
    with pytest.raises(SaleInvalid, match=r"say which with --customer. cus_1 \(Ada\), cus_2 \(Bo\)"):
        step(facts(customers=(ADA, BO)), Wish("subscribe", "pro"))
    assert step(facts(customers=(ADA, BO)), Wish("subscribe", "pro", customer="cus_2")).customer == "cus_2"


def test_the_subscription_that_is_expected() -> None:
    body: dict[str, Any] = {
        "id": "sub_1",
        "status": "active",
        "items": {"data": [{"id": "si_1", "quantity": 2, "price": {"id": "price_b"}, "current_period_end": 99}]},
    }
    bodies = {"price_m": {"id": "price_m", "product": "prod_1"}}
    change = Wish("change", "pro", quantity=5, proration_behavior="none")
    made = step(facts(MONTH, subscriptions=(RUNS,)), change)
    [item] = expected.subscription(made, change, body, bodies, NOW)["items"]["data"]
    assert (item["id"], item["price"], item["quantity"], item["current_period_end"]) == (
        "si_1",
        bodies["price_m"],
        5,
        99,
    )
    end = Wish("cancel", "basic")
    basic = facts(package="basic", subscriptions=(RUNS,))
    assert expected.subscription(step(basic, end), end, body, {}, NOW)["cancel_at"] == 99
    now = replace(end, now=True)
    assert expected.subscription(step(basic, now), now, body, {}, NOW)["status"] == "canceled"
    trial = Wish("subscribe", "pro", trial_days=2)
    new = expected.subscription(step(facts(MONTH), trial), trial, None, bodies, NOW)
    assert (new["status"], new["trial_end"] - new["trial_start"], new["items"]["data"][0]["price"]["id"]) == (
        "trialing", 2 * 86_400, "price_m",
    )  # fmt: skip
