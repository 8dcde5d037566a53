from typing import Any

import pytest
from tests.support.writing import Account, refused

DAY = 86_400


def now(own: Account) -> int:
    return own.sandbox.call(lambda: own.sandbox.world.clock.now)


def half_way(own: Account, subscription: Any) -> None:
    """Moves the clock to the middle of the subscription's period."""
    item = subscription["items"].data[0]
    own.sandbox.advance((item.current_period_start + item.current_period_end) // 2 - now(own))


def test_a_subscription_starts_and_is_paid(own: Account) -> None:
    customer, plan, seats = own.customer(), own.price(1000), own.price(200)
    own.events()
    made = own.checked(
        own.v1.subscriptions.create(
            {
                "customer": customer.id,
                "items": [{"price": plan.id}, {"price": seats.id, "quantity": 5, "metadata": {"kind": "seats"}}],
                "metadata": {"source": "test"},
                "expand": ["latest_invoice", "customer"],
            }
        )
    )
    assert (made.status, made.latest_invoice.status, made.latest_invoice.amount_paid) == ("active", "paid", 2000)
    assert (made.customer.currency, made.metadata.source) == ("usd", "test")
    assert [(item.quantity, item.metadata.to_dict()) for item in made["items"].data] == [
        (1, {}),
        (5, {"kind": "seats"}),
    ]
    happened = own.happened()
    kinds = {"invoice.created", "customer.subscription.created", "charge.succeeded", "invoice.paid"}
    assert kinds <= set(happened)
    own.sandbox.advance(31 * DAY)
    assert own.v1.invoices.list({"subscription": made.id}).data[0].billing_reason == "subscription_cycle"


@pytest.mark.parametrize(
    ("behavior", "status"), [("allow_incomplete", "incomplete"), ("default_incomplete", "incomplete")]
)
def test_a_first_payment_that_fails_or_waits(own: Account, behavior: str, status: str) -> None:
    customer = own.customer("pm_card_chargeCustomerFail")
    made = own.subscription(customer, own.price(), payment_behavior=behavior, expand=["latest_invoice"])
    assert (made.status, made.latest_invoice.status) == (status, "open")
    assert made.latest_invoice.attempted is (behavior == "allow_incomplete")
    card = own.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    paid = own.v1.invoices.pay(made.latest_invoice.id, {"payment_method": card.id})
    assert own.checked(paid).status == "paid"
    assert own.v1.subscriptions.retrieve(made.id).status == "active"


def test_what_waits_for_its_payment_expires(own: Account) -> None:
    made = own.subscription(own.customer(None), own.price(), payment_behavior="default_incomplete")
    own.sandbox.advance(DAY)
    assert own.v1.subscriptions.retrieve(made.id).status == "incomplete_expired"


def test_error_if_incomplete_leaves_nothing(own: Account) -> None:
    customer, price = own.customer("pm_card_chargeCustomerFail"), own.price()
    own.events()
    params = {"customer": customer.id, "items": [{"price": price.id}], "payment_behavior": "error_if_incomplete"}
    error = refused(own.v1.subscriptions.create, params)
    assert (error.http_status, error.code) == (402, "card_declined")
    assert own.happened() == []
    assert own.v1.subscriptions.list({"customer": customer.id}).data == []


def test_without_a_card_there_is_no_subscription(own: Account) -> None:
    customer, price = own.customer(None), own.price()
    error = refused(own.v1.subscriptions.create, {"customer": customer.id, "items": [{"price": price.id}]})
    assert (error.http_status, error.code) == (400, "resource_missing")
    assert own.subscription(customer, price, trial_period_days=7).status == "trialing"


def test_a_trial_ends_when_told(own: Account) -> None:
    made = own.subscription(own.customer(), own.price(), trial_period_days=14)
    assert (made.status, made.trial_end) == ("trialing", now(own) + 14 * DAY)
    moved = own.checked(own.v1.subscriptions.update(made.id, {"trial_end": now(own) + 20 * DAY}))
    assert moved["items"].data[0].current_period_end == moved.trial_end == now(own) + 20 * DAY
    own.sandbox.advance(15 * DAY)
    assert own.v1.subscriptions.retrieve(made.id).status == "trialing"
    ended = own.checked(own.v1.subscriptions.update(made.id, {"trial_end": "now", "expand": ["latest_invoice"]}))
    assert (ended.status, ended.latest_invoice.status, ended.latest_invoice.total) == ("active", "paid", 1000)
    assert ended.trial_end == now(own)


def test_invoices_that_are_sent(own: Account) -> None:
    customer, price = own.customer(None), own.price()
    params = {"customer": customer.id, "items": [{"price": price.id}], "collection_method": "send_invoice"}
    assert refused(own.v1.subscriptions.create, params).param == "days_until_due"
    made = own.v1.subscriptions.create({**params, "days_until_due": 10, "expand": ["latest_invoice"]})
    assert (own.checked(made).status, made.latest_invoice.status) == ("active", "open")
    own.sandbox.advance(11 * DAY)
    assert own.v1.subscriptions.retrieve(made.id).status == "past_due"


def test_discounts_on_the_whole_and_on_an_item(own: Account) -> None:
    half, tenth = (own.v1.coupons.create({"percent_off": off, "duration": "forever"}) for off in (50, 10))
    customer, price = own.customer(), own.price(1000)
    made = own.v1.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": price.id, "discounts": [{"coupon": half.id}]}],
            "discounts": [{"coupon": tenth.id}],
            "expand": ["latest_invoice", "discounts"],
        }
    )
    assert own.checked(made).latest_invoice.total == 450
    assert [one.source.coupon for one in made.discounts] == [tenth.id]
    own.events()
    bare = own.checked(own.v1.subscriptions.update(made.id, {"discounts": ""}))
    assert bare.discounts == []
    assert sorted(own.happened()) == ["customer.discount.deleted", "customer.subscription.updated"]


