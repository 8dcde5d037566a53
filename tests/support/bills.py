"""Invoices with what happened to them, as billing events are worked out of them, in few words."""

import json
from collections.abc import Sequence
from typing import Any

from tests.support.builders import invoice, line, listing

from tidegate.revenue.billing.deriving import Derived
from tidegate.revenue.billing.event import Event
from tidegate.revenue.billing.given import Bill, Catalog, Dossier, Noted, Returned, Terms, Who
from tidegate.stripe_api.shapes.credits import CreditNote, CreditNoteLine
from tidegate.stripe_api.shapes.decoders import decoder
from tidegate.stripe_api.shapes.invoices import Invoice
from tidegate.stripe_api.shapes.lines import InvoiceLine
from tidegate.stripe_api.shapes.payments import Charge, Dispute, Refund

WHO = Who("cus_1", "ada@example.com", subscribed=True)
CATALOG = Catalog(
    {
        "price_pro": Terms("month", 1, False, "prod_pro"),
        "price_seats": Terms("month", 1, False, "prod_seats"),
        "price_year": Terms("year", 1, False, "prod_pro"),
        "price_week": Terms("week", 1, False, "prod_pro"),
        "price_calls": Terms("month", 1, True, "prod_calls"),
        "price_setup": Terms("", 1, False, "prod_setup"),
    },
    {"prod_pro": "Pro", "prod_seats": "Seats", "prod_setup": "Set-up", "prod_calls": "Calls"},
)
DAY = 86_400


def shape(kind: Any, body: dict[str, Any]) -> Any:
    return decoder(kind).decode(json.dumps(body))


def recurring(
    id_: str, amount: int, price: str = "price_pro", subscription: str = "sub_1", **fields: Any
) -> dict[str, Any]:
    """A line of a subscription item; `proration=True` makes it one."""
    proration = fields.pop("proration", False)
    details = {"subscription": subscription, "subscription_item": f"si_{price}", "proration": proration}
    return line(
        id_,
        amount=amount,
        parent={"type": "subscription_item_details", "subscription_item_details": details},
        pricing={"type": "price_details", "price_details": {"price": price}},
        **fields,
    )


def once(id_: str, amount: int, subscription: str | None = None, **fields: Any) -> dict[str, Any]:
    """A line of an invoice item."""
    details = {"invoice_item": f"ii_{id_}", "subscription": subscription, "proration": False}
    return line(
        id_,
        amount=amount,
        parent={"type": "invoice_item_details", "invoice_item_details": details},
        pricing={"type": "price_details", "price_details": {"price": "price_setup", "product": "prod_setup"}},
        **fields,
    )


def off(amount: int, discount: str = "di_1") -> dict[str, Any]:
    return {"discount_amounts": [{"amount": amount, "discount": discount}]}


def taxed(amount: int, behavior: str = "exclusive") -> dict[str, Any]:
    return {"taxes": [{"amount": amount, "tax_behavior": behavior}]}


def bill(
    lines: list[dict[str, Any]], *, balance: int = 0, notes: Sequence[Noted] = (), whole: bool = True, **told: Any
) -> Bill:
    """A paid invoice over lines, added up as Stripe does it; `balance`: the customer's, negative is credit."""
    refunds, disputes, failures = (told.pop(name, ()) for name in ("refunds", "disputes", "failures"))
    attempts = told.pop("attempts", ())
    total = told.pop("total", None)
    if total is None:
        total = sum(
            one["amount"]
            - sum(part["amount"] for part in one.get("discount_amounts", ()))
            + sum(tax["amount"] for tax in one.get("taxes", ()) if tax["tax_behavior"] == "exclusive")
            for one in lines
        )
    before = sum(one.note.pre_payment_amount or 0 for one in notes if one.stands)
    due = max(0, total + balance) - before
    body = invoice(
        told.pop("id", "in_1"),
        lines,
        **{
            "total": total,
            "starting_balance": balance,
            "amount_due": due,
            "amount_paid": due,
            "pre_payment_credit_notes_amount": before,
            "customer_email": "billing@example.com",
            "effective_at": 1_000,
            "created": 900,
            "status_transitions": {"finalized_at": 950, "paid_at": 1_100},
            **told,
        },
    )
    shapes = [shape(InvoiceLine, one) for one in lines]
    return Bill(shape(Invoice, body), shapes, notes, refunds, disputes, failures, attempts, whole)


def noted(amount: int, lines: dict[str, int], **fields: Any) -> Noted:
    """A credit note over invoice lines; before payment unless `post_payment_amount` says otherwise."""
    post = fields.get("post_payment_amount", 0)
    body = {
        "id": "cn_1", "object": "credit_note", "created": 2_000, "status": "issued", "amount": amount, "total": amount,
        "currency": "usd", "pre_payment_amount": amount - post, "post_payment_amount": 0, "total_taxes": [],
        "lines": listing([]), **fields,
    }  # fmt: skip
    of_lines = [
        shape(CreditNoteLine, {"id": f"cnli_{id_}", "invoice_line_item": id_, "amount": part})
        for id_, part in lines.items()
    ]
    return Noted(shape(CreditNote, body), of_lines)


def refund(amount: int, id_: str = "re_1", created: int = 2_000, **fields: Any) -> Returned:
    body = {"id": id_, "object": "refund", "created": created, "amount": amount, "currency": "usd", "charge": "ch_1"}
    return Returned(shape(Refund, {**body, "status": "succeeded", **fields}), created)


def dispute(amount: int, status: str, created: int = 3_000) -> Returned:
    body = {
        "id": "dp_1",
        "object": "dispute",
        "created": created,
        "amount": amount,
        "currency": "usd",
        "charge": "ch_1",
    }
    return Returned(shape(Dispute, {**body, "status": status, "reason": "fraudulent"}), created)


def refused(id_: str = "ch_0", created: int = 1_050, amount: int = 1_000) -> Charge:
    return shape(
        Charge,
        {
            "id": id_, "object": "charge", "created": created, "amount": amount, "currency": "usd", "status": "failed",
            "failure_code": "card_declined", "outcome": {"reason": "insufficient_funds"},
        },
    )  # fmt: skip


def derived(*bills: Bill, catalog: Catalog = CATALOG, who: Who = WHO, **more: Any) -> Derived:
    found = Derived()
    found.add(Dossier(who, bills, **more), catalog)
    return found


def events(*bills: Bill, catalog: Catalog = CATALOG, who: Who = WHO, **more: Any) -> list[Event]:
    return derived(*bills, catalog=catalog, who=who, **more).events


def by_id(*bills: Bill, **more: Any) -> dict[str, Event]:
    return {event.id: event for event in events(*bills, **more)}


def summed(found: Sequence[Event]) -> int:
    """What an invoice's own events come to: billed and one-time, less what a negative amount gave back."""
    own = [event for event in found if event.id.startswith(("billed:", "purchase:"))]
    return sum((event.amount or 0) * (-1 if event.details["kind"] == "proration_credit" else 1) for event in own)
