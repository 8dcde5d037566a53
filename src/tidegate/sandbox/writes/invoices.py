"""Invoices: drafted, changed, finalized, paid, sent, voided, given up."""

from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.billing import DRAFT_SECONDS, finalize, pending_lines, void
from tidegate.sandbox.objects import invoices
from tidegate.sandbox.params import required
from tidegate.sandbox.payments import attempt, mark_paid
from tidegate.sandbox.resources import Obj, part
from tidegate.sandbox.world import DAY
from tidegate.sandbox.writes.calls import (
    Call,
    Write,
    currency_of,
    deleted,
    exclusive,
    metadata,
    needs_value,
    owner,
    taken,
)
from tidegate.sandbox.writes.coupons import given_to, wanted
from tidegate.sandbox.writes.invoiceitems import compose, line_of, pending
from tidegate.sandbox.writes.items import tax_rates
from tidegate.sandbox.writes.payment_methods import declined, owned

PLAIN = ("description", "footer", "custom_fields", "statement_descriptor")
SERVED = (
    *PLAIN,
    *("auto_advance", "collection_method", "days_until_due", "default_payment_method", "default_tax_rates"),
    *("discounts", "due_date", "metadata"),
)
AFTER_DRAFT = frozenset({"metadata", "auto_advance", "default_payment_method"})
"""What of an invoice can be written after it was finalised; of most not the description.

Source: docs.stripe.com/api/invoices/update.
"""


def create(call: Call) -> Obj:
    """A draft for a customer, empty or over the items that wait."""
    given = call.given
    of = call.referred("subscriptions", given["subscription"], "subscription") if given.get("subscription") else None
    customer = owner(call, of, "subscription")
    currency = currency_of(given) if given.get("currency") else (of or customer)["currency"] or "usd"
    changes = fields(call, customer["id"], {"collection_method": "charge_automatically", "due_date": None})
    asked = given.get("discounts")
    discounts = wanted(call, asked or [], customer["id"], "discounts")
    if of:
        call.pace.new_invoice(of["id"])
    identifier = call.world.ids.new("in_1", 23)
    given_ids = given_to(call, discounts, customer["id"], invoice=identifier)
    if asked is None and customer["discount"]:
        given_ids = [customer["discount"]["id"]]
    lines = waiting(call, customer["id"], of, identifier, currency)
    invoice = invoices.invoice(identifier, call.now, customer, currency, lines, discounts=given_ids, **changes)
    invoice["auto_advance"] = given.get("auto_advance", False)
    if of:
        invoice["parent"] = invoices.from_subscription(of)
    if invoice["auto_advance"]:
        advance(call, invoice)
    compose(call, invoice)
    return call.stored(invoice, "invoice.created")


def waiting(call: Call, customer: str, of: Obj | None, invoice: str, currency: str) -> list[Obj]:
    """The lines of the pending items that a new draft takes, which belong to it from now on."""
    if call.given.get("pending_invoice_items_behavior") != "include":
        return []
    if of:
        return pending_lines(call.world, of, invoice)
    lines: list[Obj] = []
    for identifier in pending(call, customer, None):
        item = call.state.full("invoiceitems", identifier)
        if item["currency"] == currency:
            call.state.put(item | {"invoice": invoice})
            lines.append(line_of(call, item, invoice))
    return lines


