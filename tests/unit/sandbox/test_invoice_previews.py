"""A preview is the invoice that is then made: the same lines, discounts, taxes and totals, and nothing stays of it."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.writing import Account, refused

DAY = 86_400
TOTALS = ("currency", "subtotal", "total", "amount_due", "starting_balance", "total_excluding_tax", "customer")
BEHAVIORS = ("create_prorations", "always_invoice", "none")


def now(own: Account) -> int:
    return own.sandbox.call(lambda: own.sandbox.world.clock.now)


def on(own: Account, subscription: Any, part: float = 0.5) -> None:
    """Moves the clock on within the subscription's period."""
    item = subscription["items"].data[0]
    span = item.current_period_end - item.current_period_start
    own.sandbox.advance(int(item.current_period_start + span * part) - now(own))


def said(invoice: Any) -> dict[str, Any]:
    """What an invoice says that a preview can know: no ids of its own, nor those of what it made."""
    found = {name: invoice[name] for name in TOTALS}
    found["taxes"] = sum(one.amount for one in invoice.total_taxes or [])
    found["discounts"] = sum(one.amount for one in invoice.total_discount_amounts or [])
    found["lines"] = sorted(
        (line.amount, line.description, line.quantity, line.period.start, line.period.end, line.subtotal)
        for line in invoice.lines.data
    )
    return found


def held(own: Account) -> dict[str, int]:
    """How many objects, events among them, there are of each kind."""
    return own.sandbox.call(lambda: {one: len(own.sandbox.state[one]) for one in own.sandbox.state.collections})


def preview(own: Account, **params: Any) -> Any:
    before = held(own)
    shown = own.checked(own.v1.invoices.create_preview(params))
    assert held(own) == before
    assert (shown.status, shown.id[:12]) == ("draft", "upcoming_in_")
    return shown


def latest(own: Account, subscription: Any) -> Any:
    return own.v1.invoices.retrieve(own.v1.subscriptions.retrieve(subscription.id).latest_invoice)


def renewal(own: Account, subscription: Any) -> Any:
    """The invoice of the next renewal, finalized."""
    item = own.v1.subscriptions.retrieve(subscription.id)["items"].data[0]
    own.sandbox.advance(item.current_period_end + 3601 - now(own))
    return latest(own, subscription)


def coupon(own: Account, **params: Any) -> str:
    return own.v1.coupons.create({"duration": "forever", **params}).id


def test_a_new_subscription(own: Account) -> None:
    customer, plan, seats = own.customer(balance=-300), own.price(1000), own.price(200)
    own.subscription(own.customer(), plan)
    items = [{"price": plan.id}, {"price": seats.id, "quantity": 3}]
    given = {"discounts": [{"coupon": coupon(own, percent_off=25)}]}
    shown = preview(own, customer=customer.id, subscription_details={"items": items}, **given)
    made = own.v1.subscriptions.create({"customer": customer.id, "items": items, **given})
    assert said(shown) == said(latest(own, made))
    assert (shown.total, shown.amount_due) == (1200, 900)


def test_a_new_subscription_of_nobody_yet(own: Account) -> None:
    price = own.price(1000)
    shown = preview(own, subscription_details={"items": [{"price": price.id, "quantity": 2}]})
    assert (shown.total, shown.lines.data[0].quantity) == (2000, 2)


def test_a_trial_costs_nothing_now_and_its_price_later(own: Account) -> None:
    customer, price = own.customer(), own.price(1000)
    details = {"items": [{"price": price.id}], "trial_end": now(own) + 14 * DAY}
    shown = preview(own, customer=customer.id, subscription_details=details)
    later = preview(own, customer=customer.id, subscription_details=details, preview_mode="recurring")
    made = own.v1.subscriptions.create({"customer": customer.id, **details})
    assert said(shown) == said(latest(own, made))
    assert (shown.total, later.total) == (0, 1000)


CHANGES: dict[str, Callable[[Account, Any, Any, Any], dict[str, Any]]] = {
    "dearer": lambda own, item, plan, other: {"items": [{"id": item, "price": other.id, "quantity": 1}]},
    "more": lambda own, item, plan, other: {"items": [{"id": item, "price": plan.id, "quantity": 7}]},
    "one item more": lambda own, item, plan, other: {"items": [{"price": other.id, "quantity": 2}]},
    "another interval": lambda own, item, plan, other: {
        "items": [{"id": item, "quantity": 2, "price": own.price(9000, {"interval": "year"}).id}]
    },
}


