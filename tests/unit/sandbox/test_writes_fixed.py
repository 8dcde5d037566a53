"""What of an object is given once, what its state forbids, and how lists find it: where writers trip over Stripe."""

from typing import Any

import pytest
from tests.support.writing import Account, refused

SENT = {"collection_method": "send_invoice", "days_until_due": 30}


@pytest.mark.parametrize(
    ("resource", "change", "param"),
    [
        ("customers", {"test_clock": "clock_1"}, "test_clock"),
        ("products", {"id": "other"}, "id"),
        ("products", {"default_price_data": {"currency": "usd"}}, "default_price_data"),
        ("prices", {"unit_amount": 5}, "unit_amount"),
        ("prices", {"currency": "eur"}, "currency"),
        ("prices", {"recurring": {"interval": "year"}}, "recurring"),
        ("prices", {"product": "prod_1"}, "product"),
        ("subscriptions", {"customer": "cus_1"}, "customer"),
        ("subscriptions", {"currency": "eur"}, "currency"),
        ("invoices", {"customer": "cus_1"}, "customer"),
        ("invoices", {"currency": "eur"}, "currency"),
        ("invoice_items", {"customer": "cus_1"}, "customer"),
        ("invoice_items", {"currency": "eur"}, "currency"),
        ("invoice_items", {"invoice": "in_1"}, "invoice"),
        ("quotes", {"from_quote": {"quote": "qt_1"}}, "from_quote"),
    ],
)
def test_what_is_given_once(own: Account, resource: str, change: dict[str, Any], param: str) -> None:
    error = refused(getattr(own.v1, resource).update, made(own, resource), change)
    assert (error.http_status, error.code, error.param) == (400, "parameter_unknown", param)


def made(own: Account, resource: str) -> str:
    customer = own.customer()
    price = own.price()
    params: dict[str, dict[str, Any]] = {
        "customers": {},
        "products": {"name": "Plan"},
        "prices": {"product": price.product, "currency": "usd", "unit_amount": 1},
        "subscriptions": {"customer": customer.id, "items": [{"price": price.id}]},
        "invoices": {"customer": customer.id},
        "invoice_items": {"customer": customer.id, "amount": 5, "currency": "usd"},
        "quotes": {"customer": customer.id, "line_items": [{"price": price.id}]},
    }
    return getattr(own.v1, resource).create(params[resource]).id


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({"metadata": {"k": "v"}}, True), ({"auto_advance": False}, True), ({"description": "late"}, False),
        ({"due_date": 1_900_000_000}, False), ({"metadata": {"k": "v"}, "footer": "late"}, False),
    ],
)  # fmt: skip
def test_a_finalised_invoice_takes_little(own: Account, change: dict[str, Any], taken: bool) -> None:
    customer = own.customer(card=None)
    draft = own.v1.invoices.create({"customer": customer.id, **SENT})
    own.v1.invoice_items.create({"customer": customer.id, "invoice": draft.id, "amount": 5, "currency": "usd"})
    own.v1.invoices.finalize_invoice(draft.id)
    if taken:
        own.checked(own.v1.invoices.update(draft.id, change))
        return
    error = refused(own.v1.invoices.update, draft.id, change)
    assert (error.http_status, error.code) == (400, "invoice_not_editable")
    late = {"customer": customer.id, "invoice": draft.id, "amount": 5, "currency": "usd"}
    assert refused(own.v1.invoice_items.create, late).code == "invoice_not_editable"


def test_sending_a_draft_finalises_it(own: Account) -> None:
    """Stripe finalises drafts before it sends them (docs.stripe.com/api/invoices/finalize)."""
    customer = own.customer(card=None)
    draft = own.v1.invoices.create({"customer": customer.id, **SENT})
    own.v1.invoice_items.create({"customer": customer.id, "invoice": draft.id, "amount": 5, "currency": "usd"})
    own.events()
    assert own.v1.invoices.send_invoice(draft.id).status == "open"
    assert {"invoice.finalized", "invoice.sent"} <= set(own.happened())


def test_a_canceled_subscription_takes_metadata_only(own: Account) -> None:
    id_ = made(own, "subscriptions")
    own.v1.subscriptions.cancel(id_)
    assert own.v1.subscriptions.update(id_, {"metadata": {"k": "v"}}).metadata.to_dict() == {"k": "v"}
    assert refused(own.v1.subscriptions.update, id_, {"description": "x"}).http_status == 400
    assert refused(own.v1.subscriptions.update, id_, {"metadata": {}, "proration_behavior": "none"}).http_status == 400
    assert refused(own.v1.subscriptions.cancel, id_).http_status == 404


def test_an_item_without_an_id_is_added(own: Account) -> None:
    id_ = made(own, "subscriptions")
    [item] = own.v1.subscriptions.retrieve(id_)["items"].data
    other = own.price(2000)
    both = own.v1.subscriptions.update(id_, {"items": [{"price": other.id}]})["items"].data
    assert {one.price.id for one in both} == {item.price.id, other.id}
    again = refused(own.v1.subscriptions.update, id_, {"items": [{"price": other.id, "quantity": 2}]})
    assert "multiple subscription items with the same price" in str(again)


def test_lists_find_an_address_by_its_very_letters_and_none_of_test_clocks(own: Account) -> None:
    clock = own.v1.test_helpers.test_clocks.create({"frozen_time": own.sandbox.world.clock.now}).id
    own.v1.customers.create({"email": "Very@letters.example"})
    own.v1.customers.create({"email": "very@letters.example", "test_clock": clock})
    assert len(own.v1.customers.list({"email": "Very@letters.example"}).data) == 1
    assert own.v1.customers.list({"email": "very@letters.example"}).data == []
    assert len(own.v1.customers.list({"email": "very@letters.example", "test_clock": clock}).data) == 1


def test_a_product_with_prices_is_archived_and_not_deleted(own: Account) -> None:
    price = own.price()
    error = refused(own.v1.products.delete, price.product)
    assert (error.http_status, "user-created prices" in str(error)) == (400, True)
    assert own.v1.products.update(price.product, {"active": False}).active is False
    assert own.v1.prices.update(price.id, {"active": False}).active is False


def test_a_subscription_ends_at_a_time(own: Account) -> None:
    at = own.sandbox.world.clock.now + 10 * 86_400
    none = {"proration_behavior": "none"}
    customer, price = own.customer(), own.price()
    early = own.subscription(customer, price, cancel_at=at, **none)
    late = own.v1.subscriptions.update(own.subscription(own.customer(), price).id, {"cancel_at": at, **none})
    kept = own.v1.subscriptions.update(own.subscription(own.customer(), price).id, {"cancel_at": at, **none})
    assert [(one.cancel_at, one.cancel_at_period_end) for one in (early, late)] == [(at, False)] * 2
    assert own.v1.subscriptions.update(kept.id, {"cancel_at": ""}).cancel_at is None
    own.sandbox.advance(11 * 86_400)
    own.skip()
    ended = [own.v1.subscriptions.retrieve(one.id) for one in (early, late, kept)]
    assert [one.status for one in ended] == ["canceled", "canceled", "active"]
    assert [one.ended_at for one in ended] == [at, at, None]
    past = refused(own.v1.subscriptions.update, kept.id, {"cancel_at": at, **none})
    assert (past.http_status, past.param) == (400, "cancel_at")
    both = {"cancel_at": at + 9_000_000, "cancel_at_period_end": True, **none}
    assert refused(own.v1.subscriptions.update, kept.id, both).code == "parameters_exclusive"
