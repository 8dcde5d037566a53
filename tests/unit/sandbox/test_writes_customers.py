from typing import Any

import httpx
import pytest
import stripe
from tests.support.writing import Account, account, refused

from tidegate.sandbox.config import DEFAULT_KEY


def test_a_customer_is_made_changed_and_deleted(own: Account) -> None:
    made = own.checked(
        own.v1.customers.create(
            {
                "email": "ada@example.com",
                "name": "Ada Çelik",
                "address": {"city": "Köln", "country": "DE"},
                "shipping": {"name": "Ada", "address": {"line1": "Domstraße 4"}},
                "metadata": {"workspace": "7", "plan": "pro"},
                "tax_exempt": "reverse",
            }
        )
    )
    assert (made.address.city, made.address.line1, made.tax_exempt) == ("Köln", None, "reverse")
    assert own.happened() == ["customer.created"]
    changed = own.checked(
        own.v1.customers.update(
            made.id,
            {"name": "", "address": "", "balance": -500, "metadata": {"plan": "", "seats": "3"}, "tax_exempt": ""},
        )
    )
    assert (changed.name, changed.address, changed.balance, changed.tax_exempt) == (None, None, -500, "none")
    assert changed.metadata.to_dict() == {"workspace": "7", "seats": "3"}
    previous = own.previous("customer.updated")
    assert previous["name"] == "Ada Çelik"
    assert previous["balance"] == 0
    assert previous["metadata"] == {"plan": "pro", "seats": None}
    emptied = own.v1.customers.update(made.id, {"metadata": ""})
    assert emptied.metadata.to_dict() == {}
    own.events()
    assert own.v1.customers.delete(made.id).deleted
    assert own.happened() == ["customer.deleted"]
    assert own.v1.customers.retrieve(made.id).deleted
    assert refused(own.v1.customers.update, made.id, {"name": "Ada"}).http_status == 404


def test_deleting_a_customer_ends_its_subscriptions(own: Account) -> None:
    customer = own.customer()
    subscription = own.subscription(customer, own.price())
    own.events()
    own.v1.customers.delete(customer.id)
    assert own.happened() == ["customer.subscription.deleted", "payment_method.detached", "customer.deleted"]
    assert own.v1.subscriptions.retrieve(subscription.id).status == "canceled"


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"email": "nobody"}, "email_invalid", "email"),
        ({"metadata": {"k" * 41: "x"}}, None, f"metadata[{'k' * 41}]"),
        ({"metadata": {"k": "x" * 501}}, None, "metadata[k]"),
        ({"metadata": {f"k{n}": "x" for n in range(51)}}, None, "metadata"),
        ({"payment_method": "pm_no"}, "resource_missing", "payment_method"),
        (
            {"invoice_settings": {"default_payment_method": "pm_no"}},
            "resource_missing",
            "invoice_settings[default_payment_method]",
        ),
    ],
)
def test_customers_that_are_refused(own: Account, params: dict[str, Any], code: str | None, param: str) -> None:
    error = refused(own.v1.customers.create, params)
    assert (error.http_status, error.code, error.param) == (400, code, param)
    assert own.happened() == []


def test_a_customer_comes_with_its_card(own: Account) -> None:
    card = "pm_card_mastercard"
    made = own.v1.customers.create(
        {
            "payment_method": card,
            "invoice_settings": {"default_payment_method": card},
            "expand": ["invoice_settings.default_payment_method"],
        }
    )
    assert own.checked(made).invoice_settings.default_payment_method.card.last4 == "4444"
    assert sorted(own.happened()) == ["customer.created", "payment_method.attached"]


def test_cards_are_attached_and_detached(own: Account) -> None:
    customer, other = own.customer(None), own.customer(None)
    own.events()
    card = own.checked(own.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id}))
    assert (card.customer, card.card.brand) == (customer.id, "visa")
    assert own.happened() == ["payment_method.attached"]
    error = refused(own.v1.payment_methods.attach, card.id, {"customer": other.id})
    assert "already been attached" in error.user_message
    error = refused(own.v1.customers.update, other.id, {"invoice_settings": {"default_payment_method": card.id}})
    assert error.code == "resource_missing"
    own.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": card.id}})
    own.events()
    assert own.checked(own.v1.payment_methods.update(card.id, {"card": {"exp_year": 2040}})).card.exp_year == 2040
    assert own.checked(own.v1.payment_methods.detach(card.id)).customer is None
    assert own.happened() == ["payment_method.updated", "payment_method.detached", "customer.updated"]
    assert own.v1.customers.retrieve(customer.id).invoice_settings.default_payment_method is None