@pytest.mark.parametrize("behavior", BEHAVIORS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change(own: Account, change: str, behavior: str) -> None:
    customer, plan, other = own.customer(), own.price(1000), own.price(2500)
    off = [{"coupon": coupon(own, percent_off=10)}]
    made = own.v1.subscriptions.create(
        {"customer": customer.id, "items": [{"price": plan.id, "quantity": 2}], "discounts": off}
    )
    on(own, made)
    wanted = CHANGES[change](own, made["items"].data[0].id, plan, other)
    shown = preview(own, subscription=made.id, subscription_details=wanted | {"proration_behavior": behavior})
    recurring = preview(
        own,
        subscription=made.id,
        subscription_details=wanted | {"proration_behavior": behavior},
        preview_mode="recurring",
    )
    own.v1.subscriptions.update(made.id, wanted | {"proration_behavior": behavior})
    at_once = behavior == "always_invoice" or change == "another interval"
    assert said(shown) == said(latest(own, made) if at_once else renewal(own, made))
    prorated = behavior != "none"
    assert ("subscription_proration_date" in shown.parent.subscription_details) is prorated
    assert recurring.total == {"dearer": 2250, "more": 6300, "one item more": 6300, "another interval": 16200}[change]


def test_an_item_taken_away(own: Account) -> None:
    customer, plan, more = own.customer(), own.price(1000), own.price(300)
    made = own.subscription(customer, plan, more)
    on(own, made)
    details = {"items": [{"id": made["items"].data[1].id, "deleted": True}], "proration_behavior": "always_invoice"}
    shown = preview(own, subscription=made.id, subscription_details=details)
    own.v1.subscriptions.update(made.id, details)
    assert said(shown) == said(latest(own, made))
    assert (shown.total, shown.amount_due) == (-150, 0)


def test_a_proration_is_as_of_the_date_that_is_named(own: Account) -> None:
    customer, plan, other = own.customer(), own.price(1000), own.price(2000)
    made = own.subscription(customer, plan)
    on(own, made)
    details = {
        "items": [{"id": made["items"].data[0].id, "price": other.id, "quantity": 1}],
        "proration_behavior": "always_invoice",
    }
    shown = preview(own, subscription=made.id, subscription_details=details)
    at = shown.parent.subscription_details.subscription_proration_date
    on(own, made, 0.75)
    later = preview(own, subscription=made.id, subscription_details=details)
    again = preview(own, subscription=made.id, subscription_details=details | {"proration_date": at})
    assert (shown.total, later.total, again.total) == (500, 250, 500)
    own.v1.subscriptions.update(made.id, details | {"proration_date": at})
    assert said(again) == said(latest(own, made))
    error = refused(own.v1.subscriptions.update, made.id, details | {"proration_date": at - 90 * DAY})
    assert (error.http_status, error.param) == (400, "proration_date")


@pytest.mark.parametrize("prorate", [True, False])
def test_an_end_now(own: Account, prorate: bool) -> None:
    customer, plan, other = own.customer(), own.price(1000), own.price(2000)
    made = own.subscription(customer, plan)
    on(own, made, 0.25)
    own.v1.subscriptions.update(made.id, {"items": [{"price": other.id}], "proration_behavior": "create_prorations"})
    on(own, made)
    details = {"cancel_now": True, "proration_behavior": "create_prorations" if prorate else "none"}
    shown = preview(own, subscription=made.id, subscription_details=details)
    own.v1.subscriptions.cancel(made.id, {"invoice_now": True, "prorate": prorate})
    assert said(shown) == said(latest(own, made))
    assert shown.total == (0 if prorate else 1500)


def test_an_end_with_the_period_leaves_nothing_to_bill(own: Account) -> None:
    made = own.subscription(own.customer(), own.price(1000))
    params = {"subscription": made.id, "subscription_details": {"cancel_at_period_end": True}}
    error = refused(own.v1.invoices.create_preview, params)
    assert (error.http_status, error.code) == (404, "invoice_upcoming_none")
    assert own.v1.subscriptions.retrieve(made.id).cancel_at_period_end is False
    assert preview(own, subscription=made.id).total == 1000


def test_the_next_invoice_of_a_customer(own: Account) -> None:
    customer = own.customer()
    assert refused(own.v1.invoices.create_preview, {"customer": customer.id}).code == "invoice_upcoming_none"
    own.subscription(customer, own.price(1000))
    on(own, own.subscription(customer, own.price(700)), 0.1)
    first = preview(own, customer=customer.id)
    assert first.total in (700, 1000)
    assert refused(own.v1.invoices.create_preview, {}).param == "customer"


def test_what_stripe_refuses_the_preview_refuses(own: Account) -> None:
    made = own.subscription(own.customer(), own.price(1000))
    euro = own.price(900, currency="eur")
    details = {"items": [{"price": euro.id}], "proration_behavior": "none"}
    error = refused(own.v1.invoices.create_preview, {"subscription": made.id, "subscription_details": details})
    assert error.http_status == 400
    unknown = own.post("/v1/invoices/create_preview", {"subscription_details[colour]": "red"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "parameter_unknown")


def test_an_update_is_refused_whole_when_its_payment_fails(own: Account) -> None:
    customer, plan, other = own.customer(), own.price(1000), own.price(2500)
    made = own.subscription(customer, plan)
    on(own, made)
    card = own.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer.id})
    own.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": card.id}})
    wanted = {
        "items": [{"id": made["items"].data[0].id, "price": other.id, "quantity": 1}],
        "proration_behavior": "always_invoice",
        "payment_behavior": "error_if_incomplete",
    }
    own.skip()
    error = refused(own.v1.subscriptions.update, made.id, wanted)
    assert (error.http_status, error.code, own.happened()) == (402, "card_declined", [])
    assert own.v1.subscriptions.retrieve(made.id)["items"].data[0].price.id == plan.id
    own.v1.payment_methods.detach(card.id)
    assert refused(own.v1.subscriptions.update, made.id, wanted).code == "resource_missing"
    later = own.v1.subscriptions.update(made.id, wanted | {"proration_behavior": "create_prorations"})
    assert (later.status, later["items"].data[0].price.id) == ("active", other.id)