def test_a_change_of_quantity_is_prorated(own: Account) -> None:
    customer, price = own.customer(), own.price(3000)
    made = own.subscription(customer, price)
    half_way(own, made)
    own.events()
    item = made["items"].data[0].id
    changed = own.checked(own.v1.subscriptions.update(made.id, {"items": [{"id": item, "quantity": 3}]}))
    assert changed["items"].data[0].quantity == 3
    events = own.events()
    assert [event["type"] for event in events].count("invoiceitem.created") == 2
    updated = next(event for event in events if event["type"] == "customer.subscription.updated")
    assert updated["data"]["previous_attributes"]["items"]["data"][0]["quantity"] == 1
    pending = own.v1.invoice_items.list({"customer": customer.id, "pending": True}).data
    assert sorted(one.amount for one in pending) == [-1500, 4500]


@pytest.mark.parametrize(("behavior", "pending", "billed"), [("none", 0, 3000), ("always_invoice", 0, 3000)])
def test_how_a_change_is_prorated(own: Account, behavior: str, pending: int, billed: int) -> None:
    customer, price, dearer = own.customer(), own.price(3000), own.price(9000)
    made = own.subscription(customer, price)
    half_way(own, made)
    change = {"id": made["items"].data[0].id, "price": dearer.id}
    changed = own.v1.subscriptions.update(
        made.id, {"items": [change], "proration_behavior": behavior, "expand": ["latest_invoice"]}
    )
    assert own.checked(changed)["items"].data[0].price.id == dearer.id
    assert changed.latest_invoice.total == billed
    assert (changed.latest_invoice.id == made.latest_invoice) is (behavior == "none")
    assert len(own.v1.invoice_items.list({"customer": customer.id, "pending": True}).data) == pending


def test_items_come_and_go(own: Account) -> None:
    made = own.subscription(own.customer(), own.price(3000))
    addon = own.price(600)
    half_way(own, made)
    item = own.checked(own.v1.subscription_items.create({"subscription": made.id, "price": addon.id, "quantity": 2}))
    assert (item.price.id, item.quantity) == (addon.id, 2)
    error = refused(own.v1.subscription_items.create, {"subscription": made.id, "price": addon.id})
    assert (error.http_status, error.param) == (400, "items")
    item = own.checked(own.v1.subscription_items.update(item.id, {"quantity": 4, "metadata": {"a": "b"}}))
    assert (item.quantity, item.metadata.to_dict()) == (4, {"a": "b"})
    own.events()
    assert own.v1.subscription_items.delete(item.id).deleted
    assert own.happened() == ["invoiceitem.created", "customer.subscription.updated"]
    assert len(own.v1.subscriptions.retrieve(made.id)["items"].data) == 1
    last = made["items"].data[0].id
    assert "at least one" in refused(own.v1.subscription_items.delete, last).user_message
    assert refused(own.v1.subscription_items.update, "si_no", {"quantity": 1}).http_status == 404


def test_an_inline_price(own: Account) -> None:
    product = own.v1.products.create({"name": "Custom"})
    data = {"currency": "usd", "product": product.id, "unit_amount": 700, "recurring": {"interval": "week"}}
    customer = own.customer()
    own.events()
    made = own.checked(own.v1.subscriptions.create({"customer": customer.id, "items": [{"price_data": data}]}))
    price = made["items"].data[0].price
    assert (price.unit_amount, price.active, price.recurring.interval) == (700, False, "week")
    assert own.happened()[0] == "price.created"