def fields(call: Call, customer: str, known: Obj) -> Obj:
    """What the parameters set on a draft. Raises Refusal (400)."""
    given = call.given
    needs_value(given, "auto_advance", "days_until_due", "due_date")
    exclusive(given, "days_until_due", "due_date")
    changes = taken(given, *PLAIN, "collection_method") | metadata(known.get("metadata", {}), given)
    card = given.get("default_payment_method")
    if "default_payment_method" in given:
        changes["default_payment_method"] = owned(call, card, customer, "default_payment_method") if card else None
    rates = tax_rates(call, given.get("default_tax_rates"), "default_tax_rates")
    if rates is not None:
        changes["default_tax_rates"] = rates
    sends = changes.get("collection_method", known["collection_method"]) == "send_invoice"
    if given.get("days_until_due") is not None:
        changes["due_date"] = call.now + given["days_until_due"] * DAY
    elif given.get("due_date") is not None:
        changes["due_date"] = given["due_date"]
    due = changes.get("due_date", known["due_date"])
    if sends and due is None:
        raise required("days_until_due")
    if not sends and changes.get("due_date") is not None:
        raise Refusal(
            400,
            "days_until_due and due_date can only be set if collection_method is `send_invoice`.",
            param="days_until_due" if "days_until_due" in given else "due_date",
        )
    return changes


def advance(call: Call, invoice: Obj) -> None:
    """Has a draft be finalized by itself an hour from now."""
    invoice["automatically_finalizes_at"] = call.now + DRAFT_SECONDS
    call.world.plan(call.now + DRAFT_SECONDS, "finalize", invoice["id"])


def update(call: Call) -> Obj:
    """Changes a draft, or the little that may change later."""
    invoice, given = call.addressed("invoices"), call.given
    is_draft = invoice["status"] == "draft"
    if not is_draft and given.keys() - AFTER_DRAFT:
        raise Refusal(
            400,
            f"Finalized invoices can't be updated in this way: {', '.join(sorted(given.keys() - AFTER_DRAFT))}.",
            "invoice_not_editable",
        )
    changes = fields(call, invoice["customer"], invoice)
    discounts = wanted(call, given.get("discounts") or [], invoice["customer"], "discounts")
    invoice |= changes
    if "discounts" in given:
        invoice["discounts"] = given_to(call, discounts, invoice["customer"], invoice=invoice["id"])
    if "auto_advance" in given and given["auto_advance"] != invoice["auto_advance"]:
        invoice["auto_advance"] = given["auto_advance"]
        if is_draft and invoice["auto_advance"]:
            advance(call, invoice)
        elif is_draft:
            invoice["automatically_finalizes_at"] = None
    if is_draft and not part(invoice, "parent", "subscription_details"):
        compose(call, invoice)
    return call.stored(invoice, "invoice.updated")


def delete(call: Call) -> Obj:
    """Deletes a draft that no subscription made; the items on it go with it."""
    invoice = call.addressed("invoices")
    if invoice["status"] != "draft":
        raise Refusal(400, "You can only delete draft invoices.", "invoice_not_editable")
    if part(invoice, "parent", "subscription_details"):
        raise Refusal(400, "You can't delete invoices created by subscriptions.")
    for item in list(call.state["invoiceitems"].find("invoice", invoice["id"])):
        call.state.delete("invoiceitems", item, "invoiceitem.deleted")
    call.state.delete("invoices", invoice["id"], "invoice.deleted")
    return deleted("invoice", invoice["id"])


def finalize_it(call: Call) -> Obj:
    """Opens a draft; it is collected at once when it advances by itself."""
    invoice = call.addressed("invoices")
    if invoice["status"] != "draft":
        raise Refusal(
            400, "This invoice is already finalized, you can't re-finalize a non-draft invoice.", "invoice_not_editable"
        )
    invoice["auto_advance"] = call.given.get("auto_advance", invoice["auto_advance"])
    finalize(call.world, invoice, collects=invoice["auto_advance"])
    return call.state.full("invoices", invoice["id"])


def opened(call: Call) -> Obj:
    """The invoice that the path names, finalized if it was a draft."""
    invoice = call.addressed("invoices")
    if invoice["status"] == "draft":
        finalize(call.world, invoice, collects=False)
    return call.state.full("invoices", invoice["id"])


