from typing import Any

import pytest
from tests.support.writing import Account, refused


def bill(own: Account, *amounts: int, pays: bool = True, **params: Any) -> Any:
    """A finalized invoice over invoice items, paid by card unless told otherwise."""
    customer = own.customer()
    for amount in amounts:
        own.v1.invoice_items.create({"customer": customer.id, "amount": amount, "currency": "usd"})
    given = {"customer": customer.id, "pending_invoice_items_behavior": "include", **params}
    made = own.v1.invoices.finalize_invoice(own.v1.invoices.create(given).id)
    made = own.v1.invoices.pay(made.id) if pays else made
    own.events()
    return made


def note(own: Account, invoice: Any, **params: Any) -> Any:
    return own.checked(own.v1.credit_notes.create({"invoice": invoice.id, **params}))


def balance(own: Account, invoice: Any) -> int:
    found: int = own.v1.customers.retrieve(invoice.customer).balance
    return found


def line(invoice: Any, position: int = 0, **params: Any) -> dict[str, Any]:
    name = invoice.lines.data[position].id
    return {"type": "invoice_line_item", "invoice_line_item": name, **params}


def test_before_payment_a_note_lowers_what_is_due(own: Account) -> None:
    invoice = bill(own, 1000, pays=False)
    made = note(own, invoice, amount=300, reason="duplicate", memo="Twice", metadata={"a": "b"})
    assert (made.type, made.pre_payment_amount, made.post_payment_amount) == ("pre_payment", 300, 0)
    assert (made.reason, made.memo, made.metadata.a, made.number) == (
        "duplicate",
        "Twice",
        "b",
        f"{invoice.number}-CN-01",
    )
    assert own.happened() == ["credit_note.created", "invoice.updated"]
    now = own.v1.invoices.retrieve(invoice.id)
    assert (now.amount_due, now.amount_remaining, now.pre_payment_credit_notes_amount, now.total) == (
        700,
        700,
        300,
        1000,
    )
    assert own.v1.invoices.pay(invoice.id).amount_paid == 700
    assert balance(own, invoice) == 0


def test_a_note_over_all_that_is_due_pays_the_invoice(own: Account) -> None:
    invoice = bill(own, 1000, pays=False)
    note(own, invoice, amount=1000)
    assert own.v1.invoices.retrieve(invoice.id).status == "paid"
    assert own.happened()[:4] == ["credit_note.created", "invoice.updated", "invoice.paid", "invoice.payment_succeeded"]


def test_after_payment_a_note_is_refunded_credited_and_settled_elsewhere(own: Account) -> None:
    invoice = bill(own, 1000)
    made = note(own, invoice, amount=600, refund_amount=100, credit_amount=200, out_of_band_amount=300)
    assert (made.type, made.post_payment_amount, made.out_of_band_amount) == ("post_payment", 600, 300)
    assert made.customer_balance_transaction
    (given,) = made.refunds
    assert (given.amount_refunded, own.v1.refunds.retrieve(given.refund).amount) == (100, 100)
    assert own.happened() == [
        "refund.created",
        "charge.updated",
        "charge.refunded",
        "customer.updated",
        "credit_note.created",
        "invoice.updated",
    ]
    assert balance(own, invoice) == -200
    now = own.v1.invoices.retrieve(invoice.id)
    assert (now.post_payment_credit_notes_amount, now.amount_paid, now.amount_due) == (600, 1000, 1000)
    second = note(own, invoice, amount=400, refund_amount=400)
    assert second.number.endswith("-CN-02")
    charge = own.v1.charges.list({"customer": invoice.customer}).data[0]
    assert charge.amount_refunded == 500


def test_a_note_names_a_refund_that_was_made_before(own: Account) -> None:
    invoice, other = bill(own, 1000), bill(own, 1000)
    charge, elsewhere = (own.v1.charges.list({"customer": one.customer}).data[0].id for one in (invoice, other))
    refund = own.v1.refunds.create({"charge": charge, "amount": 400})
    own.events()
    first = note(own, invoice, amount=150, refunds=[{"refund": refund.id, "amount_refunded": 100}], credit_amount=50)
    assert [(one.refund, one.amount_refunded) for one in first.refunds] == [(refund.id, 100)]
    assert "refund.created" not in own.happened()
    second = note(own, invoice, amount=300, refunds=[{"refund": refund.id}])
    assert second.refunds[0].amount_refunded == 300
    foreign = own.v1.refunds.create({"charge": elsewhere, "amount": 1})
    for given, param in (
        ({"refund": refund.id}, "refunds[0][amount_refunded]"),
        ({"refund": foreign.id}, "refunds[0][refund]"),
        ({"amount_refunded": 1}, "refunds[0][refund]"),
    ):
        error = refused(own.v1.credit_notes.create, {"invoice": invoice.id, "amount": 1, "refunds": [given]})
        assert (error.http_status, error.param) == (400, param)


