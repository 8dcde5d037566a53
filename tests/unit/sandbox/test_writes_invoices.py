from typing import Any

import stripe
from tests.support.writing import Account, refused

DAY = 86_400


def item(own: Account, customer: Any, amount: int = 500, **params: Any) -> Any:
    given = {"customer": customer.id, "amount": amount, "currency": "usd", **params}
    return own.checked(own.v1.invoice_items.create(given))


def test_pending_items_go_on_a_draft_and_are_paid(own: Account) -> None:
    customer, fee = own.customer(), own.price(250, None)
    own.events()
    first = item(own, customer, description="Set-up")
    second = own.checked(
        own.v1.invoice_items.create({"customer": customer.id, "pricing": {"price": fee.id}, "quantity": 3})
    )
    assert (first.amount, second.amount, second.pricing.price_details.price) == (500, 750, fee.id)
    assert own.happened() == ["invoiceitem.created", "invoiceitem.created"]
    draft = own.checked(own.v1.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"}))
    assert (draft.status, draft.total, draft.auto_advance, len(draft.lines.data)) == ("draft", 1250, False, 2)
    assert own.v1.invoice_items.retrieve(first.id).invoice == draft.id
    opened = own.checked(own.v1.invoices.finalize_invoice(draft.id))
    assert (opened.status, opened.amount_due, opened.attempted) == ("open", 1250, False)
    own.events()
    paid = own.checked(own.v1.invoices.pay(draft.id))
    assert (paid.status, paid.amount_paid) == ("paid", 1250)
    assert {"charge.succeeded", "payment_intent.succeeded", "invoice.paid"} <= set(own.happened())
    assert refused(own.v1.invoices.pay, draft.id).user_message.endswith("Invoice is already paid")
    assert refused(own.v1.invoices.finalize_invoice, draft.id).code == "invoice_not_editable"


def test_items_of_a_draft_are_changed_and_deleted(own: Account) -> None:
    customer = own.customer()
    draft = own.v1.invoices.create({"customer": customer.id})
    assert draft.total == 0
    own.events()
    made = item(own, customer, invoice=draft.id)
    assert own.happened() == ["invoiceitem.created", "invoice.updated"]
    assert own.v1.invoices.retrieve(draft.id).total == 500
    own.checked(own.v1.invoice_items.update(made.id, {"amount": 800, "description": "More"}))
    assert own.v1.invoices.retrieve(draft.id).total == 800
    own.events()
    own.v1.invoice_items.delete(made.id)
    assert own.happened() == ["invoiceitem.deleted", "invoice.updated"]
    assert own.v1.invoices.retrieve(draft.id).total == 0
    loose = item(own, customer)
    own.events()
    own.checked(own.v1.invoice_items.update(loose.id, {"description": "Loose"}))
    assert own.happened() == []
    own.v1.invoice_items.delete(loose.id)
    assert own.happened() == ["invoiceitem.deleted"]


def test_taxes_and_discounts_of_a_draft(own: Account) -> None:
    customer = own.customer()
    rate = own.v1.tax_rates.list().data[0]
    coupon = own.v1.coupons.create({"percent_off": 50})
    item(own, customer, 1000)
    made = own.checked(
        own.v1.invoices.create(
            {
                "customer": customer.id,
                "pending_invoice_items_behavior": "include",
                "discounts": [{"coupon": coupon.id}],
                "default_tax_rates": [rate.id],
            }
        )
    )
    assert made.total_discount_amounts[0].amount == 500
    assert made.total_taxes[0].taxable_amount == 500
    own.events()
    bare = own.checked(own.v1.invoices.update(made.id, {"discounts": "", "default_tax_rates": "", "footer": "Thanks"}))
    assert (bare.total, bare.footer) == (1000, "Thanks")
    assert own.previous("invoice.updated")["footer"] is None


def test_a_declined_card_and_payment_elsewhere(own: Account) -> None:
    customer = own.customer("pm_card_chargeCustomerFail")
    draft = own.v1.invoices.create({"customer": customer.id})
    item(own, customer, invoice=draft.id)
    error = refused(own.v1.invoices.pay, draft.id)
    assert isinstance(error, stripe.CardError)
    assert (error.http_status, error.code) == (402, "card_declined")
    assert own.v1.invoices.retrieve(draft.id).attempt_count == 1
    paid = own.checked(own.v1.invoices.pay(draft.id, {"paid_out_of_band": True}))
    assert (paid.status, paid.amount_paid) == ("paid", 500)
    bare = own.customer(None)
    other = own.v1.invoices.create({"customer": bare.id})
    item(own, bare, invoice=other.id)
    assert refused(own.v1.invoices.pay, other.id).code == "resource_missing"
    assert own.v1.invoices.retrieve(other.id).status == "draft"


def test_an_invoice_is_sent_voided_given_up(own: Account) -> None:
    customer = own.customer(None)
    params = {"customer": customer.id, "collection_method": "send_invoice"}
    assert refused(own.v1.invoices.create, params).param == "days_until_due"
    made = [own.v1.invoices.create({**params, "days_until_due": 30}) for _ in range(2)]
    for one in made:
        item(own, customer, invoice=one.id)
    own.events()
    sent = own.checked(own.v1.invoices.send_invoice(made[0].id))
    assert (sent.status, sent.due_date - sent.created) == ("open", 30 * DAY)
    assert own.happened()[-1] == "invoice.sent"
    voided = own.checked(own.v1.invoices.void_invoice(made[0].id))
    assert voided.status == "void"
    assert "invoice.voided" in own.happened()
    assert refused(own.v1.invoices.mark_uncollectible, made[0].id).http_status == 400
    own.v1.invoices.send_invoice(made[1].id)
    own.events()
    assert own.checked(own.v1.invoices.mark_uncollectible(made[1].id)).status == "uncollectible"
    assert "invoice.marked_uncollectible" in own.happened()
    error = refused(own.v1.invoices.update, made[1].id, {"footer": "late"})
    assert error.code == "invoice_not_editable"
    assert own.v1.invoices.update(made[1].id, {"metadata": {"a": "b"}}).metadata.a == "b"
    assert refused(own.v1.invoices.delete, made[1].id).http_status == 400


def test_a_draft_advances_by_itself_or_is_deleted(own: Account) -> None:
    customer = own.customer()
    made = own.v1.invoices.create({"customer": customer.id, "auto_advance": True})
    item(own, customer, invoice=made.id)
    assert made.automatically_finalizes_at is not None
    own.sandbox.advance(3600)
    assert own.v1.invoices.retrieve(made.id).status == "paid"
    draft = own.v1.invoices.create({"customer": customer.id})
    own.events()
    assert own.v1.invoices.delete(draft.id).deleted
    assert own.happened() == ["invoice.deleted"]


def test_items_that_are_refused(own: Account) -> None:
    customer, monthly = own.customer(), own.price()
    for params, param in (
        ({"amount": 1, "currency": "usd"}, "customer"),
        ({"customer": customer.id}, "amount"),
        ({"customer": customer.id, "amount": 1, "pricing": {"price": monthly.id}}, "amount"),
        ({"customer": customer.id, "pricing": {"price": monthly.id}}, "pricing[price]"),
        ({"customer": customer.id, "amount": 1, "invoice": "in_no"}, "invoice"),
    ):
        error = refused(own.v1.invoice_items.create, params)
        assert (error.http_status, error.param) == (400, param)


def test_refunds(own: Account) -> None:
    customer = own.customer()
    own.subscription(customer, own.price(1000))
    charge = own.v1.charges.list({"customer": customer.id}).data[0]
    own.events()
    params = {"charge": charge.id, "amount": 300, "reason": "duplicate", "metadata": {"a": "b"}}
    made = own.checked(own.v1.refunds.create(params))
    assert (made.amount, made.reason, made.status) == (300, "duplicate", "succeeded")
    assert own.happened() == ["refund.created", "charge.updated", "charge.refunded"]
    assert refused(own.v1.refunds.create, {"charge": charge.id, "amount": 701}).param == "amount"
    assert own.v1.refunds.create({"payment_intent": charge.payment_intent}).amount == 700
    assert own.v1.charges.retrieve(charge.id).refunded
    assert refused(own.v1.refunds.create, {"charge": charge.id}).code == "charge_already_refunded"
    assert refused(own.v1.refunds.create, {}).param == "payment_intent"
    assert own.checked(own.v1.refunds.update(made.id, {"metadata": {"a": ""}})).metadata.to_dict() == {}


def test_quotes(own: Account) -> None:
    customer, price = own.customer(), own.price(1500)
    own.events()
    lines = [{"price": price.id, "quantity": 2}]
    made = own.checked(own.v1.quotes.create({"customer": customer.id, "line_items": lines, "header": "Offer"}))
    assert (made.status, made.amount_total, made.header) == ("draft", 3000, "Offer")
    changed = own.v1.quotes.update(made.id, {"line_items": [{"price": price.id, "quantity": 3}]})
    assert own.checked(changed).amount_total == 4500
    assert refused(own.v1.quotes.accept, made.id).http_status == 400
    assert own.checked(own.v1.quotes.finalize_quote(made.id)).status == "open"
    assert own.happened() == ["quote.created", "quote.finalized"]
    taken = own.checked(own.v1.quotes.accept(made.id))
    assert own.happened()[-1] == "quote.accepted"
    started = own.v1.subscriptions.retrieve(taken.subscription)
    assert (started.status, started["items"].data[0].quantity) == ("active", 3)
    other = own.v1.quotes.create({"customer": customer.id, "line_items": lines})
    own.events()
    assert own.checked(own.v1.quotes.cancel(other.id)).status == "canceled"
    assert own.happened() == ["quote.canceled"]
    assert refused(own.v1.quotes.update, other.id, {"header": "x"}).http_status == 400