def pay(call: Call) -> Obj:
    """Pays an invoice by card, or notes that it was paid elsewhere. Raises Refusal (402) when the card is declined."""
    invoice, given = call.addressed("invoices"), call.given
    if invoice["status"] in ("paid", "void"):
        problem = "Invoice is already paid" if invoice["status"] == "paid" else "You can't pay a void invoice"
        raise Refusal(400, problem, None)
    customer = call.state.full("customers", invoice["customer"])
    default = customer["invoice_settings"]["default_payment_method"]
    card = (
        owned(call, given["payment_method"], customer["id"], "payment_method") if given.get("payment_method") else None
    )
    elsewhere = given.get("paid_out_of_band", False)
    usable = (card or invoice["default_payment_method"] or default) in call.state["payment_methods"]
    if not elsewhere and not usable and invoice["amount_due"] > 0:
        raise Refusal(
            400,
            "There is no `default_payment_method` set on this Customer or Invoice. Please include a payment method to "
            "pay this invoice.",
            "resource_missing",
        )
    invoice = opened(call)
    if invoice["status"] == "paid":
        return invoice
    if elsewhere:
        mark_paid(call.world, invoice, invoice["amount_due"])
    elif not attempt(call.world, invoice, card):
        raise declined("insufficient_funds")
    return call.state.full("invoices", invoice["id"])


def send(call: Call) -> Obj:
    """Sends an invoice to its customer, who pays it by its due date or not."""
    invoice = call.addressed("invoices")
    if invoice["collection_method"] != "send_invoice":
        raise Refusal(400, "You can only manually send an invoice if its collection method is 'send_invoice'.")
    if invoice["status"] == "draft":
        finalize(call.world, invoice)
    elif invoice["status"] == "open":
        call.state.put(invoice, "invoice.sent")
    else:
        raise Refusal(400, f"You can't send an invoice that is {invoice['status']}.")
    return call.state.full("invoices", invoice["id"])


def void_it(call: Call) -> Obj:
    """Voids a finalized invoice that was not paid."""
    return _ended(call, "void", ("open", "uncollectible"))


def give_up(call: Call) -> Obj:
    """Marks an open invoice as one that will not be paid."""
    return _ended(call, "uncollectible", ("open",))


def _ended(call: Call, status: str, allowed: tuple[str, ...]) -> Obj:
    invoice = call.addressed("invoices")
    if invoice["status"] not in allowed:
        raise Refusal(
            400, f"You can only pass in {' or '.join(allowed)} invoices. This invoice is {invoice['status']}."
        )
    void(call.world, invoice, status)
    return call.state.full("invoices", invoice["id"])


WRITES = (
    Write(
        "POST",
        "/v1/invoices",
        "invoices",
        "invoice",
        "InvoiceCreateParams",
        create,
        (*SERVED, "currency", "customer", "pending_invoice_items_behavior", "subscription"),
    ),
    Write("POST", "/v1/invoices/{id}", "invoices", "invoice", "InvoiceUpdateParams", update, SERVED),
    Write("DELETE", "/v1/invoices/{id}", "invoices", "leaf", "InvoiceDeleteParams", delete),
    Write(
        "POST",
        "/v1/invoices/{id}/finalize",
        "invoices",
        "invoice",
        "InvoiceFinalizeInvoiceParams",
        finalize_it,
        ("auto_advance",),
    ),
    Write(
        "POST",
        "/v1/invoices/{id}/pay",
        "invoices",
        "invoice",
        "InvoicePayParams",
        pay,
        ("off_session", "paid_out_of_band", "payment_method"),
    ),
    Write("POST", "/v1/invoices/{id}/send", "invoices", "invoice", "InvoiceSendInvoiceParams", send),
    Write("POST", "/v1/invoices/{id}/void", "invoices", "invoice", "InvoiceVoidInvoiceParams", void_it),
    Write(
        "POST",
        "/v1/invoices/{id}/mark_uncollectible",
        "invoices",
        "invoice",
        "InvoiceMarkUncollectibleParams",
        give_up,
    ),
)