def test_a_note_over_more_than_is_due_is_mixed(own: Account) -> None:
    customer = own.customer()
    own.v1.customers.update(customer.id, {"balance": -400})
    own.v1.invoice_items.create({"customer": customer.id, "amount": 1000, "currency": "usd"})
    draft = own.v1.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
    invoice = own.v1.invoices.finalize_invoice(draft.id)
    assert invoice.amount_due == 600
    made = note(own, invoice, amount=1000, credit_amount=400)
    assert (made.type, made.pre_payment_amount, made.post_payment_amount) == ("mixed", 600, 400)
    assert balance(own, invoice) == -400
    error = refused(own.v1.credit_notes.void_credit_note, made.id)
    assert error.http_status == 400


def test_lines_take_their_share_of_discounts_and_taxes(own: Account) -> None:
    rate = next(one for one in own.v1.tax_rates.list({"inclusive": False}).data)
    coupon = own.v1.coupons.create({"percent_off": 50})
    terms = {"discounts": [{"coupon": coupon.id}], "default_tax_rates": [rate.id]}
    invoice = bill(own, 2000, 1000, pays=False, **terms)
    made = note(own, invoice, lines=[line(invoice, 0, amount=500), line(invoice, 1)])
    whole = [one.amount for one in invoice.lines.data]
    share = 500 / whole[0]
    assert [one.amount for one in made.lines.data] == [500, whole[1]]
    assert made.discount_amount == (500 + whole[1]) // 2
    tax = round(invoice.lines.data[0].taxes[0].amount * share) + invoice.lines.data[1].taxes[0].amount
    assert made.total_taxes[0].amount == tax
    assert made.subtotal == 500 + whole[1]
    assert made.amount == made.total == made.subtotal - made.discount_amount + tax
    assert made.total_excluding_tax == made.total - tax
    rest = note(own, invoice, lines=[line(invoice, 0)])
    assert rest.lines.data[0].amount == whole[0] - 500
    assert abs(own.v1.invoices.retrieve(invoice.id).amount_remaining) <= 1


def test_units_of_a_line_and_a_line_of_ones_own(own: Account) -> None:
    customer, price = own.customer(), own.price(300)
    made = own.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id, "quantity": 4}]})
    invoice = own.v1.invoices.retrieve(made.latest_invoice)
    rate = next(one for one in own.v1.tax_rates.list({"inclusive": True}).data)
    free = {"type": "custom_line_item", "description": "Goodwill", "unit_amount": 50, "quantity": 2}
    given = note(
        own, invoice, lines=[line(invoice, quantity=3), {**free, "tax_rates": [rate.id]}], out_of_band_amount=1000
    )
    assert [(one.amount, one.quantity) for one in given.lines.data] == [(900, 3), (100, 2)]
    assert (given.lines.data[1].unit_amount, given.lines.data[1].tax_rates[0].id) == (50, rate.id)
    assert own.v1.credit_notes.line_items.list(given.id).data[1].description == "Goodwill"


def test_voiding_and_changing(own: Account) -> None:
    invoice = bill(own, 1000, pays=False)
    made = note(own, invoice, amount=300)
    own.events()
    changed = own.checked(own.v1.credit_notes.update(made.id, {"memo": "Sorry", "metadata": {"a": "b"}}))
    assert (changed.memo, changed.metadata.a) == ("Sorry", "b")
    assert own.previous("credit_note.updated")["memo"] is None
    voided = own.checked(own.v1.credit_notes.void_credit_note(made.id))
    assert (voided.status, voided.voided_at is not None) == ("void", True)
    assert own.happened() == ["credit_note.updated", "credit_note.voided", "invoice.updated"]
    now = own.v1.invoices.retrieve(invoice.id)
    assert (now.amount_due, now.pre_payment_credit_notes_amount) == (1000, 0)
    assert refused(own.v1.credit_notes.void_credit_note, made.id).http_status == 400
    note(own, invoice, lines=[line(invoice)])
    paid = bill(own, 1000)
    late = note(own, paid, amount=10, credit_amount=10)
    assert "open invoice" in refused(own.v1.credit_notes.void_credit_note, late.id).user_message