def test_an_end_is_scheduled_and_taken_back(own: Account) -> None:
    made = own.subscription(own.customer(), own.price())
    own.events()
    details = {"feedback": "too_expensive", "comment": "Sorry"}
    ending = own.checked(
        own.v1.subscriptions.update(made.id, {"cancel_at_period_end": True, "cancellation_details": details})
    )
    assert ending.cancel_at == made["items"].data[0].current_period_end
    assert (ending.cancellation_details.feedback, ending.cancellation_details.reason) == (
        "too_expensive",
        "cancellation_requested",
    )
    assert own.previous("customer.subscription.updated")["cancel_at_period_end"] is False
    again = own.checked(own.v1.subscriptions.update(made.id, {"cancel_at_period_end": False}))
    assert (again.cancel_at, again.canceled_at, again.cancellation_details.reason) == (None, None, None)


def test_collection_is_paused(own: Account) -> None:
    made = own.subscription(own.customer(), own.price())
    own.events()
    pause = {"behavior": "void", "resumes_at": now(own) + DAY}
    paused = own.checked(own.v1.subscriptions.update(made.id, {"pause_collection": pause}))
    assert paused.pause_collection.behavior == "void"
    assert own.previous("customer.subscription.updated") == {"pause_collection": None}
    own.sandbox.advance(2 * DAY)
    assert own.v1.subscriptions.retrieve(made.id).pause_collection is None


def test_a_subscription_is_canceled(own: Account) -> None:
    customer = own.customer()
    made = own.subscription(customer, own.price(3000))
    half_way(own, made)
    own.events()
    ended = own.checked(own.v1.subscriptions.cancel(made.id, {"prorate": True, "invoice_now": True}))
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "cancellation_requested")
    assert {"customer.subscription.deleted", "invoice.finalized"} <= set(own.happened())
    assert own.v1.customers.retrieve(customer.id).balance == -1500
    assert refused(own.v1.subscriptions.cancel, made.id).http_status == 404
    error = refused(own.v1.subscriptions.update, made.id, {"cancel_at_period_end": True})
    assert "canceled subscription can only update" in error.user_message
    second = own.subscription(customer, own.price())
    assert own.post(f"/v1/subscriptions/{second.id}/cancel", {}).json()["status"] == "canceled"


def test_subscriptions_that_are_refused(own: Account) -> None:
    customer, price, once = own.customer(), own.price(), own.price(100, None)
    yearly = own.price(recurring={"interval": "year"})
    for items, param in (
        ([{"price": "price_no"}], "items[0][price]"),
        ([{"price": once.id}], "items[0][price]"),
        ([{"quantity": 2}], "items[0][price]"),
        ([{"price": price.id}, {"price": price.id}], "items"),
        ([{"price": price.id}, {"price": yearly.id}], "items"),
    ):
        error = refused(own.v1.subscriptions.create, {"customer": customer.id, "items": items})
        assert (error.http_status, error.param) == (400, param)
    own.subscription(customer, price)
    euros = own.price(currency="eur")
    error = refused(own.v1.subscriptions.create, {"customer": customer.id, "items": [{"price": euros.id}]})
    assert "cannot combine currencies" in error.user_message
    error = refused(own.v1.subscriptions.create, {"customer": "cus_no", "items": [{"price": price.id}]})
    assert (error.http_status, error.code, error.param) == (400, "resource_missing", "customer")
    assert refused(own.v1.subscriptions.update, "sub_no", {"metadata": {"a": "b"}}).http_status == 404


def test_limits_of_one_subscription(own: Account) -> None:
    made = own.subscription(own.customer(), own.price())
    params = {"customer": made.customer, "subscription": made.id}
    for _ in range(9):
        own.v1.invoices.create(params)
    form = {"customer": made.customer, "subscription": made.id}
    limited = own.post("/v1/invoices", form, "later")
    assert limited.status_code == 429
    assert limited.headers["stripe-rate-limited-reason"] == "resource-specific"
    own.sandbox.advance(60)
    assert own.post("/v1/invoices", form, "later").status_code == 200
    for _ in range(9):
        own.v1.invoices.create(params)
    own.sandbox.advance(60)
    assert own.post("/v1/invoices", form).status_code == 429
    item = made["items"].data[0].id
    for number in range(200):
        form = {"quantity": str(number + 2), "proration_behavior": "none"}
        assert own.post(f"/v1/subscription_items/{item}", form).status_code == 200
    limited = own.post(f"/v1/subscription_items/{item}", {"quantity": "999"})
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "3600")