def test_a_detached_card_is_read_by_id_and_nothing_else(own: Account) -> None:
    customer = own.customer()
    paid = own.subscription(customer, own.price(1000))
    intent = own.v1.payment_intents.list({"customer": customer.id}).data[0].id
    card = customer.invoice_settings.default_payment_method
    counted = own.sandbox.truth()["payment_methods"]
    own.checked(own.v1.payment_methods.detach(card))
    read = own.checked(own.v1.payment_methods.retrieve(card, {"expand": ["customer"]}))
    assert (read.id, read.customer, read.card.last4) == (card, None, "4242")
    used = own.v1.payment_intents.retrieve(intent, {"expand": ["payment_method"]})
    assert used.payment_method.card.last4 == "4242"
    assert own.v1.customers.payment_methods.list(customer.id).data == []
    assert card not in {one.id for one in own.v1.payment_methods.list({"limit": 100}).data}
    assert own.sandbox.truth()["payment_methods"] == counted - 1
    error = refused(own.v1.payment_methods.attach, card, {"customer": customer.id})
    assert (error.http_status, "may not be used again" in error.user_message) == (400, True)
    for call, params in (
        (own.v1.payment_methods.detach, {}),
        (own.v1.payment_methods.update, {"metadata": {"a": "b"}}),
    ):
        assert refused(call, card, params).code == "payment_method_unexpected_state"
    error = refused(own.v1.subscriptions.update, paid.id, {"default_payment_method": card})
    assert "must be attached to the customer" in error.user_message


@pytest.mark.parametrize(
    ("token", "decline"),
    [("pm_card_chargeDeclined", "generic_decline"), ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds")],
)
def test_cards_that_cannot_be_attached(own: Account, token: str, decline: str) -> None:
    customer = own.customer(None)
    error = refused(own.v1.payment_methods.attach, token, {"customer": customer.id})
    assert isinstance(error, stripe.CardError)
    assert (error.http_status, error.code, error.error.decline_code) == (402, "card_declined", decline)


def test_a_restricted_key_needs_the_right_to_write(own: Account) -> None:
    for secret, granted in (("rk_test_reads", "read"), ("rk_test_writes", "write")):
        body = {"secret": secret, "permissions": {"customers": granted}}
        assert httpx.post(f"{own.sandbox.url}/__keys", json=body).status_code == 200
    asked = {
        secret: httpx.post(
            f"{own.sandbox.url}/v1/customers", data={"name": "A"}, headers={"Authorization": f"Bearer {secret}"}
        )
        for secret in ("rk_test_reads", "rk_test_writes")
    }
    assert [asked[secret].status_code for secret in asked] == [403, 200]
    assert "rak_customers_write" in asked["rk_test_reads"].json()["error"]["message"]


def test_a_live_account_takes_live_keys_only() -> None:
    with account(livemode=True) as live:
        assert live.customer(None).livemode is True
        (event,) = live.events()
        assert event["livemode"] is True
        other = {"Authorization": f"Bearer {DEFAULT_KEY}"}
        refused = httpx.post(f"{live.sandbox.url}/v1/customers", data={"name": "A"}, headers=other)
        assert refused.status_code == 400
        assert "live mode only" in refused.json()["error"]["message"]


def test_what_is_no_write_is_told_so(own: Account) -> None:
    for method, path in (("PUT", "/v1/customers/cus_1"), ("POST", "/v1/events"), ("DELETE", "/v1/invoices")):
        headers = {"Authorization": f"Bearer {own.sandbox.key}"}
        asked = httpx.request(method, own.sandbox.url + path, headers=headers)
        assert asked.status_code == 404
        assert asked.json()["error"]["message"].startswith(f"Unrecognized request URL ({method}: {path})")


def test_webhook_endpoints(own: Account) -> None:
    made = own.checked(
        own.v1.webhook_endpoints.create(
            {
                "url": "http://127.0.0.1:9/hooks",
                "enabled_events": ["invoice.paid"],
                "metadata": {"a": "b"},
                "api_version": "2020-08-27",
            }
        )
    )
    assert made.secret.startswith("whsec_")
    assert (made.api_version, made.status) == ("2020-08-27", "enabled")
    page = own.checked(own.v1.webhook_endpoints.list({"limit": 1}))
    assert ([one.id for one in page.data], page.has_more) == ([made.id], False)
    assert "secret" not in page.data[0]
    changed = own.checked(own.v1.webhook_endpoints.update(made.id, {"disabled": True, "enabled_events": ["*"]}))
    assert (changed.status, changed.enabled_events) == ("disabled", ["*"])
    error = refused(own.v1.webhook_endpoints.create, {"url": "ftp://x", "enabled_events": ["*"]})
    assert error.param == "url"
    assert own.v1.webhook_endpoints.delete(made.id).deleted
    assert refused(own.v1.webhook_endpoints.retrieve, made.id).http_status == 404