def test_a_preview_changes_nothing(own: Account) -> None:
    invoice = bill(own, 1000)
    counts = own.sandbox.truth()
    seen = own.checked(own.v1.credit_notes.preview({"invoice": invoice.id, "amount": 300, "out_of_band_amount": 300}))
    assert (seen.amount, seen.post_payment_amount, seen.out_of_band_amount) == (300, 300, 300)
    assert own.happened() == []
    assert own.sandbox.truth() == counts
    assert refused(own.v1.credit_notes.retrieve, seen.id).http_status == 404


def test_the_lines_of_a_preview_are_listed_page_by_page(own: Account) -> None:
    invoice = bill(own, 1000, pays=False)
    wanted = [{"type": "custom_line_item", "description": f"{n}", "unit_amount": 10, "quantity": 1} for n in range(12)]
    seen = own.checked(own.v1.credit_notes.preview({"invoice": invoice.id, "lines": wanted}))
    assert (len(seen.lines.data), seen.lines.has_more, seen.lines.url) == (10, True, "/v1/credit_notes/preview/lines")
    lines = own.v1.credit_notes.preview_lines
    rest = lines.list({"invoice": invoice.id, "lines": wanted, "starting_after": seen.lines.data[-1].id})
    assert ([one.description for one in rest.data], rest.has_more) == (["10", "11"], False)
    every = lines.list({"invoice": invoice.id, "lines": wanted, "limit": 5}).auto_paging_iter()
    assert [one.description for one in every] == [f"{n}" for n in range(12)]
    assert refused(lines.list, {"invoice": invoice.id, "amount": 2000}).http_status == 400
    assert own.happened() == []


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({}, "amount"),
        ({"amount": 0}, "amount"),
        ({"amount": -1}, "amount"),
        ({"amount": 1001, "credit_amount": 1001}, "amount"),
        ({"amount": 100}, "credit_amount"),
        ({"amount": 100, "refund_amount": 99}, "refund_amount"),
        ({"amount": 100, "refund_amount": -1}, "refund_amount"),
        ({"amount": 100, "lines": [{"type": "custom_line_item", "description": "x", "unit_amount": 99}]}, "amount"),
        ({"lines": [{"type": "custom_line_item", "unit_amount": 99}]}, "lines[0][description]"),
        ({"lines": [{"type": "custom_line_item", "description": "x"}]}, "lines[0][unit_amount]"),
        ({"lines": [{"type": "invoice_line_item"}]}, "lines[0][invoice_line_item]"),
        ({"lines": [{"type": "invoice_line_item", "invoice_line_item": "il_no"}]}, "lines[0][invoice_line_item]"),
        ({"lines": [{"type": "other"}]}, "lines[0][type]"),
    ],
)
def test_what_is_refused(own: Account, params: dict[str, Any], param: str) -> None:
    invoice = bill(own, 1000)
    error = refused(own.v1.credit_notes.create, {"invoice": invoice.id, **params})
    assert (error.http_status, error.param) == (400, param)
    assert own.happened() == []


def test_refusals_that_depend_on_the_invoice(own: Account) -> None:
    draft = own.v1.invoices.create({"customer": own.customer().id})
    assert refused(own.v1.credit_notes.create, {"invoice": draft.id, "amount": 1}).param == "invoice"
    invoice = bill(own, 1000)
    for more in ({"amount": 1001}, {"quantity": 2}):
        params = {"invoice": invoice.id, "lines": [line(invoice, **more)], "credit_amount": 1001}
        assert refused(own.v1.credit_notes.create, params).param == f"lines[0][{next(iter(more))}]"
    charge = own.v1.charges.list({"customer": invoice.customer}).data[0]
    own.v1.refunds.create({"charge": charge.id, "amount": 800})
    error = refused(own.v1.credit_notes.create, {"invoice": invoice.id, "amount": 300, "refund_amount": 300})
    assert error.param == "refund_amount"
    assert own.v1.customers.delete(invoice.customer).deleted
    error = refused(own.v1.credit_notes.create, {"invoice": invoice.id, "amount": 300, "credit_amount": 300})
    assert (error.http_status, error.param) == (400, "credit_amount")
    twice = {"invoice": invoice.id, "lines": [line(invoice), line(invoice)], "credit_amount": 1000}
    assert refused(own.v1.credit_notes.create, twice).param == "lines[1][amount]"
